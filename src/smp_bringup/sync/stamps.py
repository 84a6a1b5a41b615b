"""The order of the stamps of one stream."""


class StampOrder:
    """Refuses what comes late, and believes a clock that was set back, by however little.

    One message with an older stamp came late. Two such in a row, in order between themselves,
    come from a clock that was set back: to wait until it has caught up would be to hear nothing.
    """

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._late_ns: int | None = None

    def admits(self, stamp_ns: int) -> bool:
        """Take the stamp of a message; return whether the message is news."""
        back = self._late_ns is not None and stamp_ns > self._late_ns
        if self._newest_ns is None or stamp_ns > self._newest_ns or back:
            self._newest_ns, self._late_ns = stamp_ns, None
            return True
        if stamp_ns < self._newest_ns:
            self._late_ns = stamp_ns
        return False
