"""The deadline on given durations: what is given up, what comes back, and what is counted (F25)."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.action.deadline import Deadline
from smp_bringup.policy import reduced
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.reduced import fewer_experts, fewer_steps
from smp_bringup.types import Observation


def test_each_miss_gives_up_more_and_the_last_holds():
    deadline = Deadline(0.1)
    sent = []
    for _ in range(5):
        level = deadline.level
        sent.append((level, deadline.took(0.2)))
    assert sent == [("full", True), ("fewer_steps", True), ("fewer_experts", True), ("hold", False), ("hold", False)]
    assert deadline.counters == {"misses": 5, "fewer_steps": 1, "fewer_experts": 1, "hold": 2}


def test_one_in_time_is_sent_even_at_the_last_level():
    deadline = Deadline(0.1)
    for _ in range(4):
        deadline.took(0.2)
    assert deadline.took(0.09)
    assert deadline.level == "hold"


def test_twenty_with_time_to_spare_bring_a_level_back():
    deadline = Deadline(0.1)
    deadline.took(0.2)
    for _ in range(19):
        deadline.took(0.04)
    deadline.took(0.08)
    assert deadline.level == "fewer_steps"
    for _ in range(20):
        deadline.took(0.04)
    assert deadline.level == "full"


def test_the_deadline_itself_is_in_time_and_half_of_it_has_time_to_spare():
    deadline = Deadline(0.1)
    assert deadline.took(0.1)
    assert deadline.level == "full"
    deadline.took(0.101)
    for _ in range(20):
        assert deadline.level == "fewer_steps"
        deadline.took(0.05)
    assert deadline.level == "full"
    assert (deadline.counters["misses"], deadline.counters["fewer_steps"]) == (1, 20)


def test_only_what_was_quick_since_the_last_miss_brings_a_level_back():
    deadline = Deadline(0.1)
    for took_s in [0.01] * 30 + [0.2] + [0.01] * 19:
        deadline.took(took_s)
    assert deadline.level == "fewer_steps"


@pytest.mark.parametrize(
    ("deadline_s", "level"),
    [(0.16, "full"), (0.159, "fewer_steps"), (0.07, "fewer_experts"), (0.01, "fewer_experts")],
)
def test_the_first_inference_is_at_the_first_level_that_is_in_time(deadline_s, level):
    deadline = Deadline(deadline_s, (0.16, 0.08, 0.02))
    assert deadline.level == level
    assert not deadline.counters


def test_a_level_that_would_be_late_does_not_come_back_until_the_machine_is_quicker():
    deadline = Deadline(0.05, (0.16, 0.08, 0.02))
    for _ in range(100):
        assert deadline.took(0.02)
        assert deadline.level == "fewer_experts"
    for _ in range(20):
        deadline.took(0.0125)  # at which fewer steps would take 50 ms
    assert deadline.level == "fewer_steps"
    for _ in range(100):
        deadline.took(0.05)
    assert deadline.level == "fewer_steps"
    assert deadline.counters == {"fewer_experts": 120, "fewer_steps": 100}


def test_what_costs_little_less_comes_back_sooner_than_where_nothing_is_known():
    for costs_s, back in (((0.09, 0.08, 0.07), "full"), ((), "fewer_steps")):
        deadline = Deadline(0.1, costs_s)
        deadline.took(0.2)
        for _ in range(20):
            deadline.took(0.08)
        assert deadline.level == back


def test_costs_are_the_middle_ones_of_each_level(monkeypatch, small_policies):
    clock, spoilt = [0.0], [9.0, 0.0, 0.0] * 3

    class Slow(AbstractPolicy):
        config = replace(small_policies["smp"], denoise_steps=4)

        def infer(self, observation, seed, prefix=None):
            clock[0] += self.config.denoise_steps * (self.config.smp.gate.top_k or 4) + spoilt.pop()

    monkeypatch.setattr(reduced, "perf_counter", lambda: clock[0])
    assert reduced.costs_s(Slow(), None) == (16.0, 8.0, 2.0)
    assert not spoilt


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_duration_that_is_no_number_is_a_miss(bad):
    deadline = Deadline(0.1)
    deadline.took(bad)
    assert deadline.counters["misses"] == 1


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression", "sparse"])
def test_reduced_policies_call_fewer_denoisers_and_leave_the_full_one_alone(kind, checkpoints, robot, rng):
    policy = load_policy(checkpoints[kind][0], robot)
    if kind == "smp":
        policy = load_policy(checkpoints[kind][0], robot, changes=["gate.coverage=1.0"])
    images = {
        c.name: rng.integers(0, 256, (1, c.observation_height, c.observation_width, 3), dtype=np.uint8)
        for c in robot.cameras
    }
    observation = Observation(1, images, robot.joint_array("home")[None], np.zeros((1, robot.dof)))
    before, full = policy.infer(observation, 3)
    _, lean = fewer_steps(policy).infer(observation, 3)
    _, least = fewer_experts(fewer_steps(policy)).infer(observation, 3)
    if kind != "regression":  # which denoises nothing
        assert lean.denoiser_calls.sum() < full.denoiser_calls.sum()
    assert least.denoiser_calls.sum() <= lean.denoiser_calls.sum()
    if kind == "smp":
        assert least.denoiser_calls.sum() == 2
    np.testing.assert_array_equal(policy.infer(observation, 3)[0].position, before.position)
