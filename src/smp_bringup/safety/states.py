"""What the arms report: the newest good sample of each, and what was wrong with the others."""

from dataclasses import replace

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import ArmState
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, JointSample, nanoseconds, seconds

NONFINITE = "nonfinite"
_EPOCH_NS = nanoseconds(1.0)
"""A stamp that goes back farther is a clock that was set, not a message out of order."""


class States:
    """The measured states of all arms."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._robot, self._max_jump = robot, config.max_state_jump
        self._speed = robot.joint_array("velocity")
        self.arms: dict[str, ArmState] = {}
        self.nonfinite: dict[str, int] = {}
        """States in a row of each arm that were not finite."""

    def take(self, arm: str, sample: JointSample, steady_ns: int) -> str | None:
        """Take a state, or return why it is refused: "shape", "nonfinite" or "older"."""
        if len(sample.position) != len(self._robot.arm(arm).joints):
            return "shape"
        if not (np.isfinite(sample.position).all() and np.isfinite(sample.velocity).all()):
            self.refused(arm, NONFINITE)
            return NONFINITE
        self.nonfinite[arm] = 0
        last = self.arms.get(arm)
        if last is None:
            self.arms[arm] = ArmState(sample, steady_ns)
            return None
        if 0 <= last.sample.stamp_ns - sample.stamp_ns < _EPOCH_NS:
            return "older"
        self.arms[arm] = ArmState(sample, steady_ns, last.jump or self._jump(arm, last, sample, steady_ns))
        return None

    def refused(self, arm: str, cause: str) -> None:
        """Hear of a state that was refused before it got here."""
        self.nonfinite[arm] = self.nonfinite.get(arm, 0) + 1 if cause == NONFINITE else 0

    def forget_jumps(self) -> None:
        """Begin a cycle: jumps have been judged."""
        for name, state in self.arms.items():
            if state.jump:
                self.arms[name] = replace(state, jump="")

    def position(self) -> FloatArray:
        """Return the measured pose (J,) of all arms; raises KeyError where one has not reported."""
        return np.concatenate([self.arms[arm.name].sample.position for arm in self._robot.arms])

    def _jump(self, arm: str, last: ArmState, sample: JointSample, steady_ns: int) -> str:
        """Return the joint that moved farther than it can at its top speed, and a jump on top; or nothing."""
        moved = np.abs(sample.position - last.sample.position)
        late_s = max(0.0, seconds(steady_ns - last.arrival_ns) - 1 / self._robot.state_rate_hz)
        possible = moved <= self._max_jump + self._speed[self._robot.arm_slices[arm]] * late_s
        return "" if possible.all() else self._robot.arm(arm).joints[int(np.argmin(possible))].name
