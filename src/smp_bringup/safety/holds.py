"""How long the arms may be held before it is a fault: in one piece, and again and again."""

from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import seconds

_ONSET_S = 0.02
"""What each hold costs beside its duration: it jolts the arms, however short it is."""
_BUDGET = 2.0
"""Of the grace: what holds that come again and again may take before the time without them pays it back."""


class HoldBudget:
    """Time that holds have taken, less the share of the time that they may take."""

    def __init__(self, config: SafetyConfig) -> None:
        self._grace_s, self._share = config.hold_grace_s, config.hold_share
        self.clear()

    def clear(self) -> None:
        """Begin without any hold."""
        self._since_ns: int | None = None
        self._last_ns: int | None = None
        self._spent_s = 0.0

    def resume(self) -> None:
        """End a hold, whose cost stays: another source is followed."""
        self._since_ns = None

    def exceeded(self, held: bool, steady_ns: int) -> str:
        """Take a cycle; return in words how a hold has gone on for too long, or nothing."""
        elapsed_s = 0.0 if self._last_ns is None else seconds(steady_ns - self._last_ns)
        self._last_ns = steady_ns
        if not held:
            self._since_ns = None
            self._spent_s = max(0.0, self._spent_s - self._share * elapsed_s)
            return ""
        if self._since_ns is None:
            self._since_ns, elapsed_s = steady_ns, _ONSET_S
        self._spent_s += elapsed_s
        if seconds(steady_ns - self._since_ns) > self._grace_s:
            return f"for more than {self._grace_s:g} s"
        if self._spent_s > _BUDGET * self._grace_s:
            return f"again and again, in more than {self._share:.0%} of the time"
        return ""
