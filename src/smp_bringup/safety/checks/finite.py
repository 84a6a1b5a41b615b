"""A target must be a number."""

import numpy as np

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class Finite(AbstractCheck):
    """Hold on NaN or infinity: both pass through every min and max."""

    name = "finite"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the first joint whose target is not a finite number."""
        if context.target is None or np.isfinite(context.target).all():
            return PASS
        joint = self.robot.joint_names[int(np.argmin(np.isfinite(context.target)))]
        return Verdict(Severity.HOLD, self.name, f"target of {joint} is not finite")
