"""Nobody else commands the arms, and they listen."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Verdict


class GraphGuard(AbstractCheck):
    """Fault on what was found in the node graph; what it only refuses keeps the arms from being armed."""

    name = "graph_guard"

    def verdict(self, context: Context) -> Verdict:
        """Return the strictest finding."""
        return max(context.findings, key=lambda finding: finding.severity, default=PASS)
