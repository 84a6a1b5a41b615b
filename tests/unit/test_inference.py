"""What one inference may give: F20 and F30 at the policy's end, and what is counted."""

from time import perf_counter
from types import SimpleNamespace

import numpy as np
import pytest

from smp_bringup.action.inference import Inference
from smp_bringup.action.seam import Seam
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.types import ActionChunk, GateReport, nanoseconds


class Doctored:
    """A policy whose gate and chunk are what a test says."""

    def __init__(self, robot, checkpoints):
        self.config = load_policy(checkpoints["smp"][0], robot).config
        self.home = np.array(robot.joint_array("home"))
        self.weight, self.spoiled = np.array([0.4, 0.3, 0.2, 0.1]), None

    def infer(self, observation, seed, prefix=None):
        position = np.tile(self.home, (self.config.horizon, 1))
        if self.spoiled is not None:
            position[self.spoiled] = np.nan
        calls = np.ones(4, np.int64)
        return (
            ActionChunk(observation.stamp_ns, 0.04, position),
            GateReport(observation.stamp_ns, self.weight, self.weight, (0,), 1.0, calls, {}),
        )


@pytest.fixture
def doctored(robot, checkpoints, monkeypatch):
    """An inference over a doctored policy, and the policy."""
    policy = Doctored(robot, checkpoints)
    monkeypatch.setattr("smp_bringup.action.inference.fewer_steps", lambda policy: policy)
    monkeypatch.setattr("smp_bringup.action.inference.fewer_experts", lambda policy: policy)
    return Inference(policy, Seam("latest", robot.dof, 0.04, 0.01), 10.0, 0, perf_counter), policy


def at(seconds):
    return SimpleNamespace(stamp_ns=nanoseconds(seconds))


def test_f30_a_gate_that_leaves_one_expert_alone_for_a_second_is_a_warning_and_its_chunks_go_on(doctored):
    inference, policy = doctored
    policy.weight = np.array([0.001, 0.997, 0.001, 0.001])
    for k in range(10):
        assert inference.run(at(10 + k * 0.1)).chunk is not None
        assert not inference.warning
    inference.run(at(11.0))
    assert inference.warning == "gate collapsed on expert 1"
    policy.weight = np.array([0.5, 0.5, 0.0, 0.0])
    inference.run(at(11.1))
    assert not inference.warning


def test_f30_experts_that_take_turns_alone_are_no_collapse(doctored):
    inference, policy = doctored
    for k in range(40):
        policy.weight = np.eye(4)[k // 5 % 4]
        inference.run(at(10 + k * 0.1))
        assert not inference.warning


@pytest.mark.parametrize("what", ["gate", "chunk"])
def test_f20_f30_what_is_not_finite_is_not_sent_and_counted(doctored, what):
    inference, policy = doctored
    if what == "gate":
        policy.weight = np.array([np.nan, 0.5, 0.5, 0.0])
    else:
        policy.spoiled = (3, 5)
    result = inference.run(at(10))
    assert result.chunk is None
    assert "not finite" in result.cause
    assert inference.values()["nonfinite"] == 1
    assert inference.values()["chunks"] == 0
