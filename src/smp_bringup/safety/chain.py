"""All checks of one cycle; the most restrictive verdict wins."""

from collections.abc import Sequence

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict


def judge(checks: Sequence[AbstractCheck], context: Context) -> list[Verdict]:
    """Return every objection, the strictest first; of equals the first in the list of checks."""
    verdicts = [check.verdict(context) for check in checks]
    found = [verdict for verdict in verdicts if verdict.severity is not Severity.PASS]
    return sorted(found, key=lambda verdict: -verdict.severity)


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the first of what `judge` found, or `PASS`."""
    return verdicts[0] if verdicts else PASS
