"""Fixtures of all tests: one seed, one robot, small checkpoints, and DDS that never leaves this machine."""

import os

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
if worker := os.environ.get("PYTEST_XDIST_WORKER", ""):
    os.environ["OMP_NUM_THREADS"] = "1"  # each of the workers has a core
    os.environ["ROS_DOMAIN_ID"] = str(1 + (2 * os.getppid() + int(worker.removeprefix("gw"))) % 100)  # and a domain
else:
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.arm import Arm
from smp_bringup.joints import DriverJoint, Joint
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.dibm import DibmConfig, DibmPolicyConfig
from smp_bringup.policy.regression import RegressionPolicyConfig
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.sparse import SparseConfig, SparsePolicyConfig
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.types import JointSample, nanoseconds


def pytest_runtest_setup(item):
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")


CAMERAS = ("overview", "wrist_left")
PARTS = {
    "denoiser": DenoiserConfig(width=16, depth=1),
    "encoder": EncoderConfig(channels=(4, 8), keypoints=4, feature=32),
}
SMALL = {
    "smp": SmpPolicyConfig(
        "smp", CAMERAS, **PARTS, smp=SmpConfig("motion", experts=4, mean=DenoiserConfig(width=32, depth=1))
    ),
    "dibm": DibmPolicyConfig("dibm", CAMERAS, **PARTS, dibm=DibmConfig(experts=4)),
    "diffusion": PolicyConfig("diffusion", CAMERAS, **PARTS),
    "regression": RegressionPolicyConfig("regression", CAMERAS, **PARTS),
    "sparse": SparsePolicyConfig("sparse", CAMERAS, **PARTS, sparse=SparseConfig(experts=4)),
}
"""Policies that train a step and run in milliseconds."""


@pytest.fixture
def rng() -> np.random.Generator:
    """The randomness of a test."""
    return np.random.default_rng(20260121)


@pytest.fixture(scope="session")
def robot() -> Robot:
    """The shipped robot."""
    return load_robot("aloha")


BASE = Arm(
    "base",
    "/base_controller/odom",
    "/base_controller/cmd_vel",
    (
        Joint(
            "base_x",
            -0.3,
            0.6,
            acceleration=0.8,
            jerk=10,
            prismatic=True,
            rate=True,
            driver=DriverJoint("linear.x"),
        ),
        Joint("base_yaw", -1.0, 1.0, acceleration=2, jerk=20, rate=True, driver=DriverJoint("angular.z")),
    ),
    leader_topic="/joystick/cmd_vel",
    command_interface="twist",
)
"""A base with two driven wheels."""


@pytest.fixture(scope="session")
def mobile(robot) -> Robot:
    """The arms of the shipped robot on a base that drives."""
    return replace(robot, name="mobile", simulation="", model="", arms=(*robot.arms, BASE))


@pytest.fixture
def random_batch():
    """Return what draws a batch for a policy of the state track that sees so many numbers of object poses."""
    import torch

    from smp_bringup.policy.batch import Batch

    def draw(config, objects, rows=8, dof=14):
        return Batch(
            {"state": torch.randn(rows, 1, dof), "objects": torch.randn(rows, 1, objects)},
            {},
            torch.randn(rows, config.horizon, dof),
            torch.zeros(rows, 0, dof),
            torch.arange(rows) % 3 == 0,
            torch.randint(config.diffusion_steps, (rows,)),
            torch.randn(rows, config.horizon, dof),
            torch.rand(rows),
        )

    return draw


@pytest.fixture(scope="session")
def small_policies():
    """Settings of one small policy of each kind."""
    return SMALL


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory, robot, small_policies):
    """Per kind: the folder of a small checkpoint with random weights, and its network."""
    import torch

    from smp_bringup.observation.normalizer import Normalizer
    from smp_bringup.policy.build import build_network
    from smp_bringup.training.save import save_checkpoint
    from smp_bringup.training.trainer import Trained

    out = {}
    for kind, config in small_policies.items():
        torch.manual_seed(3)
        network = build_network(config, robot.dof)
        normalizer = Normalizer(
            np.array(robot.joint_array("home")), np.full(robot.dof, 0.2)
        )  # chunks of random weights stay near home
        folder = tmp_path_factory.mktemp(kind) / "model"
        save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, folder, "# random weights\n")
        out[kind] = folder, network
    return out


@pytest.fixture(scope="session")
def drive():
    """Give what drives a command core from one pose to another by teleoperation."""
    return _drive


def _drive(core, robot, start, goal, travel_s, cycles):
    """Arm, and lead the arms from `start` to `goal` (J,) in so long; yield what each cycle published."""
    at, period = start, robot.control_period_s
    for cycle in range(cycles):
        now = nanoseconds(1 + cycle * period)
        for arm in robot.arms:
            part = at[robot.arm_slices[arm.name]]
            core.on_state(arm.name, JointSample(now, part, np.zeros_like(part)), now)
        if cycle == 0:
            assert core.arm(now).ok
        share = np.clip((cycle - 5) * period / travel_s, 0, 1)
        moving = (goal - start) / travel_s * (0 < share < 1)
        core.on_teleop(JointSample(now, start + share * (goal - start), moving), now, now)
        if cycle == 0:
            assert core.use(Mode.TELEOP, now, now).ok
        output = core.step(now, now)
        at = output.command.position
        yield output
