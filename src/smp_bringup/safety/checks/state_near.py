"""The arms must be where they were told to be."""

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, Severity, Verdict


class StateNear(AbstractCheck):
    """Hold both arms when a joint is far from its setpoint: blocked, unpowered, or moved by hand.

    Rates are for `rates_follow`.
    """

    name = "state_near"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._bound = np.where(robot.rates, np.inf, tolerances(robot, config, "max_tracking_error"))

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the first joint whose error exceeds the bound."""
        for arm in self.robot.arms:
            state = context.arms.get(arm.name)
            if state is None:
                continue
            part = self.robot.arm_slices[arm.name]
            near = np.abs(state.sample.position - context.setpoint[part]) <= self._bound[part]
            if not near.all():
                joint = arm.joints[int(np.argmin(near))].name
                return Verdict(Severity.HOLD, self.name, f"{joint} is far from its setpoint")
        return PASS
