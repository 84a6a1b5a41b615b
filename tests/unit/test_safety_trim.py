"""Arms that stand beside their setpoints: what the command core takes back, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.pipeline import build_command
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import JointSample, Severity


def stand_beside(rig, offset, lag=0):
    """Let the rig's arms follow `lag` cycles late and `offset` (J,) beside; return what was measured in each cycle."""
    feed, told, seen = rig.feed, [rig.measured], []

    def beside():
        told.append(rig.measured)
        rig.measured = told[max(0, len(told) - 1 - lag)] + offset
        seen.append(rig.measured)
        feed()
        rig.measured = told[-1]

    rig.feed = beside
    return seen


def follow(rig, wanted, cycles):
    """Follow a teleoperation that wants `wanted(cycle)` (J,) for some cycles."""
    for cycle in range(cycles):
        sample = JointSample(rig.now + 1, wanted(cycle), np.zeros(rig.robot.dof))
        rig.step(1, lambda rig, sample=sample: rig.core.on_teleop(sample, rig.now, rig.steady))
    assert rig.core.mode is Mode.TELEOP


def test_arms_that_stand_beside_their_setpoints_get_where_the_source_wants_them(rig):
    rig.following(Mode.TELEOP)
    goal, grippers = rig.measured.copy(), ~rig.robot.turning
    seen = stand_beside(rig, 0.02 * rig.robot.turning)
    follow(rig, lambda cycle: goal, 200)
    assert np.abs(seen[0] - goal).max() > 0.019
    np.testing.assert_allclose(seen[-1], goal, atol=1e-3)
    np.testing.assert_array_equal(rig.measured[grippers], goal[grippers])


def test_an_arm_that_is_kept_from_its_setpoint_is_pushed_no_farther_than_the_limit(rig):
    rig.following(Mode.TELEOP)
    goal, limit = rig.measured.copy(), load_safety("default").trim_limit
    stand_beside(rig, 0.2 * rig.robot.turning)
    follow(rig, lambda cycle: goal, 500)
    moved = np.abs(rig.measured - goal)[rig.robot.turning]
    assert moved.max() <= limit + 1e-9
    assert moved.min() > 0.9 * limit


@pytest.mark.parametrize("lag", [3, 6])
def test_joints_that_only_lag_behind_are_not_trimmed_while_they_move(rig, lag):
    rig.following(Mode.TELEOP)
    start, wrists = rig.measured.copy(), np.array(["rotate" in name for name in rig.robot.joint_names])
    stand_beside(rig, np.zeros(rig.robot.dof), lag)
    speed = 0.005 * wrists  # [rad] per cycle: 0.5 rad/s, so 15 or 30 mrad behind
    follow(rig, lambda cycle: start + speed * cycle, 100)
    follow(rig, lambda cycle: start + speed * 100, 20)
    np.testing.assert_allclose(rig.measured, start + speed * 100, atol=5e-3)


def test_a_hold_keeps_the_trim_still_and_arming_forgets_it(rig):
    rig.following(Mode.TELEOP)
    goal = rig.measured.copy()
    stand_beside(rig, 0.02 * rig.robot.turning)
    follow(rig, lambda cycle: goal, 200)
    rig.step(20)  # the teleoperation is silent
    held = rig.measured.copy()
    rig.step(20)
    np.testing.assert_array_equal(rig.measured, held)
    assert rig.core.disarm().ok
    rig.step(2)
    assert rig.arm().ok
    rig.step(2)
    np.testing.assert_allclose(rig.measured, held + 0.02 * rig.robot.turning, atol=1e-9)  # where it was measured


def test_what_pushes_the_arms_while_they_are_held_is_not_learned(rig):
    rig.following(Mode.TELEOP)
    goal, feed = rig.measured.copy(), rig.feed
    rig.step(15)  # the teleoperation is silent
    stand_beside(rig, 0.03 * rig.robot.turning)
    assert rig.step(30).verdict.severity is Severity.HOLD
    rig.feed = feed
    follow(rig, lambda cycle: goal, 2)
    np.testing.assert_allclose(rig.measured, goal, atol=1e-9)
    follow(rig, lambda cycle: goal, 30)
    np.testing.assert_allclose(rig.measured, goal, atol=1e-9)


@pytest.mark.parametrize("way", ["limit of zero", "arms of a bag"])
def test_arms_that_are_not_to_be_trimmed_are_not(robot, make_rig, way):
    rig = make_rig(replace(load_safety("default"), trim_limit=0.0))
    if way == "arms of a bag":
        rig.core = build_command(robot, replayed=True)
        rig.step(6)
    rig.following(Mode.TELEOP)
    goal = rig.measured.copy()
    stand_beside(rig, 0.02 * rig.robot.turning)
    follow(rig, lambda cycle: goal, 200)
    np.testing.assert_allclose(rig.measured, goal, atol=1e-6)
