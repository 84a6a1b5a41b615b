"""Leaders that are merged into one source: each has its own age, its own jump test, its own stamps and its name."""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

from smp_bringup import wire
from smp_bringup.action.teleop import Leaders
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import JointSample, Severity, nanoseconds

Cycle = namedtuple("Cycle", "time_s output")
HZ = {"left": 100.0, "right": 100.0}


def teleoperate(rig, leader, duration_s, hz=HZ, jitter_s=0.0, skew_ns=lambda arm, time_s: 0):
    """Let leaders move the arms of a rig; return the cycles that followed them or held.

    Args:
        rig: armed here, and told to follow.
        leader: (arm, time_s) to the offset of the arm's first joint [rad], or None where it says nothing.
        duration_s: of all.
        hz: samples a second of each leader.
        jitter_s: spread of the instants at which leaders are sampled; every stamp is exact.
        skew_ns: (arm, time_s) to how far the leader's clock is ahead.
    """
    rng, leaders, home, cycles = np.random.default_rng(0), Leaders(rig.robot), rig.measured.copy(), []
    start_ns = rig.now
    instants = sorted(
        (k / hz[arm] + rng.uniform(0, jitter_s), arm) for arm in hz for k in range(int(duration_s * hz[arm]))
    )
    for k in range(round(duration_s * 100)):
        time_s = 0.01 * (k + 1)
        rig.ms += 10
        while instants and instants[0][0] <= time_s:
            at_s, arm = instants.pop(0)
            offset = leader(arm, at_s)
            if offset is None:
                continue
            position = home[rig.robot.arm_slices[arm]].copy()
            position[0] += offset
            names = [joint.name for joint in rig.robot.arm(arm).joints]
            stamp = start_ns + nanoseconds(at_s) + skew_ns(arm, at_s)
            merged = leaders.push(arm, stamp, names, position)
            if merged is not None:
                rig.core.on_teleop(merged, rig.now, rig.steady)
        rig.feed()
        if k == 5:
            assert rig.arm().ok
        if k == 20:
            assert rig.use(Mode.TELEOP).ok
        output = rig.core.step(rig.now, rig.steady)
        if output.command is not None:
            rig.measured = output.command.position.copy()
            cycles.append(Cycle(time_s, output))
    return cycles


def first_joint(rig, arm):
    return rig.robot.arm_slices[arm].start


def steady(arm, time_s):
    """Move at 0.5 rad/s from 0.5 s on."""
    return 0.5 * max(0.0, time_s - 0.5)


@pytest.mark.parametrize("silent", ["left", "right"])
@pytest.mark.parametrize("hz", [HZ, {"left": 50.0, "right": 100.0}, {"left": 100.0, "right": 30.0}])
def test_a_silent_leader_holds_both_arms_is_named_and_is_not_chased_when_it_returns(rig, silent, hz):
    def leader(arm, time_s):
        if arm != silent:
            return 0.3 * np.sin(time_s)
        return None if 1.0 < time_s < 2.0 else (0.4 if time_s >= 2 else 0.0)

    cycles = teleoperate(rig, leader, 3.0, hz)
    first = next(c for c in cycles if c.output.verdict.severity >= Severity.HOLD)
    assert first.output.verdict.check == "source_fresh"
    assert f"leader of arm '{silent}'" in first.output.verdict.reason
    assert first.output.verdict.reason.count("leader") == 1  # the other one is still heard
    assert len(first.output.reasons) == 1
    assert first.time_s <= 1.0 + 0.1 + 0.02
    assert cycles[-1].output.mode is Mode.FAULT
    after = [np.abs(c.output.command.velocity[first_joint(rig, silent)]) for c in cycles if c.time_s > 1.3]
    assert max(after) == 0.0


@pytest.mark.parametrize("silent", [["left"], ["right"], ["left", "right"]])
@pytest.mark.parametrize(
    ("pause_s", "back", "mode"), [(0.3, 0.4, Mode.FAULT), (0.3, 0.05, Mode.TELEOP), (0.0, 0.4, Mode.FAULT)]
)
def test_a_leader_that_comes_back_or_jumps_is_followed_again_from_nearby_only(rig, silent, pause_s, back, mode):
    def leader(arm, time_s):
        if arm not in silent or time_s < 1.0:
            return 0.0
        return None if time_s < 1.0 + pause_s else back

    cycles = teleoperate(rig, leader, 2.5)
    moved = [
        c.output.command.position[first_joint(rig, silent[0])]
        - cycles[0].output.command.position[first_joint(rig, silent[0])]
        for c in cycles
    ]
    assert cycles[-1].output.mode is mode
    if mode is Mode.FAULT:
        assert max(moved) == 0.0
        assert rig.core.verdict.check == "source_near"
        assert "was silent or jumped" in rig.core.verdict.reason
    else:
        assert moved[-1] == pytest.approx(back, abs=1e-3)


def test_a_leader_that_is_brought_back_in_time_is_followed_again(rig):
    def leader(arm, time_s):
        if arm == "right" or time_s < 1.0:
            return 0.0
        return None if time_s < 1.2 else max(0.05, 0.4 - 2.0 * (time_s - 1.2))

    cycles = teleoperate(rig, leader, 2.5)
    assert {c.output.mode for c in cycles} == {Mode.HOLD, Mode.TELEOP}
    assert max(np.abs(c.output.command.velocity[0]) for c in cycles) < 1.5


@pytest.mark.parametrize(
    ("hz", "jitter_s"),
    [
        (HZ, 0.0),
        (HZ, 0.001),
        (HZ, 0.005),
        ({"left": 50.0, "right": 100.0}, 0.0),
        ({"left": 100.0, "right": 30.0}, 0.003),
    ],
)
def test_followers_keep_the_speed_of_leaders_that_are_not_sampled_together(rig, hz, jitter_s):
    cycles = [c for c in teleoperate(rig, steady, 3.0, hz, jitter_s) if c.time_s > 1.5]
    for arm in hz:
        speed = np.array([c.output.command.velocity[first_joint(rig, arm)] for c in cycles])
        assert np.abs(speed - 0.5).max() < 0.1, arm


@pytest.mark.parametrize("arm", ["left", "right"])
@pytest.mark.parametrize("skew_s", [-1.7e9, -3600.0, -0.3, 0.03])
def test_a_leader_with_a_clock_of_its_own_is_followed_and_its_silence_noticed(rig, arm, skew_s):
    skew = lambda name, time_s: nanoseconds(skew_s) if name == arm else 0  # noqa: E731
    silent = lambda name, time_s: None if name == arm and time_s > 2.0 else steady(name, time_s)  # noqa: E731
    cycles = teleoperate(rig, silent, 3.5, skew_ns=skew)
    moving = [c for c in cycles if 1.5 < c.time_s < 2.0]
    assert all(c.output.mode is Mode.TELEOP and c.output.verdict.severity is Severity.PASS for c in moving)
    assert np.abs(np.array([c.output.command.velocity[first_joint(rig, arm)] for c in moving]) - 0.5).max() < 0.1
    assert rig.core.mode is Mode.FAULT
    assert f"leader of arm '{arm}'" in rig.core.verdict.reason


@pytest.mark.parametrize("arm", ["left", "right"])
def test_a_leader_whose_stamps_are_in_the_future_is_named(rig, arm):
    skew = lambda name, time_s: nanoseconds(3600.0) if name == arm and time_s > 1.0 else 0  # noqa: E731
    teleoperate(rig, steady, 2.0, skew_ns=skew)
    assert rig.core.mode is Mode.FAULT
    assert f"leader of arm '{arm}' has stamps in the future" in rig.core.verdict.reason


@pytest.mark.parametrize("arms", [["left"], ["right"], ["left", "right"]])
@pytest.mark.parametrize("step_s", [-0.005, -0.03, -0.4, -0.7, -1.2, -3600.0, 0.03])
def test_leaders_whose_clock_is_set_are_followed_on(rig, arms, step_s):
    stepped = lambda arm, time_s: nanoseconds(step_s) if arm in arms and time_s > 1.5 else 0  # noqa: E731
    cycles = teleoperate(rig, steady, 3.0, skew_ns=stepped)
    held = [c for c in cycles if c.time_s > 0.3 and c.output.verdict.severity >= Severity.HOLD]
    assert len(held) <= 10
    assert cycles[-1].output.mode is Mode.TELEOP
    assert cycles[-1].output.command.velocity[0] == pytest.approx(0.5, abs=0.1)


def left_leader(robot, samples):
    """Return the speed [rad/s] of the left leader's first joint after each of its samples (time [s], angle [rad])."""
    leaders, names = Leaders(robot), {arm.name: [joint.name for joint in arm.joints] for arm in robot.arms}
    speeds = []
    for time_s, angle in samples:
        leaders.push("left", nanoseconds(1 + time_s), names["left"], [angle] * len(names["left"]))
        merged = leaders.push("right", nanoseconds(1 + time_s), names["right"], [0.0] * len(names["right"]))
        speeds.append(merged.velocity[0])
    return np.array(speeds)


def test_the_steps_of_an_encoder_are_not_a_leaders_speed(robot):
    """4096 steps a turn at 100 Hz: from one sample to the next, 0.5 rad/s look like anything from 0.46 to 0.61."""
    step = 2 * np.pi / 4096
    speeds = left_leader(robot, [(0.01 * k, step * round(0.005 * k / step)) for k in range(100)])
    assert np.abs(speeds[5:] - 0.5).max() < 0.05


def test_a_leader_that_comes_back_elsewhere_has_not_got_there_at_a_speed(robot):
    before = [(0.01 * k, 0.0) for k in range(10)]
    after = [(0.4 + 0.01 * k, 0.05 + 0.005 * k) for k in range(5)]
    speeds = left_leader(robot, before + after)
    np.testing.assert_allclose(speeds, [0.0] * 11 + [0.5] * 4, atol=1e-6)


def test_late_samples_are_left_out_and_counted(robot):
    leaders = Leaders(robot)
    names = {arm.name: [j.name for j in arm.joints] for arm in robot.arms}
    for ms in (0, 10, 20, 20, 10, 30):
        leaders.push("left", ms * 1_000_000, names["left"], [ms * 1e-3] * 7)
        merged = leaders.push("right", ms * 1_000_000, names["right"], [0.0] * 7)
    assert leaders.late == 4
    assert merged.position[0] == 0.03
    assert merged.velocity[0] == pytest.approx(1.0)


def test_the_stamps_of_leaders_travel_exactly_and_a_source_without_leaders_needs_none(robot):
    message = SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=7, nanosec=8)))
    leaders, at_ns = Leaders(robot), {"left": 1_767_225_600_123_456_789, "right": 999_999_999}
    for arm in robot.arms:
        merged = leaders.push(arm.name, at_ns[arm.name], [j.name for j in arm.joints], np.arange(7.0))
    message.name, message.position, message.velocity = wire.teleop_fields(merged, robot)
    read = wire.teleop_command(message, robot)
    assert (read.stamps_ns, read.stamp_ns) == (at_ns, 7_000_000_008)
    np.testing.assert_array_equal(read.position, merged.position)
    message.velocity[-1] = 1e9
    with pytest.raises(Refusal, match="nanosec"):
        wire.teleop_command(message, robot)
    message.name, message.position, message.velocity = robot.joint_names, np.zeros(robot.dof), []
    assert wire.teleop_command(message, robot).stamps_ns == {}
    message.name = robot.joint_names[1:]
    with pytest.raises(Refusal, match="expected"):
        wire.teleop_command(message, robot)


@pytest.mark.parametrize("burst", [2, 5, 8])
@pytest.mark.parametrize("apart_s", [1e-6, 1e-4])
def test_leaders_that_come_in_bursts_are_followed_at_their_speed(robot, burst, apart_s):
    """They are stamped as they arrive, so that hardly any time lies between the words of a burst."""
    leaders, names = Leaders(robot), {arm.name: [joint.name for joint in arm.joints] for arm in robot.arms}
    speeds = []
    for k in range(100):
        at_s = 0.01 * burst * (k // burst) + apart_s * (k % burst)
        for arm in names:
            position = np.where(np.arange(7) == 0, 0.005 * k, 0.0)
            merged = leaders.push(arm, nanoseconds(1 + at_s), names[arm], position)
        if k >= 3 * burst and k % burst == burst - 1:
            speeds.append(merged.velocity[[0, 7]])
    np.testing.assert_allclose(speeds, 0.5, atol=0.02)


@pytest.mark.parametrize("jump", [0.15, 0.3, 0.45])
@pytest.mark.parametrize("stamps", [True, False])
def test_a_source_that_jumps_is_not_chased_whether_it_merges_leaders_or_not(rig, jump, stamps):
    rig.following(Mode.TELEOP)
    goal = rig.measured.copy()
    goal[0] += jump

    def say(rig):
        parts = {arm.name: rig.now for arm in rig.robot.arms} if stamps else {}
        rig.core.on_teleop(JointSample(rig.now, goal, np.zeros(rig.robot.dof), parts), rig.now, rig.steady)

    still = rig.measured.copy()
    verdict = rig.step(10, say).verdict
    assert verdict.check == "source_near"
    assert "what moves arm 'left' was silent or jumped" in verdict.reason
    np.testing.assert_allclose(rig.measured, still, atol=1e-6)


def test_leaders_whose_stamps_stand_still_are_named(robot):
    leaders, arm = Leaders(robot), robot.arms[0]
    for _ in range(8):
        leaders.push(arm.name, nanoseconds(1), [joint.name for joint in arm.joints], np.zeros(7))
    assert leaders.standing() == [f"the leader of arm '{arm.name}' speaks with stamps that do not advance"]
    leaders.push(arm.name, nanoseconds(2), [joint.name for joint in arm.joints], np.zeros(7))
    assert leaders.standing() == []
