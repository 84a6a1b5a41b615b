"""Fixtures of all tests: one seed, one robot, small checkpoints, and DDS that never leaves this machine."""

import os

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

import numpy as np
import pytest

from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.dibm import DibmConfig, DibmPolicyConfig
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.sparse import SparseConfig, SparsePolicyConfig
from smp_bringup.robot import Robot, load_robot

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
