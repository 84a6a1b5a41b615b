"""An arm goes where it is told: when it stands still instead, nobody carries out what is said."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, FloatArray, Severity, Verdict

_STILL = 0.2
"""Share of `follow_step` that an arm which stands still may move: the noise of its encoders."""


@dataclass(frozen=True)
class _Stand:
    """Where an arm stood when it moved last."""

    measured: FloatArray
    setpoint: FloatArray
    """At that time."""
    cycle: int


class ArmsFollow(AbstractCheck):
    """Hold while an arm stands still although its setpoint has gone: a controller that refuses, a stop, a speed of 0.

    Grippers do not count: what is between their fingers keeps them.
    """

    name = "arms_follow"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._delay = round(config.follow_time_s / robot.control_period_s)
        self._told: deque[FloatArray] = deque(maxlen=self._delay + 1)
        self._stands: dict[str, _Stand] = {}
        self._cycle = 0

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the arms."""
        if not context.following:
            self._told.clear()
            self._stands.clear()
            return PASS
        self._cycle += 1
        self._told.append(context.setpoint)
        lost = {arm.name: away for arm in self.robot.arms if (away := self._away(arm.name, context)) > 0}
        if not lost:
            return PASS
        arms = " and ".join(f"arm '{name}' stands still, {away:.2f} rad behind" for name, away in lost.items())
        return Verdict(Severity.HOLD, self.name, f"{arms}: its controller refuses, or its drives are stopped")

    def _away(self, arm: str, context: Context) -> float:
        """Return by how much the setpoint of an arm that stands still has gone [rad]; 0 where it follows."""
        state, part = context.arms.get(arm), self.robot.arm_slices[arm]
        turning = self.robot.turning[part]
        if state is None or not turning.any():
            return 0.0
        measured = state.sample.position[turning]
        stand = self._stands.get(arm)
        if stand is None or np.linalg.norm(measured - stand.measured) > _STILL * self.config.follow_step:
            self._stands[arm] = _Stand(measured, context.setpoint[part][turning], self._cycle)
            return 0.0
        if self._cycle - stand.cycle < self._delay:
            return 0.0
        away = float(np.linalg.norm(self._told[0][part][turning] - stand.setpoint))
        return away if away > self.config.follow_step else 0.0
