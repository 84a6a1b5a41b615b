"""What a bag's file says about itself, and how its log times are ordered."""

from collections import Counter
from dataclasses import dataclass, field

_EPOCH_NS = 3_600_000_000_000
"""A step of the log time larger than this begins another epoch."""


@dataclass
class Contents:
    """What a file says about itself."""

    types: dict[str, str] = field(default_factory=dict)
    """Message type per topic; topics without one are left out."""
    counts: Counter[str] = field(default_factory=Counter)
    """Messages per topic."""
    episode: dict[str, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    ros1: bool = False
    """Whether the messages are those of ROS 1."""


@dataclass
class Order:
    """How far the log times of a bag are from rising evenly."""

    messages: int = 0
    backwards: int = 0
    """Messages logged before the one that stands before them in the file."""
    epochs: int = 1
    last_ns: int | None = None

    def take(self, log_ns: int) -> None:
        """Take the next log time in the order of the file."""
        if self.last_ns is not None:
            self.backwards += log_ns < self.last_ns
            self.epochs += abs(log_ns - self.last_ns) > _EPOCH_NS
        self.messages, self.last_ns = self.messages + 1, log_ns
