"""Nobody else commands the arms, and their drivers listen."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Verdict


class GraphGuard(AbstractCheck):
    """Fault on what was found in the node graph; what it only refuses keeps the arms from being armed."""

    name = "graph_guard"

    def verdict(self, context: Context) -> Verdict:
        """Return the strictest findings."""
        if not context.findings:
            return PASS
        severity = max(finding.severity for finding in context.findings)
        reasons = [finding.reason for finding in context.findings if finding.severity is severity]
        return Verdict(severity, self.name, "; ".join(reasons))
