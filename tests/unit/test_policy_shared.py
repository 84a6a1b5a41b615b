"""SMP beside a shared expert: what the others add, what trains whom, and what experts may know in training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig
from smp_bringup.policy.denoise import sample
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig, deploy_smp
from smp_bringup.policy.smp_config import GateConfig, SharedConfig
from smp_bringup.training.objective import Objective
from smp_bringup.types import Observation

OBJECTS, SMALL = 9, DenoiserConfig(width=16, depth=1)
CONFIG = SmpPolicyConfig(
    "smp",
    track="state",
    horizon=8,
    denoiser=SMALL,
    encoder=EncoderConfig(feature=24),
    foresight_s=(),
    denoise_steps=1,
    smp=SmpConfig("shared", experts=5, shared=SharedConfig(SMALL, experts=4)),
)


@pytest.fixture
def network(robot):
    torch.manual_seed(0)
    return build_network(CONFIG, robot.dof, OBJECTS)


@pytest.fixture
def observation(robot, rng):
    objects = rng.normal(size=(1, OBJECTS)).astype(np.float32)
    return Observation(1_000_000_000, {}, rng.normal(size=(1, robot.dof)), np.zeros((1, robot.dof)), objects)


def deployed(network, robot, config=CONFIG, **gate):
    config = replace(config, smp=replace(config.smp, gate=replace(config.smp.gate, **gate)))
    normalizer = Normalizer(np.zeros(robot.dof), np.ones(robot.dof))
    return deploy_smp(config, TorchEngine(network), normalizer, robot.action_period_s)


def test_without_others_the_shared_expert_is_a_diffusion_policy(network, robot, observation):
    config = replace(CONFIG, denoise_steps=3)
    policy = deployed(network, robot, config, coverage=0.0)
    chunk, report = policy.infer(observation, 7)
    feature = policy.encode(observation)["feature"]
    engine, rng = TorchEngine(network), np.random.default_rng(7)
    noise = rng.normal(size=(CONFIG.horizon, robot.dof))
    none = np.zeros(CONFIG.smp.experts)
    alone = sample(lambda x, e: engine.denoise(CONFIG.smp.experts, feature, x, none, e), noise, config, rng)
    np.testing.assert_allclose(chunk.position, alone, atol=1e-6)
    assert report.active == ()
    assert report.denoiser_calls.sum() == 0


def test_an_active_expert_changes_the_action_along_its_column_alone(network, robot, observation):
    alone, _ = deployed(network, robot, coverage=0.0).infer(observation, 7)
    policy = deployed(network, robot, top_k=2)
    chunk, report = policy.infer(observation, 7)
    column = policy.encode(observation)["basis"][:, list(report.active)]
    change = chunk.position - alone.position
    assert np.abs(change).max() > 1e-3
    np.testing.assert_allclose(change @ column @ column.T, change, atol=1e-5)
    assert report.denoiser_calls.tolist() == [int(i in report.active) for i in range(CONFIG.smp.experts)]


def test_a_committed_prefix_is_kept(network, robot, observation, rng):
    prefix = rng.normal(size=(3, robot.dof)) * 0.1
    chunk, _ = deployed(network, robot, replace(CONFIG, denoise_steps=5)).infer(observation, 7, prefix)
    np.testing.assert_allclose(chunk.position[:3], prefix, atol=1e-6)


def test_the_error_of_the_sum_trains_all_experts_but_never_the_basis(network, random_batch):
    Objective(network)(random_batch(CONFIG, OBJECTS))["denoise"].backward()

    def moved(module):
        return any(p.grad is not None and p.grad.any() for p in module.parameters())

    assert moved(network.shared)
    assert moved(network.experts)
    assert not moved(network.basis)


@pytest.mark.parametrize(("train_by", "knows"), [("router", False), ("posterior", True)])
def test_only_the_posterior_tells_experts_of_the_action_by_choosing_them(
    train_by, knows, network, random_batch, monkeypatch
):
    network.config = replace(CONFIG, smp=replace(CONFIG.smp, gate=GateConfig(train_by=train_by)))
    seen, denoise_active = [], network.denoise_active

    def watched(feature, x, mask, embedding):
        seen.append(mask)
        return denoise_active(feature, x, mask, embedding)

    monkeypatch.setattr(network, "denoise_active", watched)
    one = random_batch(CONFIG, OBJECTS)
    for action in (one.action, 3 * torch.randn_like(one.action)):
        Objective(network)(replace(one, action=action))
    assert (not torch.equal(*seen)) == knows
