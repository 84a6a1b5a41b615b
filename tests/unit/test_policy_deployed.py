"""What each policy does with its experts, against chunks computed by hand on an engine of known answers."""

import numpy as np
import pytest

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import DenoiserConfig, PolicyConfig
from smp_bringup.policy.dibm import DibmConfig, DibmPolicy, DibmPolicyConfig
from smp_bringup.policy.diffusion import DiffusionPolicy
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig, deploy_smp
from smp_bringup.policy.smp_config import GateConfig
from smp_bringup.policy.sparse import SparseConfig, SparsePolicy, SparsePolicyConfig
from smp_bringup.types import Observation

DOF, STEPS = 3, 4
GATE = np.array([0.7, 0.3])
BASIS = np.array([[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]])
SCALE = np.array([2.0, 0.5])
MEAN = np.tile([0.1, 0.2, 0.3], (STEPS, 1))
NOW = np.array([0.05, 0.0, -0.1])
"""The present joints, normalised."""
OWN = np.array([0.4, -0.9])
"""What each expert predicts, whatever it is shown."""
SHARED = np.array([0.3, -0.2, 0.1])


class Known(AbstractEngine):
    """Answers with the constants above, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def encode(self, inputs):
        offset = (MEAN - NOW) @ BASIS
        return {
            "feature": np.zeros(2),
            "gate": GATE,
            "basis": BASIS,
            "scale": SCALE,
            "reference": MEAN,
            "offset": offset,
        }

    def denoise(self, expert, feature, x, mask, embedding):
        self.asked.append((expert, np.array(x), np.array(mask)))
        return np.tile(SHARED, (STEPS, 1)) if expert == 2 else np.full(STEPS, OWN[expert])


@pytest.fixture
def observation():
    return Observation(5, {}, np.zeros((1, DOF)), np.zeros((1, DOF)), np.zeros((1, 2)))


def policy(form, **gate):
    mean = DenoiserConfig(width=16, depth=1) if form == "motion" else None
    smp = SmpConfig(form, experts=2, gate=GateConfig(**gate), mean=mean)
    config = SmpPolicyConfig("smp", track="state", horizon=STEPS, denoise_steps=2, smp=smp)
    engine = Known()
    normalizer = Normalizer(np.array([0.5, -0.5, 1.0]), np.array([2.0, 1.0, 0.5]))
    return deploy_smp(config, engine, normalizer, 0.04), engine


def position(action):
    """Return normalised actions (T, J) as the robot's."""
    return np.array([0.5, -0.5, 1.0]) + np.array([2.0, 1.0, 0.5]) * action


def test_the_literal_chunk_is_the_basis_times_gate_times_coefficients(observation):
    deployed, engine = policy("paper", coverage=1.0)
    chunk, report = deployed.infer(observation, 0)
    z = SCALE * OWN
    action = GATE[0] * z[0] * BASIS[:, 0] + GATE[1] * z[1] * BASIS[:, 1]
    np.testing.assert_allclose(chunk.position, position(np.tile(action, (STEPS, 1))), atol=1e-12)
    assert (chunk.stamp_ns, chunk.period_s) == (5, 0.04)
    assert report.active == (0, 1)
    np.testing.assert_array_equal(report.weight, GATE)
    np.testing.assert_array_equal(report.denoiser_calls, [2, 2])
    assert engine.asked[0][1].shape == (STEPS, 2)


def test_the_literal_chunk_of_one_active_expert_is_its_column_alone(observation):
    deployed, engine = policy("paper", coverage=0.8)
    chunk, report = deployed.infer(observation, 0)
    action = GATE[0] * SCALE[0] * OWN[0] * BASIS[:, 0]
    np.testing.assert_allclose(chunk.position, position(np.tile(action, (STEPS, 1))), atol=1e-12)
    assert report.active == (0,)
    assert {expert for expert, _, _ in engine.asked} == {0}


def test_committed_actions_are_held_as_far_as_the_literal_experts_reach(observation):
    deployed, _ = policy("paper", coverage=1.0)
    known = np.array([0.2, -0.3])
    told = position((GATE * SCALE * known) @ BASIS.T)[None]
    chunk, _ = deployed.infer(observation, 0, told)
    np.testing.assert_allclose(chunk.position[0], told[0], atol=1e-12)
    assert np.abs(chunk.position[1] - told[0]).max() > 0.01


def test_motion_is_the_mean_heads_where_no_expert_speaks(observation):
    deployed, engine = policy("motion", coverage=0.8)
    chunk, _ = deployed.infer(observation, 0)
    b = BASIS[:, [0]]
    action = NOW + b @ OWN[:1] + (np.eye(DOF) - b @ b.T) @ (MEAN[0] - NOW)
    np.testing.assert_allclose(chunk.position, position(np.tile(action, (STEPS, 1))), atol=1e-12)
    np.testing.assert_array_equal(engine.asked[0][2], [1.0, 0.0])
    assert not engine.asked[0][1][:, 1].any()  # what is off is not shown either


def test_without_experts_the_motion_is_the_mean_head(observation):
    deployed, engine = policy("motion", coverage=0.0)
    chunk, report = deployed.infer(observation, 0)
    np.testing.assert_allclose(chunk.position, position(MEAN), atol=1e-12)
    assert engine.asked == []
    assert report.active == ()


def test_beside_the_shared_expert_the_active_ones_add_their_columns(observation):
    deployed, engine = policy("shared", coverage=0.8)
    chunk, report = deployed.infer(observation, 0)
    action = SHARED + OWN[0] * BASIS[:, 0]
    np.testing.assert_allclose(chunk.position, position(np.tile(action, (STEPS, 1))), atol=1e-12)
    np.testing.assert_array_equal(report.denoiser_calls, [2, 0])  # the shared expert is no expert of the gate
    assert [expert for expert, _, _ in engine.asked] == [2, 0, 2, 0]


@pytest.mark.parametrize("form", ["paper", "shared", "motion"])
def test_mass_and_coverage_decide_who_runs_and_the_report_says_so(form, observation):
    share = GATE**2 / (GATE**2).sum()  # 0.845 and 0.155
    _, quadratic = policy(form, coverage=0.8)[0].infer(observation, 0)
    np.testing.assert_allclose(quadratic.mass, share)
    assert (quadratic.active, quadratic.kept_mass) == ((0,), pytest.approx(share[0]))
    _, linear = policy(form, coverage=0.8, mass="linear")[0].infer(observation, 0)
    np.testing.assert_allclose(linear.mass, GATE)
    assert (linear.active, linear.kept_mass) == ((0, 1), pytest.approx(1.0))
    _, most = policy(form, coverage=0.9)[0].infer(observation, 0)
    assert most.active == (0, 1)
    _, one = policy(form, coverage=0.9, top_k=1)[0].infer(observation, 0)
    assert one.active == (0,)


class Responsible(AbstractEngine):
    """Four experts, of which each denoises to its own number."""

    gate = np.array([0.1, 0.2, 0.6, 0.1])

    def encode(self, inputs):
        return {"feature": np.zeros(2), "gate": self.gate}

    def denoise(self, expert, feature, x, mask, embedding):
        return np.full((STEPS, DOF), float(expert) + 0.25 * (mask > 0).sum())


def deployed(kind, config):
    return kind(config, Responsible(), Normalizer(np.zeros(DOF), np.ones(DOF)), 0.04)


def test_dibm_runs_its_most_responsible_expert_alone(observation):
    config = DibmPolicyConfig("dibm", track="state", horizon=STEPS, denoise_steps=3, dibm=DibmConfig(experts=4))
    chunk, report = deployed(DibmPolicy, config).infer(observation, 0)
    np.testing.assert_allclose(chunk.position, 2.25)
    assert (report.active, report.kept_mass) == ((2,), 0.6)
    np.testing.assert_array_equal(report.denoiser_calls, [0, 0, 3, 0])


def test_the_sparse_mixture_is_one_denoiser_that_is_told_the_weights(observation):
    config = SparsePolicyConfig("sparse", track="state", horizon=STEPS, denoise_steps=3, sparse=SparseConfig(4, 2))
    policy = deployed(SparsePolicy, config)
    policy.engine.gate = np.array([0.0, 0.25, 0.75, 0.0])
    chunk, report = policy.infer(observation, 0)
    np.testing.assert_allclose(chunk.position, 0.5)
    assert report.active == (2, 1)
    np.testing.assert_array_equal(report.denoiser_calls, [0, 3, 3, 0])


def test_a_diffusion_policy_has_one_expert(observation):
    config = PolicyConfig("diffusion", track="state", horizon=STEPS, denoise_steps=3)
    chunk, report = deployed(DiffusionPolicy, config).infer(observation, 0)
    np.testing.assert_allclose(chunk.position, 0.25)
    assert (report.active, report.kept_mass) == ((0,), 1.0)
    np.testing.assert_array_equal(report.denoiser_calls, [3])
