"""Measured states and sources must be fresh, by arrival on the steady clock."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict, seconds


class StateFresh(AbstractCheck):
    """Hold both arms when either arm's measured state stops arriving."""

    name = "state_fresh"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the first arm without a fresh state."""
        for arm in context.robot.arms:
            if arm.name not in context.state_arrival_ns:
                return Verdict(Severity.HOLD, self.name, f"no state of arm '{arm.name}' yet")
            age = seconds(context.steady_ns - context.state_arrival_ns[arm.name])
            if not age <= context.config.state_timeout_s:
                return Verdict(Severity.HOLD, self.name, f"state of arm '{arm.name}' is {age * 1e3:.0f} ms old")
        return PASS


class SourceFresh(AbstractCheck):
    """Hold when the selected source has nothing to say about now."""

    name = "source_fresh"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD when a source is selected but gives no target."""
        if not context.following or context.target is not None:
            return PASS
        return Verdict(Severity.HOLD, self.name, "the selected source gives no setpoint for now")
