"""The emergency stop: who presses it, and when each that repeats it was last heard of."""

from collections.abc import Collection, Mapping

from smp_bringup.types import seconds

SERVICE = "service"
"""The button of the service: an operator's own, who may also give up the buttons of those that have left."""

_NAMED = 5
"""So many buttons are named in an answer."""


class EmergencyStop:
    """Pressed while anybody presses it; each button (the service, every publisher) is released where it was pressed."""

    def __init__(self) -> None:
        self._pressed: set[str] = set()
        self._heard_ns: dict[str, int] = {}
        self._gone: set[str] = set()

    @property
    def pressed(self) -> bool:
        """Whether any button is pressed."""
        return bool(self._pressed)

    @property
    def channels(self) -> str:
        """Where it is pressed: the service first, then the first few publishers by name, and how many more."""
        names = sorted(self._pressed, key=lambda name: (name != SERVICE, name))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(self._named(name) for name in names[:_NAMED]) + more

    def set(self, channel: str, pressed: bool) -> None:
        """Press or release one button; released by the service, those of publishers that have left are forgotten."""
        (self._pressed.add if pressed else self._pressed.discard)(channel)
        if channel == SERVICE and not pressed:
            self._pressed -= self._gone
            self._heard_ns = {name: at for name, at in self._heard_ns.items() if name not in self._gone}

    def heard(self, steady_ns: int, channel: str) -> None:
        """Take a heartbeat of one publisher."""
        self._heard_ns[channel] = steady_ns

    def present(self, channels: Collection[str]) -> None:
        """Hear which publishers there are: the others that spoke have left."""
        self._gone = (self._pressed | self._heard_ns.keys()) - {SERVICE, *channels}

    def silence_s(self, steady_ns: int) -> Mapping[str, float]:
        """Return for how long each publisher that has spoken has said nothing [s]."""
        return {self._named(name): seconds(steady_ns - at) for name, at in self._heard_ns.items()}

    def _named(self, channel: str) -> str:
        return f"{channel} (gone: release by the service)" if channel in self._gone else channel
