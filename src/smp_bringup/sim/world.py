"""One simulated robot at one task: physics, servos, cameras and the success predicate."""

import mujoco
import numpy as np

from smp_bringup.errors import ConfigError
from smp_bringup.robot import Robot
from smp_bringup.sim.mjcf import PHYSICS_PERIOD_S, aloha_spec, finger_joint
from smp_bringup.sim.render import Camera
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.tasks.state import object_state
from smp_bringup.types import FloatArray, ImageArray


class World:
    """The physics of one episode; `reset(seed)` starts the same episode for the same seed, bit for bit."""

    def __init__(self, task: AbstractTask, robot: Robot) -> None:
        if robot.simulation != "aloha":
            raise ConfigError(
                f"robot '{robot.name}' has simulation '{robot.simulation}': only 'aloha' can be simulated"
            )
        self.task, self.robot = task, robot
        spec = aloha_spec(robot)
        task.add_objects(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._camera: Camera | None = None
        self._light = self.model.light_diffuse.copy(), self.model.light_dir.copy()
        names = [joint.name for joint in robot.joints]
        self._qpos = np.array([self.model.joint(n).qposadr[0] for n in names])
        self._dof = np.array([self.model.joint(n).dofadr[0] for n in names])
        self._servo = np.array([self.model.actuator(n).id for n in names])
        self._held_s, self._succeeded = 0.0, False

    @property
    def time_s(self) -> float:
        """Simulated time since `reset` [s]."""
        return float(self.data.time)

    def reset(self, seed: int) -> None:
        """Put the arms at home and draw a layout, colours and light from `seed`."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        home = self.robot.joint_array("home")
        self.data.qpos[self._qpos] = home
        for joint in self.robot.joints:
            if joint.gripper:
                self.data.joint(finger_joint(joint.name)).qpos[0] = -joint.home
        self.data.ctrl[self._servo] = home
        self.task.place(self.model, self.data, rng)
        self._draw_light(rng)
        mujoco.mj_forward(self.model, self.data)
        self._held_s, self._succeeded = 0.0, False

    def set_setpoint(self, position: FloatArray) -> None:
        """Give the servos their targets (J,) [rad], grippers [m]."""
        self.data.ctrl[self._servo] = position

    def pose_arms(self, position: FloatArray) -> None:
        """Put the arms at joint positions (J,) without physics; objects stay."""
        self.data.qpos[self._qpos] = position
        for joint, value in zip(self.robot.joints, position, strict=True):
            if joint.gripper:
                self.data.joint(finger_joint(joint.name)).qpos[0] = -value
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def step(self, duration_s: float) -> None:
        """Advance the physics, checking the success predicate at its end.

        Raises:
            ValueError: the duration is not a whole number of physics periods.
        """
        count = round(duration_s / PHYSICS_PERIOD_S)
        if count < 1 or abs(count * PHYSICS_PERIOD_S - duration_s) > 1e-9:
            raise ValueError(f"{duration_s} s is not a multiple of the physics period {PHYSICS_PERIOD_S} s")
        mujoco.mj_step(self.model, self.data, count)
        holds = self.task.succeeds(self.model, self.data)
        self._held_s = self._held_s + duration_s if holds else 0.0
        self._succeeded |= holds and self._held_s >= self.task.config.hold_s

    def joint_state(self) -> tuple[FloatArray, FloatArray]:
        """Return measured positions (J,) [rad] and velocities (J,) [rad/s], grippers [m] and [m/s]."""
        return self.data.qpos[self._qpos].copy(), self.data.qvel[self._dof].copy()

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

    def _draw_light(self, rng: np.random.Generator) -> None:
        diffuse, direction = self._light
        self.model.light_diffuse[:] = diffuse * self.task.draw(rng, "light")
        tilted = direction + rng.uniform(-0.25, 0.25, direction.shape)
        self.model.light_dir[:] = tilted / np.linalg.norm(tilted, axis=1, keepdims=True)
