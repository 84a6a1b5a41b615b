"""A measured state must be a number."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class StateFinite(AbstractCheck):
    """Fault when an arm goes on reporting what is not a number."""

    name = "state_finite"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT naming the arm once it has reported so several times in a row."""
        for arm, count in context.nonfinite_states.items():
            if count >= self.config.bad_states_to_fault:
                return Verdict(Severity.FAULT, self.name, f"{count} states of arm '{arm}' in a row are not finite")
        return PASS
