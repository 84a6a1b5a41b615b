"""The emergency stop: who presses it, and when it was last heard of."""

from smp_bringup.types import seconds


class EmergencyStop:
    """Pressed while anybody presses it; each channel (a topic, a service) is released where it was pressed."""

    def __init__(self) -> None:
        self._pressed: set[str] = set()
        self._heard_ns: int | None = None

    @property
    def pressed(self) -> bool:
        """Whether any channel is pressed."""
        return bool(self._pressed)

    @property
    def channels(self) -> str:
        """Where it is pressed."""
        return ", ".join(sorted(self._pressed))

    def set(self, channel: str, pressed: bool) -> None:
        """Press or release one channel."""
        (self._pressed.add if pressed else self._pressed.discard)(channel)

    def heard(self, steady_ns: int) -> None:
        """Take a heartbeat."""
        self._heard_ns = steady_ns

    def silence_s(self, steady_ns: int) -> float | None:
        """Return the time since the last heartbeat [s], or None before the first."""
        return None if self._heard_ns is None else seconds(steady_ns - self._heard_ns)
