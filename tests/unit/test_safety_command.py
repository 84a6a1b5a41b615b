"""The command core with a fake clock: the output law, modes, watchdogs and refusals."""

import numpy as np
import pytest

from smp_bringup.errors import UnknownNameError
from smp_bringup.pipeline import build_command
from smp_bringup.safety import CHECKS
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, JointSample, Severity

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
STEADY0 = 5_000_000_000


class Rig:
    """A command core, its clocks, and arms that are where they were told to be."""

    def __init__(self, robot):
        self.robot, self.core, self.ms = robot, build_command(robot), 0
        self.measured = np.array(robot.joint_array("home"))
        self.silent = set()
        self.feed()

    @property
    def now(self):
        return T0 + self.ms * MS

    @property
    def steady(self):
        return STEADY0 + self.ms * MS

    def feed(self):
        for arm in self.robot.arms:
            if arm.name not in self.silent:
                part = self.measured[self.robot.arm_slices[arm.name]]
                self.core.on_state(arm.name, JointSample(self.now, part, np.zeros_like(part)), self.steady)

    def step(self, cycles=1):
        for _ in range(cycles):
            self.ms += 10
            self.feed()
            output = self.core.step(self.now, self.steady)
            if output.command is not None:
                self.measured = output.command.position.copy()
        return output

    def chunk(self, offset=0.0, age_ms=0, steps=16):
        position = np.tile(self.measured + offset, (steps, 1))
        return ActionChunk(self.now - age_ms * MS, 0.04, position)

    def following(self, source=Mode.POLICY):
        assert self.core.arm(self.steady).ok
        assert self.core.use(source, self.steady).ok
        return self


@pytest.fixture
def rig(robot):
    return Rig(robot)


def hostile_source(rng, robot, kind):
    """Return what a source might say in one cycle: smooth, jumping, out of range, or absurd."""
    low, high = robot.joint_array("min"), robot.joint_array("max")
    span = high - low
    if kind == 0:
        return rng.uniform(low, high), np.zeros(robot.dof)
    if kind == 1:
        return rng.uniform(low - span, high + span), rng.normal(size=robot.dof) * 10
    if kind == 2:
        return rng.choice([low, high], axis=0), rng.choice([-100.0, 100.0], size=robot.dof)
    return rng.normal(size=robot.dof) * 1e6, rng.normal(size=robot.dof) * 1e6


def test_every_setpoint_keeps_all_limits_whatever_the_source_says(robot, rng):
    """The output law, from the published setpoints alone; holds and resumptions included."""
    from smp_bringup.safety.config import load_safety
    from smp_bringup.safety.limits import Limiter

    limiter = Limiter(robot, load_safety("default"))
    limiter.seed(robot.joint_array("home"))
    period = robot.control_period_s
    low, high = robot.joint_array("min"), robot.joint_array("max")
    rows = [np.array([limiter.position, limiter.velocity, limiter.acceleration])]
    for _ in range(300):
        position, velocity = hostile_source(rng, robot, int(rng.integers(4)))
        braking = rng.random() < 0.2
        for _ in range(int(rng.integers(1, 20))):
            if braking:
                limiter.brake()
            else:
                limiter.track(lambda _, p=position, v=velocity: (p, v))
            rows.append(np.array([limiter.position, limiter.velocity, limiter.acceleration]))
    position, velocity, acceleration = np.array(rows).swapaxes(0, 1)
    assert np.isfinite(rows).all()
    assert (position >= low - 1e-9).all()
    assert (position <= high + 1e-9).all()
    slack = 1 + 1e-6
    assert (np.abs(np.diff(position, axis=0)) <= robot.joint_array("velocity") * period * slack + 1e-9).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= robot.joint_array("acceleration") * period * slack + 1e-9).all()
    assert (np.abs(np.diff(acceleration, axis=0)) <= robot.joint_array("jerk") * period * slack + 1e-6).all()


def test_nothing_is_published_before_arming_and_arming_does_not_move(rig):
    assert rig.step().command is None
    before = rig.measured.copy()
    assert rig.core.arm(rig.steady).ok
    output = rig.step(50)
    assert output.mode is Mode.HOLD
    np.testing.assert_array_equal(output.command.position, before)


@pytest.mark.parametrize("silent", ["left", "right"])
def test_arming_needs_a_fresh_state_of_every_arm(rig, silent):
    rig.silent.add(silent)
    rig.step(20)
    reply = rig.core.arm(rig.steady)
    assert not reply.ok
    assert f"no fresh state of arm '{silent}'" in reply.message


def test_a_chunk_is_followed_by_time_and_its_end_holds_then_faults(rig):
    rig.following()
    assert rig.core.on_chunk(rig.chunk(0.05, age_ms=60), rig.now) is None
    target = rig.measured + 0.05
    assert rig.step(40).verdict.severity is Severity.PASS
    inside = np.clip(target, rig.robot.joint_array("min"), rig.robot.joint_array("max"))
    np.testing.assert_allclose(rig.measured, inside, atol=1e-3)
    held = rig.step(30)
    assert (held.verdict.severity, held.verdict.check, held.mode) == (Severity.HOLD, "source_fresh", Mode.POLICY)
    assert rig.step(60).mode is Mode.FAULT
    assert not rig.core.disarm().ok
    assert rig.core.reset().ok
    assert rig.core.mode is Mode.DISARMED


@pytest.mark.parametrize("silent", ["left", "right"])
def test_one_silent_arm_stops_both(rig, silent):
    """Within the state timeout of 100 ms and one cycle; a hold that lasts becomes a fault."""
    rig.following(Mode.TELEOP)
    rig.silent.add(silent)
    goal = rig.measured + 0.3
    verdicts = []
    for _ in range(100):
        rig.core.on_teleop(JointSample(rig.now, goal, np.zeros(rig.robot.dof)), rig.steady)
        verdicts.append(rig.step().verdict)
    first = next(i for i, v in enumerate(verdicts) if v.severity is Severity.HOLD)
    assert first <= 11
    assert silent in verdicts[first].reason
    assert rig.core.mode is Mode.FAULT
    still = rig.measured.copy()
    np.testing.assert_array_equal(rig.step(5).command.position, still)


def test_a_silent_teleoperation_stops_within_its_timeout(rig):
    rig.following(Mode.TELEOP)
    for _ in range(20):
        moving = JointSample(rig.now, rig.measured + 0.1, np.zeros(rig.robot.dof))
        rig.core.on_teleop(moving, rig.steady)
        rig.step()
    outputs = [rig.step() for _ in range(12)]
    assert outputs[-1].verdict.check == "source_fresh"


def test_a_joint_that_is_pushed_away_holds_both_arms(rig):
    rig.following()
    rig.core.on_chunk(rig.chunk(), rig.now)
    rig.ms += 10
    rig.measured[3] += 0.7
    rig.feed()
    verdict = rig.core.step(rig.now, rig.steady).verdict
    assert (verdict.severity, verdict.check) == (Severity.HOLD, "state_near")
    assert rig.robot.joint_names[3] in verdict.reason


@pytest.mark.parametrize("mode", ["disarmed", "hold", "policy", "teleop", "fault"])
def test_the_emergency_stop_latches_in_every_mode_and_releasing_moves_nothing(rig, mode):
    if mode != "disarmed":
        rig.core.arm(rig.steady)
    if mode in ("policy", "teleop"):
        rig.core.use(Mode(mode), rig.steady)
    if mode == "policy":
        rig.core.on_chunk(rig.chunk(0.2), rig.now)
        rig.step(5)
    if mode == "fault":
        rig.core.use(Mode.POLICY, rig.steady)
        rig.core.on_chunk(rig.chunk(), rig.now)
        rig.step(150)
        assert rig.core.mode is Mode.FAULT
    assert rig.core.estop(True).ok
    assert rig.core.mode is Mode.ESTOP
    for refused in (rig.core.arm(rig.steady), rig.core.use(Mode.POLICY, rig.steady), rig.core.disarm()):
        assert not refused.ok
    assert not rig.core.reset().ok
    rig.step(100)
    still = rig.measured.copy()
    assert rig.core.estop(False).ok
    rig.core.on_chunk(rig.chunk(0.3), rig.now)
    rig.step(20)
    np.testing.assert_array_equal(rig.measured, still)
    assert rig.core.mode is Mode.ESTOP
    assert rig.core.reset().ok
    assert rig.core.mode is Mode.DISARMED


def test_a_reset_waits_for_the_arms_to_rest(rig):
    rig.following()
    rig.core.on_chunk(rig.chunk(0.4), rig.now)
    rig.step(10)
    rig.core.estop(True)
    rig.core.estop(False)
    assert "coming to rest" in rig.core.reset().message
    rig.step(60)
    assert rig.core.reset().ok


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda r: r.chunk(age_ms=-3_600_000), "future"),
        (lambda r: r.chunk(offset=1.5), "far"),
        (lambda r: r.chunk(offset=np.nan), "nonfinite"),
        (lambda r: r.chunk(offset=np.inf), "nonfinite"),
        (lambda r: r.chunk(steps=1), "shape"),
        (lambda r: ActionChunk(r.now, 0.04, np.zeros((16, 3))), "shape"),
        (lambda r: ActionChunk(r.now, 0.04, np.zeros(16)), "shape"),
        (lambda r: r.chunk(age_ms=40), "older"),
    ],
)
def test_a_bad_chunk_is_refused_counted_and_the_good_one_goes_on(rig, change, cause):
    rig.following()
    good = rig.chunk(0.02, age_ms=20)
    assert rig.core.on_chunk(good, rig.now) is None
    assert rig.core.on_chunk(change(rig), rig.now) == cause
    assert rig.core.refused[f"chunk/{cause}"] == 1
    output = rig.step()
    assert output.verdict.severity is Severity.PASS
    assert output.chunk_stamp_ns == good.stamp_ns


def test_a_chunk_whose_time_has_passed_is_refused(rig):
    rig.following()
    assert rig.core.on_chunk(rig.chunk(age_ms=10_000), rig.now) == "late"


def test_states_that_are_not_finite_or_of_another_size_are_refused(rig):
    for bad in (np.full(7, np.nan), np.zeros(6)):
        rig.core.on_state("left", JointSample(rig.now, bad, bad), rig.steady)
    assert rig.core.refused["state/left"] == 2


def test_a_new_source_inherits_nothing_from_the_last(rig):
    rig.following()
    rig.core.on_chunk(rig.chunk(0.2), rig.now)
    rig.step(3)
    rig.core.use(Mode.TELEOP, rig.steady)
    rig.core.use(Mode.POLICY, rig.steady)
    assert rig.step().chunk_stamp_ns is None


def test_checks_are_found_by_name():
    with pytest.raises(UnknownNameError, match="did you mean 'finite'"):
        CHECKS["finit"]


def test_a_longer_list_of_checks_is_never_less_strict(rig):
    from smp_bringup.safety.base import Context
    from smp_bringup.safety.chain import strictest
    from smp_bringup.safety.config import load_safety

    names = list(CHECKS)
    nan = np.full(rig.robot.dof, np.nan)
    for target, arrivals in ((nan, {}), (rig.measured, {"left": 0}), (None, {"left": 0, "right": 0})):
        context = Context(
            rig.robot, load_safety("default"), STEADY0, rig.measured, target, True, {}, arrivals
        )  # fmt: skip
        severities = [strictest([CHECKS[n]() for n in names[:k]], context).severity for k in range(len(names) + 1)]
        assert severities == sorted(severities)
        assert severities[-1] >= Severity.HOLD
