"""Committed actions: inpainted by every policy, and seen by the encoder of one trained for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained
from smp_bringup.types import Observation


@pytest.fixture
def observation(robot, rng):
    images = {
        c.name: rng.integers(0, 256, (1, c.observation_height, c.observation_width, 3), dtype=np.uint8)
        for c in robot.cameras
    }
    return Observation(1_000_000_000, images, robot.joint_array("home")[None], np.zeros((1, robot.dof)))


@pytest.fixture
def prefix(robot, rng):
    return robot.joint_array("home") + rng.normal(size=(5, robot.dof)) * 0.05


@pytest.mark.parametrize("kind", ["diffusion", "dibm", "sparse"])
def test_an_inpainted_chunk_begins_with_what_is_committed(kind, checkpoints, robot, observation, prefix):
    policy = load_policy(checkpoints[kind][0], robot)
    free, _ = policy.infer(observation, 5)
    held, _ = policy.infer(observation, 5, prefix)
    np.testing.assert_allclose(held.position[:5], prefix, atol=1e-9)
    assert np.abs(held.position[5:] - free.position[5:]).max() > 1e-6  # and what follows knows of it


def test_a_regression_begins_with_what_is_committed_and_says_the_rest_as_ever(checkpoints, robot, observation, prefix):
    policy = load_policy(checkpoints["regression"][0], robot)
    free, _ = policy.infer(observation, 5)
    held, gate = policy.infer(observation, 5, prefix)
    np.testing.assert_allclose(held.position[:5], prefix, atol=1e-9)
    np.testing.assert_array_equal(held.position[5:], free.position[5:])
    assert gate.denoiser_calls.sum() == 0


def test_smp_comes_as_near_as_its_active_experts_reach(checkpoints, robot, observation, prefix):
    """The residual left is orthogonal to every active column of the basis: nothing that it can express is missed."""
    policy = load_policy(checkpoints["smp"][0], robot)
    _, gate = policy.infer(observation, 5)
    free, _ = policy.infer(observation, 5)
    held, _ = policy.infer(observation, 5, prefix)
    before = np.linalg.norm(free.position[:5] - prefix)
    after = np.linalg.norm(held.position[:5] - prefix)
    assert after < before
    coded = policy.engine.encode(
        {"state": policy._normalizer.normalise(observation.position).astype(np.float32)}
        | {f"image_{name}": observation.images[name] for name in policy.config.cameras}
    )
    left = policy._normalizer.normalise(held.position[:5]) - policy._normalizer.normalise(prefix)
    np.testing.assert_allclose(left @ coded["basis"][:, list(gate.active)], 0, atol=1e-5)


@pytest.mark.parametrize("kind", ["smp", "diffusion"])
def test_a_policy_trained_with_prefixes_sees_them_at_no_more_denoiser_calls(
    kind, small_policies, robot, observation, prefix, tmp_path
):
    torch.manual_seed(0)
    network = build_network(replace(small_policies[kind], prefix_steps=8), robot.dof)
    normalizer = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, 0.5))
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, tmp_path / "model", "# random weights\n")
    policy = load_policy(tmp_path / "model", robot)
    free, calls = policy.infer(observation, 5)
    told, again = policy.infer(observation, 5, prefix)
    shorter, _ = policy.infer(observation, 5, prefix[:2])
    assert np.abs(free.position - told.position).max() > 1e-6
    assert np.abs(shorter.position - told.position).max() > 1e-6
    assert calls.denoiser_calls.sum() == again.denoiser_calls.sum()
