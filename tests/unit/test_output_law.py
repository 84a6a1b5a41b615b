"""The output law: whatever is said to the command core, what it publishes keeps every limit."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("what", ["finite", "max", "velocity", "acceleration", "jerk"])
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
    elif what == "acceleration":
        velocity[7:, 2] += arm.joints[2].acceleration * 0.0101
    else:
        velocity[7:, 2] += arm.joints[2].jerk * 0.01**2 * 1.01
    assert what in {violation.what for violation in violations(arm, 0.01, position, velocity)}
