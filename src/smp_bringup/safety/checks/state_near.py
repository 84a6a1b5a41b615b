"""The arms must be where they were told to be."""

import numpy as np

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class StateNear(AbstractCheck):
    """Hold both arms when a joint is far from its setpoint: blocked, unpowered, or moved by hand."""

    name = "state_near"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the first joint whose error exceeds the bound."""
        for arm in self.robot.arms:
            state = context.arms.get(arm.name)
            if state is None:
                continue
            wanted = context.setpoint[self.robot.arm_slices[arm.name]]
            near = np.abs(state.sample.position - wanted) <= self.config.max_tracking_error
            if not near.all():
                joint = arm.joints[int(np.argmin(near))].name
                return Verdict(Severity.HOLD, self.name, f"{joint} is far from its setpoint")
        return PASS
