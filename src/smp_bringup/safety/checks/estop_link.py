"""Where the emergency stop is repeated periodically, its silence counts as a broken cable."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict

_MISSED = 3
"""Heartbeats."""


class EstopLink(AbstractCheck):
    """Fault when a heartbeat of the emergency stop is missed; off where none is configured."""

    name = "estop_link"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT when three heartbeats of anybody who has spoken are missed, or nobody has."""
        period_s, silence_s = self.config.estop_heartbeat_s, context.estop_silence_s
        if period_s == 0:
            return PASS
        missed = {who: s for who, s in silence_s.items() if not s <= _MISSED * period_s}
        if silence_s and not missed:
            return PASS
        since = ", ".join(f"nothing of {who} for {s * 1e3:.0f} ms" for who, s in missed.items()) or "nothing yet"
        return Verdict(Severity.FAULT, self.name, f"{since} on /estop, which should be repeated every {period_s:g} s")
