"""Exactly one publisher of each kind of source is heard: the one that holds its lease."""

from smp_bringup.safety.modes import Reply
from smp_bringup.types import nanoseconds

_CLAIM_NS = nanoseconds(1.0)
"""Who has said something usable within this time claims to be the source."""


class Lease:
    """Who speaks on one input; ids are whatever identifies a publisher."""

    def __init__(self) -> None:
        self._heard_ns: dict[str, int] = {}
        self.holder: str | None = None

    def hears(self, source: str) -> bool:
        """Return whether a speaker may be heard."""
        return self.holder is None or source == self.holder

    def claim(self, source: str, steady_ns: int) -> None:
        """Take note of a speaker whose speech was taken; what is refused claims nothing."""
        self._heard_ns[source] = steady_ns
        if len(self._heard_ns) > 1:
            self._heard_ns = {s: at for s, at in self._heard_ns.items() if steady_ns - at <= _CLAIM_NS}

    def grant(self, what: str, steady_ns: int, speaker: str) -> Reply:
        """Give the lease to `speaker`, whose speech would be followed; refuse unless it alone claims it."""
        claims = {s for s, at in self._heard_ns.items() if steady_ns - at <= _CLAIM_NS}
        if claims != {speaker}:
            names = ", ".join(sorted(claims)) or "nobody"
            return Reply(False, f"cannot follow {what}: exactly one publisher must speak, there is {names}")
        self.holder = speaker
        return Reply(True, f"{what} is leased to {self.holder}")

    def release(self) -> None:
        """Let anybody speak."""
        self.holder = None
