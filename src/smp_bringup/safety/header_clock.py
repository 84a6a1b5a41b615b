"""The clock of the message headers, watched by the steady one: it may stand still, and it may jump back."""

from smp_bringup.types import nanoseconds

_RESET_NS = nanoseconds(0.05)
"""A step back by less repeats so little of a plan that the arms need not stop for it."""


class HeaderClock:
    """When the clock of the headers last advanced."""

    def __init__(self) -> None:
        self._now_ns, self._advanced_ns = 0, 0

    def watch(self, now_ns: int, steady_ns: int) -> bool:
        """Take both clocks; return whether that of the headers jumped back: what was planned on it is void."""
        reset = now_ns < self._now_ns - _RESET_NS
        if now_ns != self._now_ns:
            self._now_ns, self._advanced_ns = now_ns, steady_ns
        return reset

    def still_ns(self, steady_ns: int) -> int:
        """Return for how long it has stood still."""
        return steady_ns - self._advanced_ns
