"""Every fault that reaches the command core, with a fake clock: its reaction, within its bound in cycles."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import ActionChunk, JointSample, Severity

PERIOD = 0.01


def first(rig, condition, cycles, say=None):
    """Return after how many cycles a condition holds."""
    for count in range(1, cycles + 1):
        output = rig.step(say=say)
        if condition(output):
            return count
    raise AssertionError(f"not within {cycles} cycles: {output.mode}, {output.verdict}")


def faulted(check):
    return lambda output: output.mode is Mode.FAULT and output.verdict.check == check


def held(check):
    return lambda output: output.verdict.severity is Severity.HOLD and output.verdict.check == check


def keep(rig):
    """Say what the present mode's source would say: stay."""
    rig.say(rig.core.mode) if rig.core.mode.follows else None


def assert_law(rig, robot):
    """All that was published keeps the limits, cycle by cycle."""
    position, velocity, acceleration = np.array(rig.rows).swapaxes(0, 1)
    assert np.isfinite(rig.rows).all()
    assert (position >= robot.joint_array("min") - 1e-9).all()
    assert (position <= robot.joint_array("max") + 1e-9).all()
    for values, limit in ((position, "velocity"), (velocity, "acceleration"), (acceleration, "jerk")):
        assert (np.abs(np.diff(values, axis=0)) <= robot.joint_array(limit) * PERIOD * (1 + 1e-6) + 1e-6).all(), limit


# --- observation side, F10 to F17


def test_f10_f13_a_malformed_state_is_refused_whole_and_the_last_good_one_ages(rig):
    order = JointOrder(["a", "b"])
    for names, position in ((["a"], [0]), (["a", "a"], [0, 1]), (["a", "b"], [0, 1, 2]), (["a", "b"], [0])):
        with pytest.raises(Refusal):
            order.map(names, position, [])
    rig.following()
    rig.silent.add("left")
    for _ in range(3):
        rig.core.on_bad_state("left", "missing left_waist")
    assert rig.core.refused["state/left"] == 3
    assert first(rig, held("state_fresh"), 7, keep) <= 7


def test_f11_reordered_names_give_the_same_to_the_bit(rng):
    names = [f"j{i}" for i in range(14)]
    position, velocity = rng.normal(size=14), rng.normal(size=14)
    for _ in range(50):
        shuffled = rng.permutation(14)
        mapped = JointOrder(names).map([names[i] for i in shuffled], position[shuffled], velocity[shuffled])
        np.testing.assert_array_equal(mapped, (position, velocity))


def test_a_state_without_names_lacks_all_of_them_also_when_it_is_the_first():
    with pytest.raises(Refusal, match="missing a, b"):
        JointOrder(["a", "b"]).map([], [], [])


def test_f12_extra_joints_are_ignored():
    names = ["a", "b", *(f"extra{i}" for i in range(20))]
    position, _ = JointOrder(["b", "a"]).map(names, np.arange(22.0), [])
    np.testing.assert_array_equal(position, [1.0, 0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_f14_three_states_that_are_not_finite_are_a_fault_within_two_cycles(rig, bad):
    rig.following()
    arm = rig.robot.arms[1]
    part = rig.measured[rig.robot.arm_slices[arm.name]].copy()
    part[3] = bad
    for count in range(3):
        assert rig.core.mode is not Mode.FAULT, count
        assert rig.core.on_state(arm.name, JointSample(rig.now, part, part), rig.steady) == "nonfinite"
    rig.silent.add(arm.name)
    assert first(rig, faulted("state_finite"), 2, keep) <= 2
    assert arm.name in rig.core.verdict.reason


def test_f14_a_good_state_between_them_starts_the_count_again(rig):
    rig.following()
    bad = np.full(7, np.nan)
    for _ in range(10):
        rig.core.on_state("left", JointSample(rig.now, bad, bad), rig.steady)
        rig.step(say=keep)
    assert rig.core.mode is Mode.POLICY


def test_f15_a_jump_of_one_encoder_is_a_fault_and_full_speed_is_not(rig):
    rig.following()
    low, high = rig.robot.joint_array("min"), rig.robot.joint_array("max")
    top = rig.robot.joint_array("velocity") * PERIOD
    for cycle in range(60):
        rig.measured = np.clip(rig.measured + (1 if cycle % 20 < 10 else -1) * top, low, high)
        rig.step(say=keep)
    assert rig.core.mode is Mode.POLICY, rig.core.verdict
    rig.measured[9] += 0.25
    assert first(rig, faulted("state_jump"), 2, keep) <= 2
    assert rig.robot.joint_names[9] in rig.core.verdict.reason


@pytest.mark.parametrize("silent", ["left", "right"])
def test_f16_one_arm_lost_stops_both_then_faults(rig, silent, robot):
    rig.following(Mode.TELEOP)
    move = lambda rig: rig.teleop(0.1)  # noqa: E731
    rig.step(20, move)
    rig.silent.add(silent)
    assert first(rig, held("state_fresh"), 7, move) <= 7  # 50 ms + 2 cycles
    assert first(rig, faulted("state_fresh"), 52, move) <= 52
    assert silent in rig.core.verdict.reason
    assert not rig.rows[-1][1:].any()  # both arms at rest
    assert_law(rig, robot)


# --- policy side, F20 to F24


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_f20_one_bad_element_refuses_the_chunk_and_two_chunks_are_a_fault(rig, bad, rng):
    rig.following()
    good = rig.chunk(0.01, age_ms=20)
    assert rig.take(good) is None
    for count in range(2):
        chunk = rig.chunk()
        chunk.position[rng.integers(16), rng.integers(14)] = bad
        assert rig.take(chunk) == "nonfinite"
        if count == 0:
            output = rig.step()
            assert (output.verdict.severity, output.chunk_stamp_ns) == (Severity.PASS, good.stamp_ns)
    assert first(rig, faulted("source_contract"), 1) == 1


@pytest.mark.parametrize("shape", [(16, 13), (14, 16), (16,), (0, 14), (1, 14), (0, 0)])
def test_f21_another_shape_is_a_fault(rig, shape):
    rig.following()
    assert rig.take(ActionChunk(rig.now, 0.04, np.zeros(shape))) == "shape"
    assert first(rig, faulted("source_contract"), 1) == 1
    assert str(list(shape)) in rig.core.verdict.reason


def test_f21_other_joints_are_a_fault_of_the_followed_source_only(rig):
    rig.following(Mode.TELEOP)
    rig.core.on_malformed(Mode.POLICY, "joints [elbow]")
    rig.step(5, lambda rig: rig.say(Mode.TELEOP))
    assert rig.core.mode is Mode.TELEOP
    rig.core.on_malformed(Mode.TELEOP, "joints [elbow]")
    assert first(rig, faulted("source_contract"), 1, keep) == 1
    assert "joints [elbow]" in rig.core.verdict.reason


def test_f22_a_target_outside_the_limits_is_clamped_named_and_a_fault_when_it_stays(rig, robot):
    joint = robot.joint_names.index("left_wrist_rotate")
    rig.measured[joint] = robot.joints[joint].max - 0.1
    rig.step()
    rig.following(Mode.TELEOP)

    def beyond(rig):
        wanted = rig.measured.copy()
        wanted[joint] = robot.joints[joint].max + 10
        rig.core.on_teleop(JointSample(rig.now, wanted, np.zeros(robot.dof)), rig.now, rig.steady)

    output = rig.step(say=beyond)
    assert (output.verdict.severity, output.verdict.check) == (Severity.LIMIT, "position_limits")
    assert "left_wrist_rotate" in output.verdict.reason
    assert first(rig, faulted("position_limits"), 21, beyond) <= 21  # more than 20 of the last 100 cycles
    assert_law(rig, robot)


def test_f23_a_chunk_that_starts_far_is_refused_whole(rig):
    rig.following()
    assert rig.take(rig.chunk(0.6)) == "far"


def test_f24_late_actions_are_skipped_never_caught_up_with(rig):
    rig.following()
    rig.step(25)  # the last chunk is older than the next one
    ramp = rig.measured + np.linspace(0, 0.15, 16)[:, None]
    assert rig.take(ActionChunk(rig.now - 300_000_000, 0.04, ramp)) is None
    output = rig.step()
    assert output.verdict.severity is Severity.PASS
    assert np.abs(output.command.velocity).max() <= 3 * 0.5  # it goes where it should be, within limits
    assert rig.take(ActionChunk(rig.now - 3_000_000_000, 0.04, ramp)) in ("late", "older")


@pytest.mark.parametrize("period_ms", [1, 100])
def test_sources_at_1_khz_and_10_hz_are_followed(rig, robot, period_ms):
    rig.following(Mode.TELEOP)

    def speak(rig):
        if period_ms == 1:
            for k in range(10):
                rig.teleop(0.001, stamp_ns=rig.now - (9 - k) * 1_000_000)
        elif rig.ms % period_ms == 0:
            rig.teleop(0.001)

    outputs = [rig.step(say=speak) for _ in range(200)]
    assert rig.core.mode is Mode.TELEOP
    assert all(o.verdict.severity < Severity.FAULT for o in outputs)
    assert_law(rig, robot)


# --- command side, F40 to F56


def test_f40_a_silent_source_holds(rig):
    rig.following(Mode.TELEOP)
    assert first(rig, held("source_fresh"), 12) <= 12  # 100 ms + 2 cycles
    assert first(rig, faulted("source_fresh"), 52) <= 52


def test_f40_a_hold_resumes_alone_within_its_grace(rig):
    rig.following(Mode.TELEOP)
    rig.step(30)
    output = rig.step(5, keep)
    assert (output.mode, output.verdict.severity) == (Mode.TELEOP, Severity.PASS)


def test_a_source_that_ran_away_during_a_hold_is_not_chased(rig):
    rig.following(Mode.TELEOP)
    rig.step(30)
    assert first(rig, held("source_near"), 2, lambda rig: rig.teleop(0.7)) <= 2


def test_f41_a_stamp_in_the_future_is_refused_and_does_not_defeat_the_timeout(rig):
    rig.following(Mode.TELEOP)
    ahead = lambda rig: rig.teleop(stamp_ns=rig.now + 3_600_000_000_000)  # noqa: E731
    assert first(rig, held("source_fresh"), 12, ahead) <= 12
    assert rig.core.refused["teleop/future"] >= 10


def test_f44_only_the_holder_of_the_lease_is_heard(rig):
    rig.arm()
    rig.say(Mode.TELEOP, "a")
    rig.say(Mode.TELEOP, "b")
    refused = rig.use(Mode.TELEOP)
    assert not refused.ok
    assert "there is a, b" in refused.message
    rig.step(101, lambda rig: rig.say(Mode.TELEOP, "a"))  # b has been silent for a second
    assert rig.use(Mode.TELEOP).ok
    still = rig.measured.copy()

    def both(rig):
        rig.say(Mode.TELEOP, "a")
        assert rig.teleop(0.3, source="b") == "lease"

    rig.step(50, both)
    np.testing.assert_array_equal(rig.measured, still)
    assert rig.core.refused["teleop/lease"] == 50
    rig.core.on_malformed(Mode.TELEOP, "nonsense", "b")
    assert rig.step(say=both).verdict.severity is Severity.PASS


def test_f45_a_press_at_any_time_is_stopping_in_the_next_cycle(rig, robot, rng):
    """60 presses at random times at speed; the system level presses a thousand times."""
    for _ in range(60):
        if rig.core.mode is Mode.DISARMED:
            rig.arm()
        rig.say(Mode.TELEOP)
        assert rig.use(Mode.TELEOP).ok
        goal = rng.uniform(-0.3, 0.3, robot.dof) + robot.joint_array("home")
        rig.step(
            int(rng.integers(1, 40)),
            lambda rig, goal=goal: rig.core.on_teleop(
                JointSample(rig.now, goal, np.zeros(robot.dof)), rig.now, rig.steady
            ),
        )
        speed = np.abs(rig.rows[-1][1])
        rig.core.estop(True)
        output = rig.step()
        assert output.mode is Mode.ESTOP
        first(rig, lambda o: not o.command.velocity.any(), 40)
        assert rig.teleop(0.1) is None  # taken note of, not followed
        rested = rig.measured.copy()
        rig.core.estop(False)
        rig.step(3)
        np.testing.assert_array_equal(rig.measured, rested)
        assert rig.reset().ok
        assert speed.shape == (robot.dof,)
    assert_law(rig, robot)


def test_an_emergency_stop_before_arming_publishes_nothing(rig):
    rig.core.estop(True)
    assert rig.step(10).command is None
    rig.core.estop(False)
    assert rig.step(10).command is None
    assert rig.reset().ok


def test_f46_a_missed_heartbeat_is_a_fault_and_its_absence_forbids_arming(make_rig):
    rig = make_rig(replace(load_safety("default"), estop_heartbeat_s=0.05))
    assert "nothing yet on /estop" in rig.arm().message
    beat = lambda rig: rig.core.estop_heard(rig.steady)  # noqa: E731
    beat(rig)
    assert rig.arm().ok
    rig.step(100, beat)
    assert rig.core.mode is Mode.HOLD
    assert first(rig, faulted("estop_link"), 17) <= 17  # 150 ms + 2 cycles


def test_f47_f48_a_reset_lists_every_cause_that_is_still_there(rig):
    rig.following()
    rig.core.estop(True, "topic")
    rig.core.estop(True, "service")
    rig.silent.update(("left", "right"))
    rig.step(60)
    message = rig.reset().message
    assert "pressed" in message
    assert "'left'" in message
    assert "'right'" in message
    rig.core.estop(False, "topic")
    assert "pressed" in rig.reset().message  # each presser releases for itself
    rig.core.estop(False, "service")
    assert not rig.reset().ok
    rig.silent.clear()
    rig.step()
    assert rig.reset().ok
    assert rig.step().command is None


def test_f49_chatter_stays_latched_and_a_press_during_reset_wins(rig, rng):
    rig.following()
    rig.core.estop(True)
    rig.step(50)
    for _ in range(10_000):
        rig.core.estop(bool(rng.integers(2)))
        pressed = rig.core.buttons.pressed
        assert rig.core.mode is Mode.ESTOP
        if pressed:
            assert not rig.reset().ok
    rig.core.estop(False)
    assert rig.reset().ok
    rig.core.estop(True)
    assert rig.core.mode is Mode.ESTOP


def swing(rig):
    """Let both sources swing the waists alike."""
    time = rig.ms / 1e3
    angle, speed = 0.3 * np.sin(2 * time), 0.6 * np.cos(2 * time)
    where = np.array([j.endswith("waist") for j in rig.robot.joint_names])
    home = np.array(rig.robot.joint_array("home"))
    sample = JointSample(rig.now, home + where * angle, where * speed)
    rig.core.on_teleop(sample, rig.now, rig.steady)
    if rig.ms % 100 == 0:
        times = 2 * (time + 0.04 * np.arange(16))
        rig.take(ActionChunk(rig.now, 0.04, home + where * (0.3 * np.sin(times))[:, None]))


def test_f50_a_thousand_switches_at_speed_are_bumpless(rig, robot, rng):
    rig.arm()
    say = swing
    rig.step(20, say)
    assert rig.use(Mode.TELEOP).ok
    rig.step(150, say)
    done = 0
    while done < 1000:
        rig.step(int(rng.integers(1, 4)), say)
        other = Mode.POLICY if rig.core.mode is Mode.TELEOP else Mode.TELEOP
        reply = rig.use(other)
        assert reply.ok or "gives no setpoint" in reply.message  # a chunk comes ten times a second
        done += reply.ok
        assert rig.core.mode.follows
    assert_law(rig, robot)
    assert max(np.abs(row[1]).max() for row in rig.rows[-500:]) > 0.5  # at speed


@pytest.mark.parametrize("offset", [0.15, 0.4])
def test_f50_a_switch_to_a_source_far_away_is_refused_and_the_old_one_goes_on(rig, offset):
    rig.following(Mode.POLICY)
    rig.teleop(offset)
    reply = rig.use(Mode.TELEOP)
    assert not reply.ok
    assert "rad from the setpoint, at most 0.1" in reply.message
    assert rig.step().mode is Mode.POLICY


def test_f51_the_second_switch_of_a_cycle_is_busy_and_the_emergency_stop_wins(rig):
    rig.following(Mode.POLICY)
    rig.say(Mode.TELEOP)
    assert rig.use(Mode.TELEOP).ok
    assert "busy" in rig.use(Mode.POLICY).message
    rig.core.estop(True)
    assert not rig.use(Mode.TELEOP).ok
    assert rig.step().mode is Mode.ESTOP


@pytest.mark.parametrize("pause_ms", [60, 500, 5000])
def test_f52_a_loop_that_was_paused_faults_and_resumes_from_the_last_setpoint(rig, robot, pause_ms):
    rig.following(Mode.TELEOP)
    rig.step(20, lambda rig: rig.teleop(0.1))
    before = rig.rows[-1]
    rig.ms += pause_ms
    assert first(rig, faulted("loop_overrun"), 1, lambda rig: rig.teleop(0.3)) == 1
    assert np.abs(rig.rows[-1][0] - before[0]).max() <= robot.joint_array("velocity").max() * PERIOD
    rig.step(60)
    assert_law(rig, robot)


def test_f52_a_loop_that_is_a_little_late_is_no_fault(rig):
    rig.following(Mode.TELEOP)
    for _ in range(50):
        rig.ms += 30
        rig.feed()
        rig.step(say=keep)
    assert rig.core.mode is Mode.TELEOP


def test_f54_a_new_core_publishes_nothing_until_it_is_armed(rig):
    assert all(rig.step(say=lambda rig: rig.say(Mode.POLICY)).command is None for _ in range(50))


def test_disarming_at_speed_comes_to_rest_before_it_is_silent(rig, robot):
    rig.following(Mode.TELEOP)
    rig.step(15, lambda rig: rig.teleop(0.1 * rig.robot.turning))
    assert rig.rows[-1][1].any()
    assert "once the arms rest" in rig.core.disarm().message
    assert "coming to rest" in rig.arm().message
    assert first(rig, lambda o: o.command is None, 40) > 2
    assert not rig.rows[-1][1].any()
    assert_law(rig, robot)
    assert rig.arm().ok


def test_the_take_over_from_rest_ramps_in(rig, robot):
    rig.arm()
    goal = rig.measured + 0.3 * np.array([joint.name.endswith("waist") for joint in robot.joints])
    say = lambda rig: rig.core.on_teleop(  # noqa: E731
        JointSample(rig.now, goal, np.zeros(robot.dof)), rig.now, rig.steady
    )
    say(rig)
    assert rig.use(Mode.TELEOP).ok
    rig.step(10, say)
    assert np.abs(rig.rows[-1][1]).max() <= 4.0 * (0.2 + 0.8 * 0.1) + 1e-6
    rig.step(150, say)
    np.testing.assert_allclose(rig.measured[:6], goal[:6], atol=1e-3)
    assert_law(rig, robot)


def test_arming_outside_the_limits_is_refused(rig, robot):
    rig.measured[0] = robot.joints[0].max + 0.2
    rig.step(2)
    assert f"{robot.joint_names[0]} is at" in rig.arm().message


def test_the_hand_does_not_leave_the_workspace(make_rig, robot):
    config = replace(load_safety("default"), workspace_max=(0.75, 1.2, 0.35))
    rig = make_rig(config)
    rig.following(Mode.TELEOP)
    up = np.array([joint.endswith("shoulder") for joint in robot.joint_names]) * -0.02

    def lift(rig):
        wanted = rig.measured + up
        rig.core.on_teleop(JointSample(rig.now, wanted, np.zeros(robot.dof)), rig.now, rig.steady)

    first(rig, lambda o: o.verdict.check == "workspace" and o.verdict.severity >= Severity.HOLD, 300, lift)
    from smp_bringup.body import Body

    body = Body(robot, config.self_gap)
    assert max(points[..., 2].max() for points in body.hands(rig.measured[None])) < 0.352
