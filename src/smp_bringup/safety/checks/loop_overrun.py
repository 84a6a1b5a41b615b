"""The command node watches its own loop: what it would say after a long pause is old."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class LoopOverrun(AbstractCheck):
    """Fault when a cycle comes too late."""

    name = "loop_overrun"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT with the lateness."""
        if context.late_s < self.config.overrun_cycles * self.robot.control_period_s:
            return PASS
        return Verdict(Severity.FAULT, self.name, f"the control loop was {context.late_s * 1e3:.0f} ms late")
