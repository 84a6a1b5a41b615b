"""What the policy acts on must be valid, and the time that its chunks are sampled by must pass."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict, seconds


class ObservationValid(AbstractCheck):
    """Hold when sync says that a camera is stalled or frozen: the chunk in execution was not made for what is there."""

    name = "observation_valid"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD with the reason that sync gives."""
        if not context.observation_fault:
            return PASS
        return Verdict(Severity.HOLD, self.name, context.observation_fault)


class ClockRuns(AbstractCheck):
    """Hold when the clock of the headers stands still (paused simulation): a chunk would be held in mid-motion."""

    name = "clock_runs"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD once the clock has stood still for the time that a source may be silent."""
        still_s = seconds(context.clock_still_ns)
        if not context.following or still_s <= context.config.source_timeout_s:
            return PASS
        return Verdict(Severity.HOLD, self.name, f"the clock has stood still for {still_s * 1e3:.0f} ms")
