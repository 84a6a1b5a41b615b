"""The planner on given durations: what the policy is told, what is sent, and what is counted (F20, F25, F30)."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.action.planner import Planner
from smp_bringup.action.seam import Seam
from smp_bringup.errors import ConfigError
from smp_bringup.pipeline import build_planner
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.smp_config import SmpConfig, SmpPolicyConfig
from smp_bringup.types import ActionChunk, GateReport, Observation

MS = 1_000_000


class Doctored(AbstractPolicy):
    """A policy whose gate and chunk are what a test says, and which keeps what it was asked."""

    def __init__(self):
        self.config = SmpPolicyConfig("smp", ("overview",), smp=SmpConfig("motion"))
        self.say = {"weight": np.array([0.4, 0.3, 0.2, 0.1]), "position": lambda stamp_ns: np.zeros((16, 2))}
        self.asked = []

    def infer(self, observation, seed, prefix=None):
        self.asked.append((self.config.denoise_steps, self.config.smp.gate.top_k, seed, prefix))
        weight = self.say["weight"]
        gate = GateReport(observation.stamp_ns, weight, weight, (0,), 1.0, np.ones(len(weight), np.int64), {})
        return ActionChunk(observation.stamp_ns, 0.04, self.say["position"](observation.stamp_ns)), gate


@pytest.fixture
def policy():
    return Doctored()


def planner_of(policy, seam="latest", **arguments):
    return Planner(policy, Seam(seam, 2, 0.04, 0.01), seed=7, **arguments)


def plan(planner, ms, took_s=0.02):
    """Return the plan of an observation at `ms`."""
    rows = np.zeros((1, 2))
    return planner.join(planner.infer(Observation(int(ms) * MS, {}, rows, rows)), took_s)


def ramp(stamp_ns):
    """Two joints that pass time [s], whichever chunk says it."""
    return (stamp_ns / 1e9 + 0.04 * np.arange(16))[:, None] * np.ones(2)


def test_f30_a_gate_that_leaves_one_expert_alone_for_a_second_is_a_warning_and_its_chunks_go_on(policy):
    planner = planner_of(policy)
    policy.say["weight"] = np.array([0.001, 0.997, 0.001, 0.001])
    for ms in range(10_000, 11_000, 100):
        assert plan(planner, ms).chunk is not None
        assert not planner.warning
    plan(planner, 11_000)
    assert planner.warning == "gate collapsed on expert 1"
    policy.say["weight"] = np.array([0.5, 0.5, 0.0, 0.0])
    plan(planner, 11_100)
    assert not planner.warning


@pytest.mark.parametrize(
    "weight",
    [
        lambda k: np.eye(4)[k // 5 % 4],  # they take turns
        lambda k: np.array([0.99, 0.01, 0.0, 0.0]),
        lambda k: np.ones(1),  # there is no other
    ],
)
def test_f30_no_expert_that_is_alone_for_long_is_no_collapse(policy, weight):
    planner = planner_of(policy)
    for k in range(40):
        policy.say["weight"] = weight(k)
        plan(planner, 10_000 + 100 * k)
        assert not planner.warning


def test_f30_a_second_alone_is_counted_anew_where_stamps_go_back(policy):
    planner = planner_of(policy)
    policy.say["weight"] = np.eye(4)[2]
    for ms in (100_000, 100_900, 50_000, 50_900):
        plan(planner, ms)
        assert not planner.warning
    plan(planner, 51_000)
    assert planner.warning == "gate collapsed on expert 2"


@pytest.mark.parametrize("what", ["gate", "chunk"])
def test_f20_f30_what_is_not_finite_is_not_sent_counted_and_never_committed(policy, what):
    planner = planner_of(policy, "inpaint")
    sound = dict(policy.say)
    policy.say |= {
        "gate": {"weight": np.array([np.nan, 0.5, 0.5, 0.0])},
        "chunk": {"position": lambda stamp_ns: np.full((16, 2), np.inf)},
    }[what]
    refused = plan(planner, 10_000)
    assert refused.chunk is None
    assert "not finite" in refused.cause
    assert planner.counters == {"chunks": 0, "nonfinite": 1}
    policy.say |= sound
    assert plan(planner, 10_160).chunk is not None
    assert policy.asked[-1][3] is None


def test_f25_late_inferences_make_the_next_ones_cheaper_and_at_the_last_level_a_late_chunk_is_not_sent(policy):
    planner, took_s = planner_of(policy, deadline_s=0.1), [0.11] * 5 + [0.1, 0.02]
    plans = [plan(planner, 160 * k, took) for k, took in enumerate(took_s)]
    assert [asked[:2] for asked in policy.asked] == [(5, 0), (2, 0), *[(2, 1)] * 5]
    assert [p.chunk is not None for p in plans] == [True, True, True, False, False, True, True]
    assert [p.cause for p in plans if p.cause] == ["inference took 110 ms with the least it can do; not sent"] * 2
    assert planner.counters == {
        "chunks": 5,
        "deadline/misses": 5,
        "deadline/fewer_steps": 1,
        "deadline/fewer_experts": 1,
        "deadline/hold": 2,
    }


def test_a_chunk_that_is_not_sent_is_not_committed(policy):
    planner = planner_of(policy, "inpaint", deadline_s=0.1)
    for k in range(3):
        plan(planner, 160 * k, 0.2)
    policy.say["position"] = lambda stamp_ns: np.ones((16, 2))
    assert plan(planner, 480, 0.2).chunk is None
    plan(planner, 640)
    np.testing.assert_array_equal(policy.asked[-1][3], np.zeros((3, 2)))


def test_without_a_deadline_nothing_is_late(policy):
    planner = planner_of(policy)
    for k in range(30):
        assert plan(planner, 160 * k, 1e3).chunk is not None
    assert {asked[:2] for asked in policy.asked} == {(5, 0)}
    assert planner.counters == {"chunks": 30}


def test_the_policy_is_told_what_will_have_been_executed_and_its_chunk_continues_it(policy):
    planner = planner_of(policy, "inpaint")
    policy.say["position"] = ramp
    plan(planner, 1000)
    planner.follows(1000 * MS, 1075 * MS)
    policy.say["position"] = lambda stamp_ns: ramp(stamp_ns) + 0.1
    sent = plan(planner, 1160).chunk
    assert policy.asked[0][2:] == (7, None)
    told = policy.asked[1][3]  # 75 ms of delay and 10 ms of margin are three periods begun, and two knots more
    np.testing.assert_allclose(told, (1.16 + 0.04 * np.arange(5))[:, None] * np.ones(2), atol=1e-12)
    np.testing.assert_array_equal(sent.position[:5], told)
    np.testing.assert_allclose(sent.position[10:], ramp(1160 * MS)[10:] + 0.1, atol=1e-12)
    assert planner.values()["seam_delay_ms"] == 75.0
    plan(planner, 1240)
    np.testing.assert_allclose(policy.asked[2][3], sent.position[2:7], atol=1e-12)  # what was sent, not what was said
    planner.follows(None, 1200 * MS)
    plan(planner, 1320)
    assert policy.asked[3][3] is None


def test_another_policy_goes_on_at_the_level_of_the_first(policy):
    planner, other = planner_of(policy, deadline_s=0.1), Doctored()
    other.config = replace(other.config, denoise_steps=8)
    plan(planner, 0, 0.2)
    planner.replace(other)
    plan(planner, 160)
    assert len(policy.asked) == 1
    assert other.asked[0][:2] == (4, 0)


def test_with_costs_the_first_chunk_is_in_time_and_another_policy_begins_by_its_own(policy):
    planner, other = planner_of(policy, deadline_s=0.1, costs_s=(0.3, 0.15, 0.05)), Doctored()
    plan(planner, 0)
    assert (planner.level, policy.asked[0][:2]) == ("fewer_experts", (2, 1))
    assert planner.values()["cost_ms/fewer_steps"] == 150.0
    planner.replace(other, (0.05, 0.04, 0.03))
    plan(planner, 160)
    assert (planner.level, other.asked[0][:2]) == ("full", (5, 0))


def test_what_waited_for_experts_is_counted_and_timed(policy, monkeypatch):
    planner = planner_of(policy)
    plan(planner, 0)
    assert not any("stall" in key for key in planner.values())
    infer = policy.infer

    def waits(*asked):
        chunk, gate = infer(*asked)
        return chunk, replace(gate, stage_ms={"denoise": 1.0, "stall": 12.0})

    monkeypatch.setattr(policy, "infer", waits)
    plan(planner, 160)
    said = planner.values()
    assert (said["chunks"], said["stalls"], said["stall_ms/max"]) == (2, 1, 12.0)
    assert "stall_ms/max" not in planner.values()


def test_what_is_reported_is_counted_for_good_and_timed_since_the_last_report(policy):
    planner = planner_of(policy, deadline_s=0.05)
    for k, took_s in enumerate((0.01, 0.03, 0.06)):
        plan(planner, 160 * k, took_s)
    said = planner.values()
    assert [said[f"inference_ms/{key}"] for key in ("p50", "max")] == [30.0, 60.0]
    assert (said["chunks"], said["deadline/misses"], said["deadline_level"], said["seam"]) == (
        3,
        1,
        "fewer_steps",
        "latest",
    )
    again = planner.values()
    assert (again["chunks"], again["inference_ms/max"]) == (3, 0.0)


def test_seam_prefix_is_refused_for_a_policy_that_was_not_trained_for_it(policy, robot):
    with pytest.raises(ConfigError, match="seam prefix needs a policy trained with prefix_steps, this smp was not"):
        build_planner(policy, robot, "prefix")
    policy.config = replace(policy.config, prefix_steps=8)
    assert build_planner(policy, robot, "prefix").values()["seam"] == "prefix"
