"""A source that breaks its contract is not noisy, it is another robot's."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class SourceContract(AbstractCheck):
    """Fault when the followed source speaks of other joints, or goes on sending what is not a number."""

    name = "source_contract"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT with what was wrong."""
        trouble = context.trouble
        if trouble.malformed:
            return Verdict(Severity.FAULT, self.name, f"the source broke its contract: {trouble.malformed}")
        if trouble.nonfinite >= self.config.bad_chunks_to_fault:
            return Verdict(Severity.FAULT, self.name, f"{trouble.nonfinite} commands in a row are not finite")
        return PASS
