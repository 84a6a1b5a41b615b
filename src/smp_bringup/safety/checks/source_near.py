"""The source must be near the setpoint: it is not chased at full speed after a stop."""

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, Severity, Verdict


class SourceNear(AbstractCheck):
    """Hold when the source has run away from the setpoint."""

    name = "source_near"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._bounds = bounds(robot, config)

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the joint whose target is farthest."""
        if context.target is None:
            return PASS
        step = np.abs(np.clip(context.target, self._bounds.low, self._bounds.high) - context.setpoint)
        if (step <= self.config.max_step_refuse).all():
            return PASS
        joint = self.robot.joint_names[int(np.argmax(step))]
        return Verdict(Severity.HOLD, self.name, f"the source wants {joint} {step.max():.2f} rad from the setpoint")
