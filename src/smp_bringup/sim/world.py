"""One simulated robot at one task: physics, servos, cameras and the success predicate."""

import mujoco
import numpy as np

from smp_bringup.errors import ConfigError
from smp_bringup.model_joints import ModelJoints
from smp_bringup.robot import Robot
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.sim.render import Camera
from smp_bringup.sim.scene import PHYSICS_PERIOD_S
from smp_bringup.sim.scenery import Scenery
from smp_bringup.simulation import Simulation, load_simulation, model_name, model_range
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.tasks.state import object_state
from smp_bringup.types import FloatArray, ImageArray

_ROUNDING = 1e-6
"""Limits may differ by so much [rad], [m]."""
_BAD = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{what}")) for what in ("QPOS", "QVEL", "QACC")]


class World:
    """The physics of one episode; `reset(seed)` starts the same episode for the same seed, bit for bit."""

    def __init__(self, task: AbstractTask, robot: Robot) -> None:
        """Build the world; raises ConfigError for a robot without a simulation, or whose limits are not the arms'."""
        self.task, self.robot, simulation = task, robot, load_simulation(robot)
        self.budget_s = task.config.budget_s * simulation.pace
        """An episode that has not succeeded by then has failed [s]."""
        mujoco.set_mju_user_warning(lambda text: None)  # else a file in the working folder; `diverged` says it
        spec = robot_spec(robot, simulation)
        task.add_objects(spec)
        self._scenery = Scenery(task.variation, robot.cameras[0].name)
        self._scenery.add_objects(spec)
        self.model = compiled(spec)
        require_limits(self.model, robot, simulation)
        self.data, self._scratch = mujoco.MjData(self.model), mujoco.MjData(self.model)
        self._camera: Camera | None = None
        self._joints = ModelJoints(self.model, robot, simulation)
        self.set_offset(0.0)
        self._servo = np.array([self.model.actuator(name).id for name in robot.joint_names])
        self._held_s, self._succeeded = 0.0, False
        self.diverged = False
        """Whether the physics broke down since `reset`; MuJoCo then starts afresh, and the episode never succeeds."""

    @property
    def time_s(self) -> float:
        """Simulated time since `reset` [s]."""
        return float(self.data.time)

    def reset(self, seed: int) -> None:
        """Put the arms at home and draw a layout, colours and light from `seed`."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        home = self.robot.joint_array("home")
        self._joints.put(self.data, home)
        self.data.ctrl[self._servo] = self._joints.values(home)
        self._scenery.restore(self.model)
        self.task.place(self.model, self.data, rng)
        self._scenery.draw(self.model, self.data, rng)
        mujoco.mj_setConst(self.model, self._scratch)  # inertias follow the sizes drawn
        mujoco.mj_forward(self.model, self.data)
        self._held_s, self._succeeded, self.diverged = 0.0, False, False

    def set_setpoint(self, position: FloatArray) -> None:
        """Give the servos their targets (J,) [rad], grippers [m]."""
        self.data.ctrl[self._servo] = self._joints.values(position + self._offset)

    def set_offset(self, offset_rad: float) -> None:
        """Let the arms stand `offset_rad` beside every setpoint from now on, in all joints but the grippers."""
        self._offset = offset_rad * self.robot.turning

    def pose_arms(self, position: FloatArray) -> None:
        """Put the arms at joint positions (J,) without physics; objects stay."""
        self._joints.put(self.data, position)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    @property
    def samples(self) -> int:
        """How often drivers measure the joints in one control period; what the physics cannot give is left out."""
        periods = round(self.robot.control_period_s / PHYSICS_PERIOD_S)
        wanted = self.robot.state_rate_hz * self.robot.control_period_s
        return max(n for n in range(1, periods + 1) if n == 1 or (n <= wanted + 1e-9 and periods % n == 0))

    def step(self, duration_s: float) -> None:
        """Advance the physics, checking the success predicate at its end.

        Raises:
            ValueError: the duration is not a whole number of physics periods.
        """
        count = round(duration_s / PHYSICS_PERIOD_S)
        if count < 1 or abs(count * PHYSICS_PERIOD_S - duration_s) > 1e-9:
            raise ValueError(f"{duration_s} s is not a multiple of the physics period {PHYSICS_PERIOD_S} s")
        mujoco.mj_step(self.model, self.data, count)
        self.diverged |= bool(self.data.warning.number[_BAD].any())
        holds = not self.diverged and self.task.succeeds(self.model, self.data)
        self._held_s = self._held_s + duration_s if holds else 0.0
        self._succeeded |= holds and self._held_s >= self.task.config.hold_s

    def joint_state(self) -> tuple[FloatArray, FloatArray]:
        """Return measured positions (J,) [rad] and velocities (J,) [rad/s], grippers [m] and [m/s]."""
        return self._joints.measured(self.data)

    def objects(self) -> FloatArray:
        """Return what the state track observes of the objects (D,), see `tasks.state`."""
        return object_state(self.task, self.data)

    def render(self, camera: str) -> ImageArray:
        """Return the image (H, W, 3) that the robot's camera sees now."""
        if self._camera is None:
            self._camera = Camera(self.model, self.robot.cameras)
        return self._camera.render(self.data, camera)

    def succeeded(self) -> bool:
        """Return whether the predicate has held long enough at any time since `reset`."""
        return self._succeeded

    def close(self) -> None:
        """Free the GL context."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None


def require_limits(model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> None:
    """Raise ConfigError where the robot file lets a joint go where the arm cannot."""
    for joint in robot.joints:
        known = model.joint(model_name(simulation, joint.name))
        ours, (low, high) = sorted(model_range(joint, simulation)), map(float, known.range)
        if model.jnt_limited[known.id] and not (ours[0] >= low - _ROUNDING and ours[1] <= high + _ROUNDING):
            raise ConfigError(
                f"robot '{robot.name}': joint '{joint.name}' has limits [{ours[0]:g}, {ours[1]:g}], "
                f"its arm in the simulator [{low:g}, {high:g}]: correct the robot file"
            )
