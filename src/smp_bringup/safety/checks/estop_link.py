"""Where the emergency stop is repeated periodically, its silence counts as a broken cable."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict

_MISSED = 3
"""Heartbeats."""


class EstopLink(AbstractCheck):
    """Fault when the heartbeat of the emergency stop is missed; off where none is configured."""

    name = "estop_link"

    def verdict(self, context: Context) -> Verdict:
        """Return FAULT when three heartbeats are missed."""
        period_s, silence_s = self.config.estop_heartbeat_s, context.estop_silence_s
        if period_s == 0 or (silence_s is not None and silence_s <= _MISSED * period_s):
            return PASS
        since = "nothing yet" if silence_s is None else f"nothing for {silence_s * 1e3:.0f} ms"
        return Verdict(Severity.FAULT, self.name, f"{since} on /estop, which should be repeated every {period_s:g} s")
