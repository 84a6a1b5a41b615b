"""The followed source must have something to say about now."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class SourceFresh(AbstractCheck):
    """Hold when the selected source has nothing to say about now."""

    name = "source_fresh"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD when a source is selected but gives no target; where it merges leaders, name who is silent."""
        if not context.following or context.target is not None:
            return PASS
        silent = context.source_silence or "the selected source gives no setpoint for now"
        return Verdict(Severity.HOLD, self.name, silent)
