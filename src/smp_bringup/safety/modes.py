"""What the command node is doing, and what may be asked of it."""

from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """State of the command core."""

    DISARMED = "disarmed"
    """Publishes nothing."""
    HOLD = "hold"
    """Armed, at rest or coming to it, no source selected."""
    POLICY = "policy"
    TELEOP = "teleop"
    FAULT = "fault"
    """Stopped and latched until reset."""
    ESTOP = "estop"
    """Stopped and latched until released and reset."""

    @property
    def follows(self) -> bool:
        """Whether a source is selected."""
        return self in (Mode.POLICY, Mode.TELEOP)

    @property
    def armed(self) -> bool:
        """Whether a source may be followed."""
        return self in (Mode.HOLD, Mode.POLICY, Mode.TELEOP)

    @property
    def latched(self) -> bool:
        """Whether only a reset leaves it."""
        return self in (Mode.FAULT, Mode.ESTOP)


class Reply(NamedTuple):
    """Answer to a request: whether it was done, and why not."""

    ok: bool
    message: str


def next_request(mode: Mode, source: Mode) -> str:
    """Return what to ask of the command node next on the way to following a source; "" where it follows already."""
    if mode is source:
        return ""
    if mode.latched:
        return "reset"
    return "arm" if mode is Mode.DISARMED else f"use_{source.value}"
