"""A measured joint cannot jump: when it does, its encoder lies."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


class StateJump(AbstractCheck):
    """Fault when a measured position jumps between two samples."""

    name = "state_jump"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT naming the joint."""
        for state in context.arms.values():
            if state.jump:
                return Verdict(Severity.FAULT, self.name, f"the measured position of {state.jump} jumped")
        return PASS
