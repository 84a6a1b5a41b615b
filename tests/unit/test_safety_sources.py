"""Sources that lie, die or flicker: horizons, leases, clocks that are set, holds that come again and again."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.body import Body
from smp_bringup.errors import ConfigError
from smp_bringup.safety import CHECKS
from smp_bringup.safety.base import Context
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, JointSample, Severity, nanoseconds


def long_chunk(rig, steps, period_s=0.04, value=0.0):
    return ActionChunk(rig.now, period_s, np.tile(rig.measured + value, (steps, 1)))


# --- what a chunk may command, and whose chunk it is


@pytest.mark.parametrize(
    ("steps", "period_s", "cause"), [(125, 0.04, None), (126, 0.04, "horizon"), (2, 3.0, "horizon")]
)
def test_a_chunk_commands_for_no_longer_than_the_settings_say(rig, steps, period_s, cause):
    assert rig.take(long_chunk(rig, steps, period_s)) == cause


def test_the_bound_of_the_horizon_is_a_setting_and_comes_before_the_content(make_rig):
    rig = make_rig(replace(load_safety("default"), max_horizon_s=0.5))
    assert rig.take(long_chunk(rig, 100_000, value=np.nan)) == "horizon"
    assert rig.core.refused["chunk/horizon"] == 1
    assert rig.take(long_chunk(rig, 12)) is None


def test_a_source_that_dies_moves_the_arms_for_no_longer_than_its_horizon(rig):
    rig.following()
    moving = 0.3 * np.sin(np.arange(125) / 8)[:, None] * np.array([j.endswith("waist") for j in rig.robot.joint_names])
    assert rig.take(ActionChunk(rig.now, 0.04, rig.measured + moving)) is None
    rig.step(600)
    assert rig.core.mode is Mode.FAULT
    assert rig.core.verdict.check == "source_fresh"


def away(rig, offset):
    wanted = np.array([joint.endswith("waist") for joint in rig.robot.joint_names]) * offset
    return ActionChunk(rig.now, 0.04, np.tile(rig.measured + wanted, (125, 1)))


@pytest.mark.parametrize("said", ["late", "nonfinite", "nothing", "malformed"])
def test_words_are_followed_only_under_the_lease_of_who_said_them(rig, said):
    """A's chunk is not executed for B, whose own words are all refused; and refused words claim nothing."""
    rig.arm()
    rig.step(2)
    assert rig.take(away(rig, 0.2), "A") is None

    def speak(rig):
        if said == "malformed":
            rig.core.on_malformed(Mode.POLICY, "other joints", "B")
        elif said != "nothing":
            rig.take(rig.chunk(age_ms=5000) if said == "late" else long_chunk(rig, 16, value=np.inf), "B")

    before = rig.measured.copy()
    rig.step(150, speak)
    reply = rig.use(Mode.POLICY)
    assert not reply.ok
    assert "there is nobody" in reply.message
    rig.step(50, speak)
    np.testing.assert_array_equal(rig.measured, before)
    assert rig.core._policy.lease.holder is None


def test_who_speaks_usably_gets_the_lease_whatever_another_says(rig):
    rig.arm()
    rig.step(2)
    rig.take(away(rig, 0.2), "A")
    rig.step(150, lambda rig: rig.take(rig.chunk(age_ms=5000), "A"))
    assert rig.take(rig.chunk(age_ms=100), "B") is None
    rig.take(rig.chunk(age_ms=5000), "A")
    assert rig.use(Mode.POLICY).ok
    assert rig.core._policy.lease.holder == "B"
    before = rig.measured.copy()
    rig.step(30)
    np.testing.assert_allclose(rig.measured, before, atol=1e-9)


def test_the_first_chunk_of_a_publisher_is_not_measured_against_those_of_another(rig):
    rig.arm()
    rig.step(2)
    assert rig.take(away(rig, 0.2), "A") is None
    assert rig.take(rig.chunk(age_ms=100), "B") is None  # older than A's
    assert rig.core.jump is None
    rig.step(101, lambda rig: rig.take(rig.chunk(age_ms=100), "B"))  # A has been silent for a second
    before = rig.measured.copy()
    assert rig.use(Mode.POLICY).ok
    rig.step(30)
    np.testing.assert_allclose(rig.measured, before, atol=1e-9)


@pytest.mark.parametrize("leave", ["switch", "disarm"])
def test_a_lease_ends_with_the_mode_that_followed_its_holder(rig, leave):
    rig.arm()
    rig.say(Mode.POLICY, "A")
    assert rig.use(Mode.POLICY).ok
    rig.step(5, lambda rig: rig.say(Mode.TELEOP, "T"))
    if leave == "switch":
        assert rig.use(Mode.TELEOP).ok
    else:
        assert rig.core.disarm().ok
    rig.step(120, lambda rig: rig.say(Mode.TELEOP, "T"))  # A is gone
    if leave == "disarm":
        assert rig.arm().ok
    assert rig.say(Mode.POLICY, "B") is None
    rig.step(1, lambda rig: rig.say(Mode.TELEOP, "T"))
    assert rig.use(Mode.POLICY).ok
    assert rig.core._policy.lease.holder == "B"


def test_an_equal_stamp_does_not_replace_the_chunk_in_execution(rig):
    rig.following()
    chunk = rig.chunk(age_ms=20)
    assert rig.take(chunk) is None
    assert rig.take(replace(chunk, position=chunk.position + 0.1)) == "older"


# --- clocks


@pytest.mark.parametrize("step_s", [-0.015, -0.02, -0.13, -0.4, -0.7, -1.2, -3600.0, 0.3, 5.0])
@pytest.mark.parametrize("period_ms", [10, 20])
def test_a_clock_that_is_set_stops_a_teleoperation_for_no_more_than_100_ms(rig, robot, step_s, period_ms):
    rig.arm()
    home, waist = rig.measured.copy(), np.array([joint.endswith("waist") for joint in robot.joint_names])
    held = []
    for cycle in range(400):
        rig.ms += 10
        now = rig.now + (nanoseconds(step_s) if cycle > 150 else 0)
        if rig.ms % period_ms == 0:
            for arm in robot.arms:
                part = rig.measured[robot.arm_slices[arm.name]]
                rig.core.on_state(arm.name, JointSample(now, part, np.zeros_like(part)), rig.steady)
            wanted, speed = home + 0.3 * waist * np.sin(cycle / 100), 0.3 * waist * np.cos(cycle / 100)
            rig.core.on_teleop(JointSample(now, wanted, speed), now, rig.steady)
        if cycle == 20:
            assert rig.core.use(Mode.TELEOP, now, rig.steady).ok
        output = rig.core.step(now, rig.steady)
        rig.measured = output.command.position.copy()
        held.append(cycle > 25 and output.verdict.severity >= Severity.HOLD)
    assert sum(held) <= 10
    assert rig.core.mode is Mode.TELEOP


@pytest.mark.parametrize("step_s", [-0.1, -0.4, -1.2, -3600.0])
def test_a_chunk_of_a_clock_that_was_set_back_is_dropped_and_the_next_one_followed(rig, step_s):
    rig.following()
    rig.take(rig.chunk(0.02, age_ms=20))
    rig.step(1)
    offset = nanoseconds(step_s)
    rig.ms += 10
    rig.feed()
    held = rig.core.step(rig.now + offset, rig.steady)
    assert (held.verdict.check, held.chunk_stamp_ns) == ("source_fresh", None)
    assert rig.core.refused["clock_reset"] == 1
    rig.ms += 10
    rig.feed()
    chunk = replace(rig.chunk(), stamp_ns=rig.now + offset - 1)
    assert rig.core.on_chunk(chunk, rig.now + offset, rig.steady) is None
    followed = rig.core.step(rig.now + offset, rig.steady)
    assert (followed.verdict.severity, followed.chunk_stamp_ns) == (Severity.PASS, chunk.stamp_ns)


def test_a_chunk_of_the_new_time_is_taken_even_before_the_next_cycle(rig):
    rig.following()
    back = rig.now - nanoseconds(3600.0)
    assert rig.core.on_chunk(replace(rig.chunk(), stamp_ns=back), back, rig.steady) is None


def test_an_older_state_is_refused_and_the_newest_kept(rig):
    rig.ms += 10
    rig.feed()
    part, before = np.full(7, 0.1), rig.core._states.position()
    for age_ms in (0, 5):
        late = JointSample(rig.now - age_ms * 1_000_000, part, np.zeros(7))
        assert rig.core.on_state("left", late, rig.steady) == "older"
    np.testing.assert_array_equal(rig.core._states.position(), before)
    assert rig.core.refused["state/left"] == 2


def test_a_command_is_stamped_when_it_is_due(rig):
    rig.arm()
    assert rig.step().command.stamp_ns == rig.now + 10_000_000


# --- holds that flicker


@pytest.mark.parametrize("every", [7, 8, 12])
def test_a_hold_that_flickers_becomes_a_fault(rig, every):
    """States at 14, 12 and 8 Hz: each late one is a hold, none of them lasts."""
    rig.following(Mode.TELEOP)
    feed = rig.feed
    rig.feed = lambda: feed() if (rig.ms // 10) % every == 0 else None
    seconds = next(k for k in range(1000) if rig.step(say=lambda rig: rig.say(Mode.TELEOP)).mode is Mode.FAULT) / 100
    assert 0.5 < seconds < 5.0
    assert rig.core.verdict.check == "state_fresh"
    assert "again and again" in rig.core.verdict.reason


def test_holds_that_are_rare_do_not(rig):
    rig.following(Mode.TELEOP)
    feed = rig.feed
    rig.feed = lambda: None if rig.ms % 2000 < 70 else feed()
    held = [rig.step(say=lambda rig: rig.say(Mode.TELEOP)).verdict.severity is Severity.HOLD for _ in range(6000)]
    assert sum(held) > 30
    assert rig.core.mode is Mode.TELEOP


def test_a_switch_of_sources_does_not_pay_holds_back(rig):
    rig.following(Mode.TELEOP)
    feed, both = rig.feed, lambda rig: (rig.say(Mode.TELEOP), rig.say(Mode.POLICY))
    rig.feed = lambda: feed() if (rig.ms // 10) % 7 == 0 else None
    for _ in range(600):
        rig.step(say=both)
        if rig.core.mode is Mode.FAULT:
            return
        rig.use(Mode.POLICY if rig.core.mode is Mode.TELEOP else Mode.TELEOP)
    raise AssertionError("no fault")


# --- checks


def test_no_checks_at_all_are_refused_and_those_left_out_are_known(make_rig):
    config = load_safety("default")
    assert make_rig(config).core.left_out == []
    assert make_rig(replace(config, checks=("finite", "state_fresh"))).core.left_out == [
        name for name in CHECKS if name not in ("finite", "state_fresh")
    ]
    with pytest.raises(ConfigError, match="checks: none is listed"):
        replace(config, checks=())


@pytest.mark.parametrize("source", [Mode.POLICY, Mode.TELEOP])
def test_what_sync_calls_invalid_holds_the_policy_and_no_operator(rig, source):
    rig.following(source)
    rig.core.on_observation_state("camera_frozen:overview")
    verdict = rig.step(say=lambda rig: rig.say(source)).verdict
    if source is Mode.POLICY:
        assert (verdict.severity, verdict.check) == (Severity.HOLD, "observation_valid")
        assert verdict.reason == "camera_frozen:overview"
    else:
        assert verdict.severity is Severity.PASS
    rig.core.on_observation_state("")
    assert rig.step(say=lambda rig: rig.say(source)).verdict.severity is Severity.PASS


def test_the_worst_that_any_publisher_says_of_the_observations_counts(rig):
    rig.following(Mode.POLICY)
    reason = lambda: rig.step(say=lambda rig: rig.say(Mode.POLICY)).verdict.reason  # noqa: E731
    rig.core.on_observation_state("camera_frozen:overview", "/sync [1]")
    rig.core.on_observation_state("", "/stranger [2]")
    assert reason() == "camera_frozen:overview (/sync [1])"
    rig.core.observations.present({"/sync [1]", "/stranger [2]"})
    assert reason() == "camera_frozen:overview (/sync [1])"
    rig.core.observations.present(set())
    assert reason() == "camera_frozen:overview (/sync [1])", "nobody speaks in its place"
    rig.core.observations.present({"/stranger [2]"})
    assert reason() == ""


@pytest.mark.parametrize("where", [0, 3, -1])
def test_the_workspace_is_kept_by_the_whole_path_of_a_stop(robot, where):
    """Not by its first step alone, nor by its end alone."""
    config = load_safety("default")
    check = CHECKS["workspace"](robot, config)
    home = np.array(robot.joint_array("home"))
    path = np.tile(home, (8, 1))
    path[where, robot.joint_names.index("left_shoulder")] = 1.2
    low = min(hand[0, :, 2].min() for hand in Body(robot, config.self_gap).hands(path[where][None]))
    assert low < config.workspace_min[2]
    assert check.verdict(Context(1, home, {}, True, home, np.tile(home, (8, 1)))).severity is Severity.PASS
    verdict = check.verdict(Context(1, home, {}, True, home, path))
    assert verdict.severity is Severity.HOLD
    assert "'left'" in verdict.reason
