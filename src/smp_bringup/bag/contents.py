"""What a bag's file says about itself, and how its log times are ordered."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from smp_bringup.errors import one_line

_EPOCH_NS = 3_600_000_000_000
"""A step of the log time larger than this begins another epoch."""


@dataclass
class Contents:
    """What a file says about itself."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    """Messages of each type per topic, which should have one; topics without one are left out."""
    episode: dict[str, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    ros1: bool = False
    """Whether the messages are those of ROS 1."""

    def add(self, topic: str, kind: str, messages: int) -> None:
        """Note a topic's messages of one type."""
        self.kinds.setdefault(topic, Counter())[kind] += messages

    def take(self, part: "Contents") -> None:
        """Add what another file of the same bag says."""
        for topic, kinds in part.kinds.items():
            for kind, messages in kinds.items():
                self.add(topic, kind, messages)
        self.episode |= part.episode
        self.attachments |= part.attachments
        self.ros1 |= part.ros1

    @property
    def types(self) -> dict[str, str]:
        """Message type per topic: that of most of its messages."""
        return {topic: max(kinds, key=lambda kind: kinds[kind]) for topic, kinds in self.kinds.items()}

    def others(self) -> Iterator[str]:
        """Yield a sentence for each topic that also has messages of another type: one that reads them cannot know."""
        for topic, kind in self.types.items():
            other = {name: messages for name, messages in self.kinds[topic].items() if messages and name != kind}
            if other:
                said = ", ".join(f"{messages} {one_line(name)}" for name, messages in other.items())
                yield f"{one_line(topic)} is {one_line(kind)}, of other types it has {said}: these are left out"


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
