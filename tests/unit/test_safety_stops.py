"""Stops: whose button was pressed, whose heartbeat is missed, what rests, and arms whose power is gone."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.errors import ConfigError
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import SafetyConfig, load_safety
from smp_bringup.safety.limits import Limiter
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import JointSample, Severity

LEFT = slice(0, 7)


# --- buttons and heartbeats


def test_of_very_many_buttons_the_first_are_named_and_the_rest_counted(rig):
    for number in range(1000):
        rig.core.estop(True, f"/button{number:03}")
    rig.core.estop(True, "service")
    assert rig.reset().message.startswith(
        "the emergency stop is pressed (service, /button000, /button001, /button002, /button003 and 996 more)"
    )


def test_each_publisher_is_its_own_button(rig):
    rig.following(Mode.TELEOP)
    rig.core.estop(True, "/button [1]")
    rig.step(60)
    for _ in range(10):
        rig.core.estop(False, "/heartbeat [2]")
        rig.core.estop(False, "service")
    message = rig.reset().message
    assert "pressed (/button [1])" in message
    rig.core.estop(True, "service")
    assert "still pressed: service" in rig.core.estop(False, "/button [1]").message
    rig.core.estop(False, "service")
    assert rig.reset().ok


def test_the_button_of_a_publisher_that_left_is_released_by_the_service_and_by_nothing_else(rig):
    rig.arm()
    rig.core.estop(True, "/gone [1]")
    rig.core.estop(True, "/there [2]")
    rig.core.buttons.present({"/there [2]"})
    rig.step(60)
    rig.core.estop(False, "/there [2]")
    assert "/gone [1] (gone: release by the service)" in rig.reset().message
    rig.core.estop(True, "/there [2]")
    rig.core.estop(False, "service")
    assert "/there [2]" in rig.reset().message
    rig.core.estop(False, "/there [2]")
    assert rig.reset().ok


@pytest.fixture
def beating(make_rig):
    """A rig with two heartbeats, armed; `beat(*quiet)` lets those that are not quiet repeat it."""
    rig = make_rig(replace(load_safety("default"), estop_heartbeat_s=0.05))
    beat = lambda *quiet: [rig.core.estop_heard(rig.steady, name) for name in ("a", "b") if name not in quiet]  # noqa: E731
    beat()
    assert rig.arm().ok
    rig.step(100, lambda rig: beat())
    assert rig.core.mode is Mode.HOLD
    return rig, beat


@pytest.mark.parametrize("silent", ["a", "b"])
def test_the_silence_of_one_heartbeat_is_a_fault_whoever_else_speaks(beating, silent):
    rig, beat = beating
    rig.step(15, lambda rig: beat(silent))
    assert rig.core.mode is Mode.HOLD
    rig.step(2, lambda rig: beat(silent))
    assert rig.core.mode is Mode.FAULT
    assert f"nothing of {silent} for 160 ms" in rig.core.verdict.reason
    assert f"nothing of {silent}" in rig.reset().message


def test_a_heartbeat_that_left_is_forgotten_by_the_service_and_one_must_be_left(beating):
    rig, beat = beating
    rig.step(30, lambda rig: beat("b"))
    rig.core.buttons.present({"a"})
    assert "nothing of b (gone: release by the service)" in rig.reset().message
    rig.core.estop(False, "service")
    assert rig.reset().ok
    rig.step(30)
    rig.core.buttons.present(set())
    rig.core.estop(False, "service")
    assert "nothing yet on /estop" in rig.arm().message


# --- rest is a tolerance


@pytest.mark.parametrize("speed", [5e-324, 1e-310, 1e-30, 1e-12])
def test_numbers_too_small_to_be_motion_do_not_keep_the_setpoint_moving(robot, speed):
    limiter = Limiter(robot, load_safety("default"))
    limiter.seed(robot.joint_array("home"))
    limiter.velocity = np.full(robot.dof, speed)
    for _ in range(3):
        limiter.take(limiter.propose_stop())
    assert limiter.at_rest
    assert not limiter.velocity.any()


def test_every_robot_comes_to_rest_after_every_stop(rng):
    """Limits at random: some of them left a velocity of 4.9e-324 for ever."""
    whole, settings = load_robot("aloha"), load_safety("default")
    for period_s in (0.002, 0.02, 0.033, 0.05):
        for seed in range(12):
            draw = np.random.default_rng(seed)
            limits = [(v, v * 10 ** draw.uniform(0, 1.3)) for v in 10 ** draw.uniform(-1, 0.7, 3)]
            limits = [(v, a, a * 10 ** draw.uniform(0.3, 1.7)) for v, a in limits]
            arms = tuple(
                replace(
                    arm,
                    joints=tuple(
                        replace(joint, velocity=v, acceleration=a, jerk=j)
                        for joint, (v, a, j) in zip((*arm.joints[:2], arm.joints[-1]), limits, strict=True)
                    ),
                )
                for arm in whole.arms
            )
            robot = replace(whole, control_period_s=period_s, action_period_s=0.05, arms=arms)
            limiter = Limiter(robot, settings)
            limiter.seed(robot.joint_array("home"))
            low, high = robot.joint_array("min"), robot.joint_array("max")
            for _ in range(8):
                goal, speed = np.tile(draw.uniform(low, high), (4, 1)), np.tile(draw.normal(size=robot.dof), (4, 1))
                for _ in range(int(draw.integers(3, 40))):
                    limiter.take(limiter.propose(goal, speed))
                stops = next(
                    (k for k in range(10_000) if limiter.take(limiter.propose_stop()) is not None and limiter.at_rest),
                    None,
                )
                assert stops is not None, (period_s, seed, limiter.velocity)


@pytest.mark.parametrize("speed", [5e-324, 1e-300, 1e-12])
def test_a_source_of_such_numbers_does_not_keep_a_stop_from_resting(rig, speed):
    rig.following(Mode.TELEOP)
    rig.step(60, lambda rig: rig.teleop(velocity=speed))
    rig.core.estop(True)
    rig.step(30)
    rig.core.estop(False)
    assert rig.reset().ok


# --- arms that move are neither armed nor reset


def drift(rig, cycles, speed, joint=0, told=0.0):
    """Let one joint of the left arm be measured to move, and say that it moves at `told`."""
    for _ in range(cycles):
        rig.ms += 10
        rig.measured = rig.measured.copy()
        rig.measured[joint] += 0.01 * speed
        for arm in rig.robot.arms:
            part = rig.robot.arm_slices[arm.name]
            velocity = np.zeros(7)
            velocity[:] = told * (np.arange(7) == joint) if arm.name == "left" else 0.0
            rig.core.on_state(arm.name, JointSample(rig.now, rig.measured[part], velocity), rig.steady)
        rig.core.step(rig.now, rig.steady)


@pytest.mark.parametrize(
    ("speed", "told", "joint", "text"),
    [
        (3.0, 3.0, 0, "left_waist moves at 3.00 rad/s"),
        (0.5, 0.0, 2, "left_elbow moves at 0.50 rad/s"),  # its driver measures no velocities
        (0.5, np.nan, 2, "left_elbow moves at 0.50 rad/s"),
        (0.0, 1.0, 0, "left_waist moves at 1.00 rad/s"),
        (-0.1, 0.0, 6, "left_gripper moves at 0.10 m/s"),
    ],
)
def test_arms_that_move_are_not_armed(rig, speed, told, joint, text):
    rig.measured[6] = 0.05
    rig.step(10)
    drift(rig, 12, speed, joint, told)
    assert text in rig.arm().message
    drift(rig, 12, 0.0, joint)
    assert rig.arm().ok


@pytest.mark.parametrize("mode", [Mode.ESTOP, Mode.FAULT])
def test_arms_that_move_are_not_reset(rig, mode):
    rig.following(Mode.TELEOP)
    if mode is Mode.ESTOP:
        rig.core.estop(True)
        rig.core.estop(False)
    rig.step(120)
    assert rig.core.mode is mode
    drift(rig, 6, 1.0)
    assert "left_waist moves at 1.00 rad/s" in rig.reset().message
    drift(rig, 10, 0.01)  # as noise may
    assert rig.reset().ok


def test_a_velocity_that_is_not_measured_is_none_and_the_position_counts(rig):
    order = JointOrder(["a", "b"])
    for velocity in ([], [np.nan, np.nan]):
        position, read = order.map(["b", "a", "extra"], [1.0, 2.0, 3.0], velocity and [*velocity, 5.0])
        np.testing.assert_array_equal([position, read], [[2.0, 1.0], [0.0, 0.0]])
    for position, velocity in (([np.nan, 1.0], [0.0, 0.0]), ([0.0, 1.0], [0.0, np.nan]), ([0.0, 1.0], [np.inf, 0.0])):
        with pytest.raises(Refusal, match="nonfinite"):
            order.map(["a", "b"], position, velocity)
    for _ in range(10):
        rig.ms += 10
        for arm in rig.robot.arms:
            part = rig.measured[rig.robot.arm_slices[arm.name]]
            assert rig.core.on_state(arm.name, JointSample(rig.now, part, np.full(7, np.nan)), rig.steady) is None
        rig.core.step(rig.now, rig.steady)
    assert rig.arm().ok
    state = JointSample(rig.now + 1, rig.measured[LEFT], np.where(np.arange(7) == 3, np.nan, 0.0))
    assert rig.core.on_state("left", state, rig.steady) == "nonfinite"


def test_states_with_stamps_that_stand_still_are_told_from_silence(rig):
    rig.following(Mode.TELEOP)
    frozen = rig.now

    def feed():
        for arm in rig.robot.arms:
            part = rig.measured[rig.robot.arm_slices[arm.name]]
            rig.core.on_state(arm.name, JointSample(frozen, part, np.zeros_like(part)), rig.steady)

    rig.feed = feed
    verdict = rig.step(7, lambda rig: rig.teleop()).verdict
    assert "no fresh state of arm 'left'" in verdict.reason
    assert "states arrive with stamps that do not advance" in verdict.reason
    rig.feed = lambda: None
    assert "stamps" not in rig.step(7, lambda rig: rig.teleop()).verdict.reason


@pytest.mark.parametrize("returns_s", [0.3, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("duration_s", [0.6, 1.5, 4.0])
def test_when_the_power_returns_nothing_tells_an_arm_to_be_where_it_fell_from(rig, duration_s, returns_s):
    stop(rig, "estop")
    start = rig.measured.copy()
    for published in move_away(rig, 0.8 * returns_s / duration_s, returns_s, (1, 8), cycles=int(100 * returns_s)):
        last = published
    away = np.abs(rig.measured - start).max()
    assert last is None if away > 0.2 else np.abs(last - rig.measured).max() <= 0.2


# --- grippers are measured in metres


def test_a_gripper_that_jumps_by_a_centimetre_is_a_fault_and_its_top_speed_is_not(rig):
    rig.following(Mode.TELEOP)
    for cycle in range(40):
        rig.measured[6] += 0.003 * (1 if cycle % 20 < 10 else -1)
        rig.step(say=lambda rig: rig.say(Mode.TELEOP))
    assert rig.core.mode is Mode.TELEOP, rig.core.verdict
    rig.measured[6] += 0.014
    rig.step(say=lambda rig: rig.say(Mode.TELEOP))
    assert (rig.core.verdict.check, rig.core.mode) == ("state_jump", Mode.FAULT)
    assert "left_gripper" in rig.core.verdict.reason


def test_a_gripper_far_from_its_setpoint_holds_and_one_that_holds_a_thing_does_not(rig):
    rig.arm()
    for travel, held in ((0.033, False), (0.12, True)):
        for _ in range(30):
            rig.ms += 10
            rig.measured = rig.core._limiter.position.copy()
            state = rig.core._states.arms["left"].sample.position[6]
            rig.measured[6] = min(rig.measured[6] + travel, state + 0.005)
            rig.feed()
            output = rig.core.step(rig.now, rig.steady)
        assert (output.verdict.check == "state_near") == held


def test_a_switch_that_would_let_go_of_a_thing_is_refused_and_a_policy_may_close_its_hand_at_once(rig):
    rig.measured[6] = 0.055
    rig.step(10)
    rig.following(Mode.POLICY)
    closed = rig.measured.copy()
    closed[6] = 0.0
    rig.core.on_teleop(JointSample(rig.now, closed, np.zeros(rig.robot.dof)), rig.now, rig.steady)
    assert "left_gripper 0.034 m from the setpoint, at most 0.02 m" in rig.use(Mode.TELEOP).message
    chunk = rig.chunk()
    chunk.position[:, 6] = -0.2
    assert rig.take(chunk) is None
    assert rig.step(40).verdict.severity is Severity.PASS
    assert rig.measured[6] == pytest.approx(0.021, abs=5e-4)


# --- arms whose power is gone


def stop(rig, mode):
    """Bring the rig to a latched stop."""
    if mode == "hold":  # the sag itself is the fault
        rig.arm()
        rig.step(5)
        return
    rig.following(Mode.TELEOP)
    rig.step(10, lambda rig: rig.teleop(0.05))
    if mode == "estop":
        rig.core.estop(True)
        rig.core.estop(False)
    rig.step(120)
    assert rig.core.mode.value == mode


def move_away(rig, depth, duration_s, joints, cycles=400, silent_s=0.0):
    """Let joints leave where they are, whatever is published; return what was."""
    start, published = rig.measured.copy(), []
    for cycle in range(cycles):
        rig.ms += 10
        rig.measured = start.copy()
        rig.measured[list(joints)] -= depth * min(1.0, 0.01 * (cycle + 1) / duration_s)
        if 0.01 * cycle >= silent_s:
            rig.feed()
        output = rig.core.step(rig.now, rig.steady)
        published.append(None if output.command is None else output.command.position)
    return published


SAGS = [(0.8, 1.0, (1, 8), 0.0), (0.3, 0.5, (8,), 0.0), (0.8, 0.4, (1, 2, 8, 9), 0.0), (0.8, 0.9, (1, 8), 1.0)]
"""By how much [rad], within what time [s], which joints, and for how long no state arrives meanwhile [s]."""


@pytest.mark.parametrize(("depth", "duration_s", "joints", "silent_s"), SAGS)
@pytest.mark.parametrize("mode", ["hold", "fault", "estop"])
def test_the_setpoint_of_a_stop_goes_after_arms_that_sag_and_nothing_needs_a_restart(
    rig, robot, mode, depth, duration_s, joints, silent_s
):
    if mode == "hold":
        depth = max(depth, 0.6)  # less is no fault
    stop(rig, mode)
    before = rig.measured.copy()
    published = move_away(rig, depth, duration_s, joints, silent_s=silent_s)
    assert rig.core.mode.latched
    quiet = [k for k, pose in enumerate(published) if pose is None]
    assert quiet == list(range(quiet[0], quiet[-1] + 1)), "while they are away, and once"
    np.testing.assert_array_equal(published[: quiet[0]], np.tile(published[0], (quiet[0], 1)))
    published = np.array(published[quiet[-1] + 1 :])
    np.testing.assert_allclose(published[-1], rig.measured, atol=0.021)
    still = [i for i, arm in enumerate(robot.arms) if not {*range(*robot.arm_slices[arm.name].indices(14))} & {*joints}]
    for i in still:  # the other arm stands
        np.testing.assert_array_equal(published[-1][7 * i : 7 * i + 7], before[7 * i : 7 * i + 7])
    np.testing.assert_array_equal(published, np.tile(published[-1], (len(published), 1)))
    assert rig.reset().ok
    assert rig.step().command is None
    sagged = rig.measured.copy()
    assert rig.arm().ok
    np.testing.assert_array_equal(rig.step().command.position, sagged)


def test_arms_that_are_told_to_stand_where_they_sagged_to_are_held_there(rig):
    stop(rig, "estop")
    move_away(rig, 0.8, 1.0, (1, 8))
    held = rig.core._limiter.position.copy()
    for beside in np.linspace(0, 0.15, 100):  # the power is back: they stand a little beside, under their load
        rig.ms += 10
        rig.measured = held - beside
        rig.feed()
        np.testing.assert_array_equal(rig.core.step(rig.now, rig.steady).command.position, held)


@pytest.mark.parametrize("why", ["jump", "outside"])
def test_nothing_is_published_to_arms_that_are_far_for_another_reason(rig, robot, why):
    rig.measured[1] = robot.joints[1].min + 0.1 if why == "outside" else rig.measured[1]
    rig.step(10)
    stop(rig, "estop")
    before = rig.measured.copy()
    published = move_away(rig, 0.5, 0.01 if why == "jump" else 0.5, (1,))
    told = [pose for pose in published if pose is not None]
    assert published[-1] is None
    assert len(told) < 200
    assert all(np.array_equal(pose, before) for pose in told)
    assert rig.reset().ok
    if why == "outside":
        assert "left_shoulder is at" in rig.arm().message
    else:
        assert rig.arm().ok
        np.testing.assert_array_equal(rig.step().command.position, rig.measured)


def test_the_setpoint_does_not_run_after_arms_that_move_along(rig):
    """Their power is on, and their states stand beside: it would never come to them."""
    stop(rig, "estop")
    before, beside = rig.measured.copy(), 0.0
    for _ in range(500):
        rig.ms += 10
        beside = min(0.5, beside + 0.01)
        rig.measured = rig.core._limiter.position.copy()
        rig.measured[1] -= beside
        rig.feed()
        output = rig.core.step(rig.now, rig.steady)
    assert output.command is None
    assert np.abs(rig.core._limiter.position - before).max() < 0.2
    assert rig.reset().ok


def test_nothing_moves_and_nothing_is_published_while_states_are_frozen(rig):
    rig.following(Mode.TELEOP)
    feed, frozen, goal = rig.feed, rig.measured.copy(), rig.measured.copy()

    def stuck():
        told, rig.measured = rig.measured, frozen
        feed()
        rig.measured = told

    rig.feed = stuck

    def say(rig):
        goal[0] = min(goal[0] + 0.1, frozen[0] + 0.45)
        rig.core.on_teleop(JointSample(rig.now, goal.copy(), np.zeros(14)), rig.now, rig.steady)

    rig.step(80, say)
    rig.core.estop(True)
    rig.core.estop(False)
    assert rig.step(20).command is not None
    told = rig.measured.copy()
    assert told[0] - frozen[0] > 0.4
    assert rig.step(200).command is None
    np.testing.assert_array_equal(rig.measured, told)
    assert rig.reset().ok


def test_the_settings_of_grippers_have_their_own_bounds():
    given = {"checks": ["finite"], "gripper": {"max_state_jump": 0.02}}
    assert config.build(SafetyConfig, given, "x").gripper.max_state_jump == 0.02
    with pytest.raises(ConfigError, match=r"gripper: max_state_jump must be a number in \(0, 1\], got 2"):
        config.build(SafetyConfig, {"checks": ["finite"], "gripper": {"max_state_jump": 2.0}}, "x")
