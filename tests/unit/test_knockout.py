"""A gate that is spoiled: without its heaviest expert, or with every expert in another's place."""

import numpy as np
import pytest

from smp_bringup.bench.knockout import knocked_out, spoiled
from smp_bringup.errors import ModelError, UnknownNameError
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.trial import blank


def test_a_spoiled_gate_by_hand():
    gate = np.array([0.1, 0.6, 0.3])
    np.testing.assert_allclose(spoiled(gate, "heaviest"), [0.25, 0.0, 0.75])
    np.testing.assert_allclose(spoiled(gate, "permuted"), [0.3, 0.1, 0.6])
    np.testing.assert_allclose(spoiled(np.array([0.0, 1.0]), "heaviest"), [0.5, 0.5])  # nothing is left: all alike
    assert not spoiled(gate, "all").any()


@pytest.mark.parametrize("kind", ["smp", "dibm", "sparse"])
@pytest.mark.parametrize("how", ["heaviest", "permuted"])
def test_a_knocked_out_policy_runs_other_experts_and_leaves_the_policy_alone(kind, how, checkpoints, robot):
    policy = load_policy(checkpoints[kind][0], robot)
    observation = blank(robot, policy.config.observation_steps, 0)
    before, gate = policy.infer(observation, 0)
    chunk, spoilt = knocked_out(policy, how).infer(observation, 0)
    np.testing.assert_allclose(spoilt.weight, spoiled(gate.weight, how))
    other = set(spoilt.active) != set(gate.active)  # an untrained gate may run all
    assert (np.abs(chunk.position - before.position).max() > 1e-6) == other
    np.testing.assert_array_equal(policy.infer(observation, 0)[0].position, before.position)


def test_a_knockout_that_is_none_is_refused(checkpoints, robot):
    with pytest.raises(UnknownNameError):
        knocked_out(load_policy(checkpoints["sparse"][0], robot), "lightest")


def test_a_sparse_mixture_without_any_expert_runs_none_and_the_others_are_refused(checkpoints, robot):
    policy = load_policy(checkpoints["sparse"][0], robot)
    observation = blank(robot, policy.config.observation_steps, 0)
    chunk, gate = knocked_out(policy, "all").infer(observation, 0)
    assert np.abs(chunk.position - policy.infer(observation, 0)[0].position).max() > 1e-6
    assert gate.active == ()
    assert not gate.denoiser_calls.any()
    for kind in ("smp", "dibm"):
        with pytest.raises(ModelError, match="SMP has"):
            knocked_out(load_policy(checkpoints[kind][0], robot), "all")


@pytest.mark.parametrize("kind", ["diffusion", "regression"])
def test_without_a_gate_there_is_nothing_to_spoil(kind, checkpoints, robot):
    with pytest.raises(ModelError):
        knocked_out(load_policy(checkpoints[kind][0], robot), "heaviest")
