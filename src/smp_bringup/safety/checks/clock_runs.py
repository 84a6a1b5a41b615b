"""The time that chunks are sampled by must pass."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict, seconds


class ClockRuns(AbstractCheck):
    """Hold when the clock of the headers stands still (paused simulation): a chunk would be held in mid-motion."""

    name = "clock_runs"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD once the clock has stood still for the time that a source may be silent."""
        still_s = seconds(context.clock_still_ns)
        if not context.following or still_s <= self.config.source_timeout_s:
            return PASS
        return Verdict(Severity.HOLD, self.name, f"the clock has stood still for {still_s * 1e3:.0f} ms")
