"""The command core with a fake clock: modes, sources, watchdogs and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.safety import CHECKS
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import JointLimits, load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import JointSample, Severity

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
STEADY0 = 5_000_000_000


def test_nothing_is_published_before_arming_and_arming_does_not_move(rig):
    assert rig.step().command is None
    before = rig.measured.copy()
    assert rig.arm().ok
    output = rig.step(50)
    assert output.mode is Mode.HOLD
    np.testing.assert_array_equal(output.command.position, before)


@pytest.mark.parametrize("silent", ["left", "right"])
def test_arming_needs_a_fresh_state_of_every_arm(rig, silent):
    rig.silent.add(silent)
    rig.step(20)
    reply = rig.arm()
    assert not reply.ok
    assert f"no fresh state of arm '{silent}'" in reply.message


def test_a_chunk_is_followed_by_time_and_its_end_holds_then_faults(rig):
    rig.following()
    assert rig.take(rig.chunk(0.05, age_ms=60)) is None
    target = rig.measured + 0.05
    assert rig.step(40).verdict.severity is Severity.PASS
    inside = np.clip(target, rig.robot.joint_array("min"), rig.robot.joint_array("max"))
    np.testing.assert_allclose(rig.measured, inside, atol=1e-3)
    held = rig.step(30)
    assert (held.verdict.severity, held.verdict.check, held.mode) == (Severity.HOLD, "source_fresh", Mode.POLICY)
    assert rig.step(60).mode is Mode.FAULT
    assert not rig.core.disarm().ok
    assert rig.reset().ok
    assert rig.core.mode is Mode.DISARMED


@pytest.mark.parametrize("silent", ["left", "right"])
def test_one_silent_arm_stops_both(rig, silent):
    """Within the state timeout of 50 ms and one cycle; a hold that lasts becomes a fault."""
    rig.following(Mode.TELEOP)
    rig.silent.add(silent)
    goal = rig.measured + 0.1 * rig.robot.turning
    verdicts = []
    for _ in range(100):
        rig.core.on_teleop(JointSample(rig.now, goal, np.zeros(rig.robot.dof)), rig.now, rig.steady)
        verdicts.append(rig.step().verdict)
    first = next(i for i, v in enumerate(verdicts) if v.severity is Severity.HOLD)
    assert first <= 6
    assert silent in verdicts[first].reason
    assert rig.core.mode is Mode.FAULT
    still = rig.measured.copy()
    np.testing.assert_array_equal(rig.step(5).command.position, still)


def test_a_silent_teleoperation_stops_within_its_timeout(rig):
    rig.following(Mode.TELEOP)
    for _ in range(20):
        rig.teleop(0.1)
        rig.step()
    outputs = [rig.step() for _ in range(12)]
    assert outputs[-1].verdict.check == "source_fresh"


def test_a_joint_that_is_pushed_away_holds_both_arms(rig):
    rig.following()
    rig.take(rig.chunk(), "")
    for _ in range(7):
        rig.ms += 1
        rig.measured[3] += 0.1  # no faster than an encoder could say
        rig.feed()
    rig.ms += 3
    verdict = rig.core.step(rig.now, rig.steady).verdict
    assert (verdict.severity, verdict.check) == (Severity.HOLD, "state_near")
    assert rig.robot.joint_names[3] in verdict.reason


@pytest.mark.parametrize("mode", ["disarmed", "hold", "policy", "teleop", "fault"])
def test_the_emergency_stop_latches_in_every_mode_and_releasing_moves_nothing(rig, mode):
    if mode != "disarmed":
        rig.arm()
    if mode in ("policy", "teleop"):
        rig.say(Mode(mode))
        assert rig.use(Mode(mode)).ok
    if mode == "policy":
        rig.take(rig.chunk(0.2))
        rig.step(5)
    if mode == "fault":
        rig.take(rig.chunk())
        assert rig.use(Mode.POLICY).ok
        rig.step(150)
        assert rig.core.mode is Mode.FAULT
    assert rig.core.estop(True).ok
    assert rig.core.mode is Mode.ESTOP
    for refused in (rig.arm(), rig.use(Mode.POLICY), rig.core.disarm()):
        assert not refused.ok
    assert not rig.reset().ok
    rig.step(100)
    still = rig.measured.copy()
    assert rig.core.estop(False).ok
    rig.take(rig.chunk(0.3))
    rig.step(20)
    np.testing.assert_array_equal(rig.measured, still)
    assert rig.core.mode is Mode.ESTOP
    assert rig.reset().ok
    assert rig.core.mode is Mode.DISARMED


@pytest.mark.parametrize("source", [Mode.POLICY, Mode.TELEOP])
def test_a_hold_lets_go_of_the_source_and_stands_once_the_arms_rest(rig, source):
    rig.following(source)
    move = (lambda rig: rig.teleop(0.05)) if source is Mode.TELEOP else None
    if source is Mode.POLICY:
        rig.take(rig.chunk(0.2))
    rig.step(10, move)
    assert (rig.core.hold().ok, rig.core.mode) == (True, Mode.HOLD)
    rig.say(source)
    early = rig.use(source)
    assert (early.ok, early.message) == (False, "the arms are still coming to rest")
    rig.step(60)
    still = rig.measured.copy()
    rig.step(100, move)  # nobody is followed, and nothing is held against the silence
    np.testing.assert_array_equal(rig.measured, still)
    assert rig.core.mode is Mode.HOLD
    assert rig.core.hold().message == "holding"
    rig.say(source)
    assert rig.use(source).ok


def test_only_armed_arms_can_be_held(rig):
    assert rig.core.hold().message == "cannot hold in disarmed: arm first"
    rig.core.estop(True)
    assert rig.core.hold().message == "cannot hold in estop: reset first"


def test_a_reset_waits_for_the_arms_to_rest(rig):
    rig.following()
    rig.take(rig.chunk(0.4))
    rig.step(10)
    rig.core.estop(True)
    rig.core.estop(False)
    assert "coming to rest" in rig.reset().message
    rig.step(60)
    assert rig.reset().ok


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda r: r.chunk(age_ms=-3_600_000), "future"),
        (lambda r: r.chunk(offset=1.5), "far"),
        (lambda r: r.chunk(offset=np.nan), "nonfinite"),
        (lambda r: r.chunk(offset=np.inf), "nonfinite"),
        (lambda r: r.chunk(age_ms=40), "older"),
    ],
)
def test_a_bad_chunk_is_refused_counted_and_the_good_one_goes_on(rig, change, cause):
    rig.following()
    good = rig.chunk(0.02, age_ms=20)
    assert rig.take(good) is None
    assert rig.take(change(rig)) == cause
    assert rig.core.refused[f"chunk/{cause}"] == 1
    output = rig.step()
    assert output.verdict.severity is Severity.PASS
    assert output.chunk_stamp_ns == good.stamp_ns


def test_a_chunk_whose_time_has_passed_is_refused(rig):
    assert rig.take(rig.chunk(age_ms=10_000)) == "late"


def test_states_that_are_not_finite_or_of_another_size_are_refused(rig):
    for bad in (np.full(7, np.nan), np.zeros(6)):
        rig.core.on_state("left", JointSample(rig.now, bad, bad), rig.steady)
    assert rig.core.refused["state/left"] == 2


def test_a_new_source_inherits_nothing_from_the_last(rig):
    rig.following()
    rig.take(rig.chunk(0.05))
    rig.step(3, lambda rig: rig.teleop())
    assert rig.use(Mode.TELEOP).ok
    rig.step()
    refused = rig.use(Mode.POLICY)
    assert not refused.ok
    assert "gives no setpoint" in refused.message


def test_checks_are_found_by_name():
    with pytest.raises(UnknownNameError, match="did you mean 'finite'"):
        CHECKS["finit"]


def test_a_longer_list_of_checks_is_never_less_strict(robot):
    from smp_bringup.safety.base import Context
    from smp_bringup.safety.chain import judge, strictest
    from smp_bringup.safety.config import load_safety

    names, config = list(CHECKS), load_safety("default")
    home = np.array(robot.joint_array("home"))
    nan, late = np.full(robot.dof, np.nan), {"left": 1}
    for context in (
        Context(1, home, {}, True, nan),
        Context(1, home, {}, True, None, nonfinite_states=late, late_s=0.2),
        Context(1, home, {}, True, home + 3, (home + np.linspace(0, 1, 20)[:, None] * 3)),
    ):
        severities = [
            strictest(judge([CHECKS[n](robot, config) for n in names[:k]], context)).severity
            for k in range(len(names) + 1)
        ]
        assert severities == sorted(severities)
        assert severities[-1] >= Severity.HOLD


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_scaled_speed_limit_is_reached_and_kept(make_rig, scale):
    rig = make_rig(replace(load_safety("default"), velocity_scale=scale, ramp_in_s=0.01))
    rig.following(Mode.TELEOP)
    start, goal = rig.ms, rig.measured.copy()
    waists = np.array([joint.endswith("waist") for joint in rig.robot.joint_names])

    def say(rig):
        wanted = goal + waists * min(0.45, 0.003 * (rig.ms - start))
        rig.core.on_teleop(JointSample(rig.now, wanted, np.zeros(14)), rig.now, rig.steady)

    rig.step(60, say)
    speed = np.abs(np.array(rig.rows)[:, 1]).max(axis=0)[0]
    assert 0.5 * scale * 3.0 < speed <= scale * 3.0 * (1 + 1e-6)


@pytest.mark.parametrize(("key", "value"), [("min", -3.2), ("max", 3.2), ("velocity", 3.1), ("jerk", 601.0)])
def test_limits_are_tightened_and_never_loosened(robot, key, value):
    config = load_safety("default")
    with pytest.raises(ConfigError, match=f"limits: {key} .* of joint 'left_waist' is looser than the robot's"):
        bounds(robot, replace(config, limits={"left_waist": JointLimits(**{key: value})}))
    tighter = 300.0 if key == "jerk" else 0.5
    assert (
        getattr(
            bounds(robot, replace(config, limits={"left_waist": JointLimits(**{key: tighter})})),
            {"min": "low", "max": "high"}.get(key, key),
        )[0]
        == tighter
    )
