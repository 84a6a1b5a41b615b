"""The joints of a robot file in a compiled simulation: where they lie, and their positions in its own numbers."""

import numpy as np

from smp_bringup.description.model import followers
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.simulation import Simulation, model_name, model_range
from smp_bringup.types import FloatArray


class ModelJoints:
    """All joints (J,) of a robot in one model."""

    def __init__(self, model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> None:
        self.names = [model_name(simulation, joint.name) for joint in robot.joints]
        """(J,) of the model."""
        self.places = np.array([model.joint(name).qposadr[0] for name in self.names])
        """(J,) in `qpos`."""
        self.dofs = np.array([model.joint(name).dofadr[0] for name in self.names])
        """(J,) in `qvel`."""
        ends = np.array([model_range(joint, simulation) for joint in robot.joints])
        low, span = robot.joint_array("min"), robot.joint_array("max") - robot.joint_array("min")
        self.scale: FloatArray = (ends[:, 1] - ends[:, 0]) / span
        """(J,) by so much the model's position grows with ours."""
        self.offset: FloatArray = ends[:, 0] - self.scale * low
        self._followers = followers(model)
        self._zero = model.qpos0.copy()

    def values(self, position: FloatArray) -> FloatArray:
        """Return joint positions (J,) of ours in the numbers of the model."""
        return self.scale * position + self.offset

    def put(self, data: mujoco.MjData, position: FloatArray) -> None:
        """Bring the joints, and those that follow them, to positions (J,) of ours."""
        data.qpos[self.places] = self.values(position)
        for place, source, polynomial in self._followers:
            travel = data.qpos[source] - self._zero[source]
            data.qpos[place] = self._zero[place] + np.polyval(polynomial[::-1], travel)

    def measured(self, data: mujoco.MjData) -> tuple[FloatArray, FloatArray]:
        """Return positions (J,) [rad], [m] and velocities (J,) of ours."""
        return (data.qpos[self.places] - self.offset) / self.scale, data.qvel[self.dofs] / self.scale
