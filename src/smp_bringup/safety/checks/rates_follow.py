"""A base drives as it is told: when it does not, it is stuck, switched off, pushed, or runs away."""

from collections import deque

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import measure, tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, FloatArray, Severity, Verdict, nanoseconds


class RatesFollow(AbstractCheck):
    """Hold while a rate is far from all that it was told of late: `max_tracking_error`, within `follow_time_s`."""

    name = "rates_follow"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._places = {arm.name: np.arange(robot.dof)[robot.arm_slices[arm.name]] for arm in robot.arms if arm.is_base}
        self._bound = tolerances(robot, config, "max_tracking_error")
        self._told: deque[tuple[int, FloatArray]] = deque()

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the first joint whose error exceeds the bound."""
        if not self._places:
            return PASS
        self._told.append((context.steady_ns, context.setpoint))
        while context.steady_ns - self._told[0][0] > nanoseconds(self.config.follow_time_s):
            self._told.popleft()
        told = np.array([setpoint for _, setpoint in self._told])
        low, high = told.min(axis=0) - self._bound, told.max(axis=0) + self._bound
        for arm, places in self._places.items():
            if (state := context.arms.get(arm)) is None:
                continue
            measured = state.sample.position
            near = (measured >= low[places]) & (measured <= high[places])
            if not near.all():
                i = int(np.argmin(near))
                at, told_now = (measure(self.robot, places[i], value) for value in (measured[i], told[-1][places[i]]))
                reason = f"{self.robot.joint_names[places[i]]} is measured at {at}, told {told_now}"
                return Verdict(Severity.HOLD, self.name, reason)
        return PASS
