"""All checks of one cycle; the most restrictive verdict wins."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Verdict


def strictest(checks: list[AbstractCheck], context: Context) -> Verdict:
    """Return the strictest verdict of `checks`; the first of equals."""
    return max((check.verdict(context) for check in checks), key=lambda v: v.severity, default=PASS)
