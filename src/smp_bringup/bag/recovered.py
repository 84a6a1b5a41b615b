"""What could be read of one file of a damaged bag."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mcap.records import Attachment

from smp_bringup.bag.records import Message


class Topic(NamedTuple):
    """A topic and its type, as they are recorded."""

    name: str
    type: str
    """Empty where the messages have no schema."""
    encoding: str
    """Of the messages."""
    schema_encoding: str
    schema: bytes
    type_hash: str


@dataclass(frozen=True)
class Recovered:
    """What could be read of one file; its messages are read again whenever they are asked for."""

    topics: dict[int, Topic]
    """By the channel of the messages."""
    messages: Callable[[], Iterator[Message]]
    damage: tuple[str, ...]
    """One sentence for each unreadable stretch."""
    attachments: dict[str, Attachment] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    """Messages per topic, as far as the file says."""
    numbered: bool = False
    """Whether every message carries its number on its topic, from zero on, as our recorder writes it."""
    closed: bool = True
    """Whether the writer came to its end."""
