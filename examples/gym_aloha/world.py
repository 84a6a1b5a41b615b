"""A task of gym-aloha as `smp_bringup.sim.simulator.Simulator`: its physics, its layouts, its reward as the judge."""

from pathlib import Path

import numpy as np

from smp_bringup import physics as physics  # first: it chooses MuJoCo's OpenGL

# isort: split
from gym_aloha.constants import (
    DT,
    PUPPET_GRIPPER_POSITION_CLOSE,
    PUPPET_GRIPPER_POSITION_OPEN,
    normalize_puppet_gripper_position,
    unnormalize_puppet_gripper_position,
)
from gym_aloha.env import AlohaEnv

from smp_bringup.robot import Robot, load_robot
from smp_bringup.tasks.state import object_poses
from smp_bringup.types import FloatArray, ImageArray

ROBOT = load_robot(str(Path(__file__).with_name("robot.yaml")))
TASKS = {
    "transfer_cube": "pick up the red cube with the right arm and hand it to the left arm",
    "insertion": "pick up the blue socket and the red peg, and push the peg into the socket",
}
"""What is told of each, in words."""
OBJECTS = {"transfer_cube": ("box",), "insertion": ("peg", "socket")}
"""Their bodies, as the environment calls them."""
BUDGET_S = 8.0
"""400 steps, the length of an episode in the ACT paper's simulation and in LeRobot's evaluation."""
_SOLVED = 4
"""The reward at which the environment ends an episode."""
_TRAVEL = PUPPET_GRIPPER_POSITION_OPEN - PUPPET_GRIPPER_POSITION_CLOSE


class AlohaWorld:
    """One robot at one task; `reset(seed)` draws the layout that the environment draws from that seed."""

    def __init__(self, task: str, robot: Robot = ROBOT) -> None:
        self.task, self.robot = task, robot
        self._env = AlohaEnv(task)
        self._control = self._env._env  # the environment's spaces do not tell velocities and poses
        # At each step it would draw three pictures of 640 x 480; the robot's camera draws those that somebody looks at.
        self._control.task.get_observation = lambda physics: {"images": {"top": np.zeros((0, 0, 3), np.uint8)}}
        self.best_reward = 0
        """The highest since `reset`."""

    def reset(self, seed: int) -> None:
        """Begin the episode of `seed`."""
        self._env.reset(seed=seed)
        self.best_reward = 0

    @property
    def time_s(self) -> float:
        """Simulated time since `reset` [s]."""
        return float(self._control.physics.data.time)

    @property
    def samples(self) -> int:
        """Joints are measured once a step of the environment."""
        return 1

    def set_setpoint(self, position: FloatArray) -> None:
        """Take the targets (J,) [rad], grippers [m], of the next step."""
        self._action = to_action(position, self.robot)

    def step(self, duration_s: float) -> None:
        """Run one step of the environment.

        Raises:
            ValueError: the duration is not that of a step.
        """
        if abs(duration_s - DT) > 1e-9:
            raise ValueError(f"a step of gym-aloha takes {DT} s, not {duration_s:g} s")
        reward = self._env.step(self._action)[1]
        self.best_reward = max(self.best_reward, int(reward))

    def joint_state(self) -> tuple[FloatArray, FloatArray]:
        """Return measured positions (J,) [rad] and velocities (J,) [rad/s], grippers [m] and [m/s]."""
        task, physics = self._control.task, self._control.physics
        position, velocity = task.get_qpos(physics), task.get_qvel(physics)
        grippers = ~self.robot.turning
        position[grippers] = unnormalize_puppet_gripper_position(position[grippers])
        velocity[grippers] *= _TRAVEL
        return position, velocity

    def objects(self) -> FloatArray:
        """Return the poses of the objects (27,), see `smp_bringup.tasks.state`."""
        return object_poses(OBJECTS[self.task], self._control.physics.data.ptr)

    def render(self, camera: str) -> ImageArray:
        """Return the picture (H, W, 3) of one of the environment's cameras in the size of the robot file.

        Without shadows, which take four times as long as all else on a CPU.
        """
        size, physics = self.robot.camera(camera), self._control.physics
        flags = {"shadow": False}
        image: ImageArray = physics.render(size.height, size.width, camera_id=camera, render_flag_overrides=flags)
        return image

    def succeeded(self) -> bool:
        """Return whether the environment has called the episode solved."""
        return self.best_reward == _SOLVED


def to_action(position: FloatArray, robot: Robot = ROBOT) -> FloatArray:
    """Return joint positions (J,) [rad], grippers [m], as an action of the environment, grippers 0 (closed) to 1."""
    action = position.copy()
    grippers = ~robot.turning
    action[grippers] = normalize_puppet_gripper_position(action[grippers])
    return action
