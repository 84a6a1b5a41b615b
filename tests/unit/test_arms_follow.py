"""Arms that do not carry out what is said are noticed, and those that do are not."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, JointSample, Severity

LEFT, RIGHT = slice(0, 7), slice(7, 14)


class Slow:
    """Arms that come after their setpoints with a delay, in cycles; `stopped` ones stand."""

    def __init__(self, rig, delay=0, period_s=2.0):
        self.delay, self.period_s, self.stopped, self.told = delay, period_s, set(), []
        self.at = np.array(rig.robot.joint_array("home"))

    def __call__(self, rig):
        """Report the arms, and let a teleoperation sway them by 0.4 rad."""
        self.told.append(rig.rows[-1][0] if rig.rows else rig.measured)
        home = np.array(rig.robot.joint_array("home"))
        reached = self.told[max(0, len(self.told) - 1 - self.delay)]
        for arm in rig.robot.arms:
            part = rig.robot.arm_slices[arm.name]
            if arm.name not in self.stopped:
                self.at[part] += np.clip(reached[part] - self.at[part], -0.03, 0.03)  # at 3 rad/s
            rig.core.on_state(arm.name, JointSample(rig.now, self.at[part].copy(), np.zeros(7)), rig.steady)
        speed = 2 * np.pi / self.period_s
        phase = speed * (rig.ms - 1010) / 1000
        sway = 0.4 * rig.robot.turning * np.array([1, 0, 0, 0, 0, 1, 0] * 2)
        sample = JointSample(rig.now, home + sway * np.sin(phase), speed * sway * np.cos(phase))
        rig.core.on_teleop(sample, rig.now, rig.steady)


@pytest.fixture
def swaying(make_rig):
    """Return a function that gives a rig which follows a teleoperation, and its arms."""

    def make(delay=0, period_s=2.0, **settings):
        rig = make_rig(replace(load_safety("default"), trim_limit=0.0, **settings)).following(Mode.TELEOP)
        rig.feed = lambda: None
        return rig, Slow(rig, delay, period_s)

    return make


def held(rig, arms, cycles):
    """Step until a hold; return the cycle and the verdict, or None."""
    for cycle in range(cycles):
        verdict = rig.step(1, arms).verdict
        if verdict.severity >= Severity.HOLD:
            return cycle, verdict
    return None


@pytest.mark.parametrize("delay", [0, 10, 20])
def test_arms_that_lag_follow(swaying, delay):
    assert held(*swaying(delay), 600) is None


@pytest.mark.parametrize("stopped", ["left", "right"])
def test_an_arm_that_stands_still_holds_both_with_its_name(swaying, stopped):
    rig, arms = swaying()
    assert held(rig, arms, 210) is None
    arms.stopped.add(stopped)
    cycle, verdict = held(rig, arms, 100)
    assert verdict.check == "arms_follow"
    assert f"arm '{stopped}' stands still, 0.1" in verdict.reason
    assert cycle <= 25 + 15, "0.1 rad at about 1.2 rad/s and 0.25 s later"
    other = RIGHT if stopped == "left" else LEFT
    rig.step(60, arms)
    assert rig.core.mode is Mode.FAULT, "a long hold is a fault"
    before = rig.rows[-1][0][other]
    np.testing.assert_array_equal(rig.step(5, arms).command.position[other], before)


def test_an_arm_that_comes_after_all_is_followed_again(swaying):
    rig, arms = swaying(hold_grace_s=10.0, max_step_refuse=2.0, max_switch_step=2.0)
    rig.step(210, arms)
    arms.stopped.add("left")
    assert held(rig, arms, 100)[1].check == "arms_follow"
    arms.stopped.clear()
    rig.step(30, arms)
    assert rig.step(1, arms).verdict.severity < Severity.HOLD
    assert rig.core.mode is Mode.TELEOP


def test_a_slow_motion_is_noticed_too(swaying):
    rig, arms = swaying(period_s=40.0)
    arms.stopped.add("right")
    _, verdict = held(rig, arms, 600)
    assert verdict.check == "arms_follow"


def test_hands_that_hold_something_stand_still_and_say_nothing(rig):
    rig.following(Mode.POLICY)
    target = rig.measured.copy()
    target[[6, 13]] -= 0.02
    stand = rig.measured.copy()
    for _ in range(200):
        chunk = ActionChunk(rig.now, 0.04, np.tile(target, (16, 1)))
        rig.take(chunk)
        rig.measured = stand
        verdict = rig.step(1).verdict
        assert verdict.severity < Severity.HOLD, verdict
