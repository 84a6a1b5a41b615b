"""Targets outside the position limits are clamped by the limiter; here it is said, and counted."""

from collections import deque

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, Severity, Verdict


class PositionLimits(AbstractCheck):
    """Name a target outside the limits; fault when the source goes on asking for it."""

    name = "position_limits"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        limits = bounds(robot, config)
        # A hand is told to close beyond what is between its fingers, and a base to drive as fast as a stick goes: that
        # says nothing about the source.
        clamped = np.array([joint.gripper or joint.rate for joint in robot.joints])
        slack = np.where(clamped, np.inf, config.limit_tolerance * (limits.high - limits.low))
        self._low, self._high = limits.low - slack, limits.high + slack
        self._recent: deque[bool] = deque(maxlen=round(1 / robot.control_period_s))

    def verdict(self, context: Context) -> Verdict:
        """Return LIMIT naming the joint, or FAULT when too many cycles of the last second were limited."""
        if context.target is None:
            self._recent.clear()
            return PASS
        inside = (context.target >= self._low) & (context.target <= self._high)
        limited = not inside.all()
        self._recent.append(limited)
        if not limited:
            return PASS
        joint = self.robot.joint_names[int(np.argmin(inside))]
        allowed = self.config.limited_share * (self._recent.maxlen or 1)
        severity = Severity.LIMIT if sum(self._recent) <= allowed else Severity.FAULT
        often = "" if severity is Severity.LIMIT else f" in {sum(self._recent)} cycles of the last second"
        return Verdict(severity, self.name, f"the target of {joint} is outside its limits{often}")
