"""Exactly one publisher of each kind of source is heard: the one that holds its lease."""

from smp_bringup.safety.modes import Reply
from smp_bringup.types import nanoseconds

_CLAIM_NS = nanoseconds(1.0)
"""Who has spoken within this time claims to be the source."""


class Lease:
    """Who speaks on one input; ids are whatever identifies a publisher."""

    def __init__(self) -> None:
        self._heard_ns: dict[str, int] = {}
        self.holder: str | None = None

    def hear(self, source: str, steady_ns: int) -> bool:
        """Take note of a speaker; return whether it may be heard."""
        self._heard_ns[source] = steady_ns
        return self.holder is None or source == self.holder

    def grant(self, what: str, steady_ns: int) -> Reply:
        """Give the lease to the only speaker; refuse when there are several, or none."""
        self._heard_ns = {s: at for s, at in self._heard_ns.items() if steady_ns - at <= _CLAIM_NS}
        if len(self._heard_ns) != 1:
            names = ", ".join(sorted(self._heard_ns)) or "nobody"
            return Reply(False, f"cannot follow {what}: exactly one publisher must speak, there is {names}")
        self.holder = next(iter(self._heard_ns))
        return Reply(True, f"{what} is leased to {self.holder}")

    def release(self) -> None:
        """Let anybody speak."""
        self.holder = None
