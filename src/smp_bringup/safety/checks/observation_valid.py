"""What the policy acts on must be valid."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class ObservationValid(AbstractCheck):
    """Hold when sync says that a camera is stalled or frozen: the chunk in execution was not made for what is there."""

    name = "observation_valid"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD with the reason that sync gives."""
        if not context.observation_fault:
            return PASS
        return Verdict(Severity.HOLD, self.name, context.observation_fault)
