"""A base is told how fast to drive: it rests at 0, and whatever stops the arms brakes it."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.action.teleop import Leaders
from smp_bringup.chaos.output_law import violations
from smp_bringup.errors import ConfigError
from smp_bringup.nodes.messages import command_msg, command_position
from smp_bringup.robot import build_robot
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import JointLimits, load_safety
from smp_bringup.safety.limits import MEETING_S, Limiter
from smp_bringup.safety.modes import Mode
from smp_bringup.types import Command, JointSample, Severity
from smp_bringup.wire import told

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
X, YAW = -2, -1
"""Places of the base's rates."""


class Drive:
    """A command core whose arms and base do as they are told, and an operator who wants the base to drive."""

    def __init__(self, robot):
        self.robot, self.ms = robot, 0
        self.core = CommandCore(robot, load_safety("default"))
        self.home = np.array(robot.joint_array("home"))
        self.measured, self.wanted = self.home.copy(), self.home.copy()
        self.silent, self.rows, self.outputs = set(), [], []
        self.stuck = None
        self.leads, self.lag = True, 0

    @property
    def steady(self):
        return 10**9 + self.ms * MS

    def step(self, cycles=1):
        for _ in range(cycles):
            self.ms += 10
            now = T0 + self.ms * MS
            for arm in self.robot.arms:
                if arm.name not in self.silent:
                    part = self.measured[self.robot.arm_slices[arm.name]]
                    self.core.on_state(arm.name, JointSample(now, part, 0 * part), self.steady)
            if self.leads:
                self.core.on_teleop(JointSample(now, self.wanted.copy(), 0 * self.wanted), now, self.steady)
            self.outputs.append(self.core.step(now, self.steady))
            if (command := self.outputs[-1].command) is not None:
                self.measured = command.position.copy()
                self.rows.append((command.position, command.velocity))
                if self.lag:
                    self.measured[[X, YAW]] = self.rows[max(0, len(self.rows) - 1 - self.lag)][0][[X, YAW]]
                if self.stuck is not None:
                    self.measured[X] = self.stuck
        return self.outputs[-1]

    def use(self):
        return self.core.use(Mode.TELEOP, T0 + self.ms * MS, self.steady)

    def driving(self, x=0.5, yaw=-0.8):
        """Arm, follow the operator, and drive as fast as is wanted."""
        self.step(2)
        assert self.core.arm(self.steady).ok
        self.step()
        assert self.use().ok
        self.wanted[[X, YAW]] = x, yaw
        self.step(300)
        np.testing.assert_allclose(self.rows[-1][0][[X, YAW]], (x, yaw), atol=1e-6)
        return self

    def law(self):
        """Return every broken limit of what was published in one piece."""
        position, velocity = (np.array(part) for part in zip(*self.rows, strict=True))
        return [
            broken
            for arm in self.robot.arms
            for part in (self.robot.arm_slices[arm.name],)
            for broken in violations(arm, 0.01, position[:, part], velocity[:, part])
        ]


@pytest.fixture
def drive(mobile):
    return Drive(mobile)


def press(drive):
    drive.core.estop(True)


def lose_its_states(drive):
    drive.silent.add("base")


def lose_the_states_of_an_arm(drive):
    drive.silent.add("left")


def lose_the_operator(drive):
    drive.leads = False


def disarm(drive):
    drive.core.disarm()


@pytest.mark.parametrize("stop", [press, lose_its_states, lose_the_states_of_an_arm, lose_the_operator, disarm])
def test_whatever_stops_the_arms_brakes_the_base_to_0_within_its_limits(drive, stop):
    drive.driving()
    stop(drive)
    drive.step(200)
    assert not drive.rows[-1][0][[X, YAW]].any(), "it rests at 0, to the bit"
    braked = np.array([position[[X, YAW]] for position, _ in drive.rows])
    assert (braked[:, X] >= 0).all(), "no swing back"
    assert not drive.law()
    joint = drive.robot.joints[X]
    shortest = 0.5 / joint.acceleration + joint.acceleration / joint.jerk
    last = int(np.flatnonzero(braked[:, X])[-1]) - int(np.flatnonzero(braked[:, X] > 0.4999)[-1])
    assert last * 0.01 <= shortest + 0.05, "as fast as it may"
    if stop is disarm:
        assert drive.outputs[-1].command is None
        assert drive.core.resting
    else:
        assert drive.outputs[-1].mode in (Mode.FAULT, Mode.ESTOP)
        assert drive.outputs[-1].command is not None, "zeros go on"


def test_a_base_that_is_stuck_or_pushed_holds_the_arms(drive):
    drive.driving()
    drive.stuck = 0.0
    drive.step(300)
    held = next(output for output in drive.outputs if output.verdict.severity >= Severity.HOLD)
    assert (held.verdict.check, "base_x is measured at 0.000 m/s, told 0.500 m/s" in held.verdict.reason) == (
        "rates_follow",
        True,
    )
    assert drive.core.mode is Mode.FAULT
    drive.stuck = None
    drive.step(100)
    assert drive.core.reset(drive.steady).ok
    assert drive.core.arm(drive.steady).ok
    drive.step(50)
    drive.measured[X] = 0.2  # somebody pushes, while no source is followed
    drive.stuck = 0.2
    assert drive.step(3).verdict.check == "rates_follow"


def test_a_base_that_follows_a_fifth_of_a_second_late_follows(drive):
    drive.lag = 20
    drive.driving()
    drive.wanted[[X, YAW]] = -0.3, 0.9
    drive.step(300)
    assert not any(output.verdict.severity >= Severity.HOLD for output in drive.outputs)


def test_a_share_of_the_speed_limit_is_one_of_the_base(mobile):
    limiter = Limiter(mobile, load_safety("default"))
    limiter.seed(mobile.joint_array("home"))
    wanted = np.tile(mobile.joint_array("max"), (len(MEETING_S), 1))
    for speed in (1.0, 0.25):
        for _ in range(200):
            limiter.take(limiter.propose(wanted, 0 * wanted, speed))
        assert limiter.position[[X, YAW]] == pytest.approx((0.6 * speed, 1.0 * speed))


def test_it_is_armed_and_reset_at_rest_only(drive):
    drive.measured[X] = drive.stuck = 0.1
    drive.step(10)
    assert "base_x moves at 0.10 m/s" in drive.core.arm(drive.steady).message
    drive.measured[X] = 0.01
    drive.step(10)
    assert drive.core.arm(drive.steady).ok
    assert not drive.step().command.position[[X, YAW]].any(), "it begins at 0, not where it is measured"


def test_a_stick_may_go_over_at_once_but_not_at_the_beginning_nor_after_silence(drive):
    drive.driving(x=0.5)
    drive.wanted[X] = -0.3
    drive.step(300)
    assert drive.rows[-1][0][X] == pytest.approx(-0.3)
    assert not any(output.verdict.severity >= Severity.HOLD for output in drive.outputs)
    drive.leads = False
    drive.step(45)
    drive.leads = True
    held = drive.step(2).verdict
    assert (held.check, held.severity) == ("source_near", Severity.HOLD)
    assert "was silent" in held.reason
    drive.wanted[[X, YAW]] = 0.0
    assert drive.step(2).verdict.severity < Severity.HOLD
    drive.core.disarm()
    drive.step(100)
    drive.core.arm(drive.steady)
    drive.wanted[X] = 0.5
    drive.step()
    assert "wants base_x 0.500 m/s from the setpoint" in drive.use().message
    assert not drive.law()


def test_to_want_less_of_a_base_that_drives_is_always_near(drive):
    drive.driving()
    drive.leads = False
    drive.step(12)
    drive.wanted[[X, YAW]] = 0.0
    drive.leads = True
    drive.step(2)
    assert drive.outputs[-1].verdict.severity < Severity.HOLD


def test_hostile_inputs_break_no_limit_of_a_base(mobile, rng):
    limiter = Limiter(mobile, load_safety("default"))
    limiter.seed(mobile.joint_array("home"))
    low, high = mobile.joint_array("min"), mobile.joint_array("max")
    rows, turn = [], len(MEETING_S)
    for _ in range(250):
        kind = rng.integers(4)
        said = (rng.uniform(low, high), rng.choice([low, high], axis=0), rng.normal(size=mobile.dof) * 1e6, 0 * low)
        wanted, fast = np.tile(said[kind], (turn, 1)), rng.normal(size=(turn, mobile.dof)) * rng.choice([0, 1, 1e3])
        braking, speed = rng.random() < 0.2, float(rng.choice([1.0, 1.0, rng.uniform(0.05, 1)]))
        for _ in range(int(rng.choice([1, 5, 80]))):
            limiter.take(limiter.propose_stop() if braking else limiter.propose(wanted, fast, speed))
            rows.append((limiter.position, limiter.velocity))
    position, velocity = (np.array(part) for part in zip(*rows, strict=True))
    base = mobile.arm_slices["base"]
    assert not violations(mobile.arm("base"), mobile.control_period_s, position[:, base], velocity[:, base])
    assert (position[:, base].max(axis=0) > 0.9 * high[base]).all(), "it was fast"


def test_settings_tighten_and_scale_what_they_name(mobile):
    settings = replace(
        load_safety("default"),
        velocity_scale=0.5,
        acceleration_scale=0.25,
        limits={"base_x": JointLimits(min=-0.1, acceleration=0.4)},
    )
    limits = bounds(mobile, settings)
    assert (limits.low[X], limits.high[X]) == pytest.approx((-0.05, 0.3))
    assert limits.velocity[[X, YAW]] == pytest.approx((0.1, 0.5)), "of a velocity: an acceleration"
    assert limits.acceleration[X] == pytest.approx(10)
    for wrong, said in (
        (JointLimits(velocity=0.1), "limited by min and max"),
        (JointLimits(min=0.1), "rests at 0"),
        (JointLimits(acceleration=0.9), "looser than the robot's"),
    ):
        with pytest.raises(ConfigError, match=said):
            bounds(mobile, replace(settings, limits={"base_x": wrong}))


def test_a_leader_that_has_let_go_may_be_silent_and_one_that_drives_may_not(mobile):
    leaders = Leaders(mobile)
    names, home = ("linear.x", "linear.y", "angular.z"), np.array(mobile.joint_array("home"))

    def sample(ms, rates=None):
        """Let every arm's leader speak, the base's driver, and its leader if it wants something."""
        if rates is not None:
            leaders.twist("base", T0 + ms * MS, names, rates, T0 + ms * MS)
        leaders.base_heard("base", T0 + ms * MS)
        for arm in mobile.arms[:2]:
            part = home[mobile.arm_slices[arm.name]]
            merged = leaders.push(arm.name, T0 + ms * MS, [joint.name for joint in arm.joints], part)
        return merged

    untouched = sample(10)
    assert (untouched.stamps_ns["base"], untouched.position[[X, YAW]].tolist()) == (T0 + 10 * MS, [0, 0])
    driven = sample(20, (0.3, 9.9, -0.2))
    assert driven.position[[X, YAW]].tolist() == [0.3, -0.2], "what it cannot do is left aside"
    for ms in (30, 200):
        assert sample(ms).stamps_ns["base"] == T0 + 20 * MS, "grows old"
    assert sample(210, (0.0, 0.0, 0.0)).stamps_ns["base"] == T0 + 210 * MS
    assert sample(900).stamps_ns["base"] == T0 + 900 * MS, "rests"


def test_what_a_base_is_told_is_a_twist(mobile):
    position = np.array(mobile.joint_array("home"))
    position[[X, YAW]] = 0.25, -0.5
    (joints,) = (topic for topic in mobile.command_topics if topic.arms[0].is_base)
    message = command_msg(joints, Command(T0, position, 0 * position, 0 * position), 0.01)
    assert (message.twist.linear.x, message.twist.linear.y, message.twist.angular.z) == (0.25, 0.0, -0.5)
    assert command_position(message, joints).tolist() == [0.25, -0.5]
    assert told(message)[1] == (0.25, 0.0, -0.5)


def test_a_bag_tells_odometry_as_joints(mobile):
    from smp_bringup.bag.messages import ODOMETRY, deserialized, measured_cdr

    kind, cdr = measured_cdr(mobile.arms[-1:], T0, mobile.arms[-1].driver.names, np.array([0.1, 0.2]))
    assert kind == ODOMETRY
    assert told(deserialized(cdr, kind))[:2] == (("linear.x", "linear.y", "angular.z"), (0.1, 0.0, 0.2))


@pytest.mark.parametrize(
    ("where", "change", "said"),
    [
        ("joint", {"rate": False, "velocity": 1.0}, "of which every joint has rate: true"),
        ("joint", {"velocity": 1.0}, "min and max bound the velocity"),
        ("joint", {"min": 0.1}, "a rate rests at 0"),
        ("joint", {"home": 0.1}, "a rate rests at 0"),
        ("joint", {"max": 600.0}, "min and max 600 must be in [0.01, 5] m/s"),
        ("joint", {"acceleration": 0.0}, "acceleration must be a number in (0, inf)"),
        ("joint", {"driver": {"name": "linear.z"}}, "linear.x or linear.y (prismatic: true) or angular.z"),
        ("joint", {"prismatic": False}, "or angular.z; got 'linear.x'"),
        ("joint", {"gripper": True}, "a gripper is no rate"),
        ("arm", {"command_interface": "forward_position"}, "rates are told by twist, twist_unstamped or joint_state"),
        ("arm", {"leader_topic": "", "leader": {"topic": "/t"}}, "a base is led by a twist, not by joints"),
        (
            "arm",
            {"leader_topic": "", "leader": {"topic": "/t", "kind": "twist", "tip": "hand"}},
            "topic and kind alone",
        ),
        ("arm", {"state_topic": "/follower_left/joint_states"}, "on a topic of its own"),
    ],
)
def test_a_base_that_cannot_be_is_refused_in_one_line(mobile, where, change, said):
    document = config.plain(mobile)
    base = document["arms"][-1]
    (base if where == "arm" else base["joints"][0]).update(change)
    with pytest.raises(ConfigError) as refused:
        build_robot(document, "robot.yaml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_arm_is_led_by_no_twist_without_a_tip(mobile):
    document = config.plain(mobile)
    document["arms"][0] |= {"leader_topic": "", "leader": {"topic": "/t", "kind": "twist"}}
    with pytest.raises(ConfigError, match="moves a link: name it"):
        build_robot(document, "robot.yaml")


def test_a_robot_file_says_the_same_after_it_was_written(mobile):
    assert build_robot(config.parse_yaml(config.dump(mobile), "dumped"), "dumped") == mobile
