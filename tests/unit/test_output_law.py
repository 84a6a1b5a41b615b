"""The output law: whatever is said to the command core, what it publishes keeps every limit."""

import numpy as np
import pytest

from smp_bringup.chaos.ear import ArmEar
from smp_bringup.chaos.output_law import violations
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.limits import MEETING_S, Limiter

INPUTS = 100_000


def hostile(rng, robot, kind):
    """Return what a source might say: somewhere inside, jumping, at a limit and fast, or absurd."""
    low, high = robot.joint_array("min"), robot.joint_array("max")
    span = high - low
    if kind == 0:
        return rng.uniform(low, high), np.zeros(robot.dof)
    if kind == 1:
        return rng.uniform(low - span, high + span), rng.normal(size=robot.dof) * 10
    if kind == 2:
        return rng.choice([low, high], axis=0), rng.choice([-100.0, 100.0], size=robot.dof)
    return rng.normal(size=robot.dof) * 1e6, rng.normal(size=robot.dof) * 1e6


def still(position, velocity):
    """Return what a source says that says the same of every instant."""
    return np.tile(position, (len(MEETING_S), 1)), np.tile(velocity, (len(MEETING_S), 1))


def broken(robot, rows):
    position, velocity = np.array(rows).swapaxes(0, 1)
    found = []
    for arm in robot.arms:
        part = robot.arm_slices[arm.name]
        found += violations(arm, robot.control_period_s, position[:, part], velocity[:, part])
    return found


def small(robot):
    """Return the robot with three joints an arm, among them a gripper: the law is the same, and takes less time."""
    from dataclasses import replace

    arms = tuple(replace(arm, joints=(*arm.joints[:2], arm.joints[-1])) for arm in robot.arms)
    return replace(robot, arms=arms)


def test_a_hundred_thousand_hostile_inputs_break_no_limit(robot, rng):
    """Jumps, extremes, resumptions, stops and changes of the speed limit; judged from the setpoints alone.

    The limiter is told of four instants a cycle: each is an input of its own.
    """
    robot = small(robot)
    limiter = Limiter(robot, load_safety("default"))
    limiter.seed(robot.joint_array("home"))
    rows, inputs = [], 0
    said = hostile(rng, robot, 0)

    def source():
        nonlocal inputs, said
        rows = []
        for _ in MEETING_S:
            inputs += 1
            if rng.random() < 0.3:  # else it goes on, so that speed is reached
                said = hostile(rng, robot, int(rng.integers(4)))
            rows.append(said)
        return np.array(rows).swapaxes(0, 1)

    while inputs < INPUTS:
        braking, speed = rng.random() < 0.1, float(rng.choice([1.0, 1.0, 0.3, rng.uniform(0.05, 1)]))
        for _ in range(int(rng.integers(1, 10))):
            limiter.take(limiter.propose_stop() if braking else limiter.propose(*source(), speed))
            rows.append(np.array([limiter.position, limiter.velocity]))
    assert not broken(robot, rows)
    assert np.abs(np.array(rows)[:, 1]).max() > 2.5  # it was fast


def test_the_shipped_robot_keeps_its_limits_too(robot, rng):
    limiter = Limiter(robot, load_safety("default"))
    limiter.seed(robot.joint_array("home"))
    rows = []
    for _ in range(1000):
        limiter.take(limiter.propose(*still(*hostile(rng, robot, int(rng.integers(4))))))
        rows.append(np.array([limiter.position, limiter.velocity]))
    assert not broken(robot, rows)


def test_the_path_of_a_step_is_the_stop_that_follows_it(robot):
    limiter = Limiter(robot, load_safety("default"))
    limiter.seed(robot.joint_array("home"))
    away = robot.joint_array("home") + 0.2
    for _ in range(15):
        step = limiter.propose(*still(away, np.zeros(robot.dof)))
        limiter.take(step)
    for wanted in step.path[1:]:
        np.testing.assert_allclose(limiter.take(limiter.propose_stop()), wanted, atol=1e-9)
    assert np.abs(limiter.velocity).max() < 1e-9
    np.testing.assert_allclose(limiter.position, step.path[-1], atol=1e-9)


@pytest.mark.parametrize("what", ["finite", "max", "velocity", "acceleration", "jerk", "path"])
def test_the_judge_finds_a_planted_breach(robot, what):
    arm = robot.arms[0]
    position = np.tile([joint.home for joint in arm.joints], (20, 1))
    velocity = np.zeros_like(position)
    assert not violations(arm, 0.01, position, velocity)
    if what == "finite":
        position[7, 2] = np.nan
    elif what == "max":
        position[:, 2] = arm.joints[2].max + 0.01
    elif what == "velocity":
        position[7:, 2] += arm.joints[2].velocity * 0.0101
    elif what == "path":  # it moves although it says that it stands
        position[7:, 2] += 1e-3
    elif what == "acceleration":
        velocity[7:, 2] += arm.joints[2].acceleration * 0.0101
    else:
        velocity[7:, 2] += arm.joints[2].jerk * 0.01**2 * 1.01
    assert what in {violation.what for violation in violations(arm, 0.01, position, velocity)}


CYCLE_NS = 10_000_000


class Told:
    """Commands of one joint as a recorder hears them; the law is kept but for what a test plants."""

    def __init__(self, arm):
        self.ear, self._joints = ArmEar(arm, 0.01), len(arm.joints)
        self._home = np.array([joint.home for joint in arm.joints])
        self.at = self.speed = 0.0
        self.stamp_ns = self.number = 0

    def says(self, count=1, acceleration=0.0, gap=0, step=0.0, lost=0):
        """Let it go on for so many cycles, after a gap, a step or lost messages."""
        self.stamp_ns += gap * CYCLE_NS
        self.at += step
        for _ in range(lost):
            self._goes_on(0.0)
        for _ in range(count):
            self._goes_on(acceleration)
            position, velocity = self._home.copy(), np.zeros(self._joints)
            position[0] += self.at
            velocity[0] = self.speed
            self.ear.hear(position, velocity, self.stamp_ns, self.number)
        return self

    def moves(self):
        """Let it reach half a radian a second, as fast as its jerk allows."""
        return self.says(acceleration=2.0).says(acceleration=4.0).says(11, 4.0).says(acceleration=0.0)

    def _goes_on(self, acceleration):
        before, self.speed = self.speed, self.speed + 0.01 * acceleration
        self.at += 0.005 * (before + self.speed)
        self.stamp_ns += CYCLE_NS
        self.number += 1

    @property
    def broken(self):
        return {violation.what for violation in self.ear.judge()}


@pytest.fixture
def told(robot):
    return Told(robot.arms[0])


def test_who_rests_is_silent_and_begins_at_rest_may_begin_where_the_arm_is(told):
    told.says(5).says(5, gap=3, step=0.019)
    assert not told.broken
    assert told.says(5, gap=3, step=0.03).broken == {"reseed"}


def test_a_step_of_who_was_not_silent_is_no_new_start(told):
    assert told.says(5).says(5, step=0.01).broken == {"path"}


def test_a_step_across_a_gap_of_who_moves_is_no_new_start(told):
    told.moves().says(5)
    assert not told.broken
    assert not told.says(5, gap=50).broken  # a process that was stopped goes on
    assert "path" in told.says(5, gap=50, step=0.01).broken


def test_who_moves_and_begins_at_rest_has_broken_the_law_but_for_one_that_was_killed(told):
    told.moves()
    told.speed = 0.0
    told.says(5, gap=50)
    assert "acceleration" in told.broken


@pytest.mark.parametrize(
    ("another", "step", "broken"), [(False, 0.01, set()), (False, 0.1, {"reseed"}), (True, 1.0, set())]
)
def test_one_that_was_killed_at_speed_may_begin_anew_once_also_as_another_robot(told, another, step, broken):
    told.moves()
    told.ear.killed(another)
    told.says(5)  # what was on its way is still of the one that was killed
    assert not told.broken
    told.speed = 0.0
    told.number = 0
    assert told.says(5, gap=50, step=step).broken == broken
    told.moves()
    told.speed = 0.0
    assert "acceleration" in told.says(5, gap=50).broken


def test_before_the_first_command_there_is_nothing_to_begin_anew_after(told):
    told.ear.killed(another_robot=True)
    assert told.says(5).says(5, gap=3, step=0.1).broken == {"reseed"}


def test_over_messages_that_the_recorder_lost_the_speed_is_judged_still(told):
    told.moves().says(5, lost=3)
    assert not told.broken
    assert told.ear.lost == 3
    assert told.says(5, lost=3, step=0.2).broken == {"reseed"}
