"""What was seen of a running graph, as values: who publishes and subscribes, and the messages of a few seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from smp_bringup.safety.node_graph import Topic


@dataclass(frozen=True)
class Heard:
    """When a message came, and the stamp in its header."""

    arrival_ns: int
    """On a steady clock."""
    clock_ns: int
    """On the clock of the headers, when it came."""
    stamp_ns: int


@dataclass(frozen=True)
class HeardJoints(Heard):
    """A sensor_msgs/JointState."""

    names: tuple[str, ...]
    position: tuple[float, ...]


@dataclass(frozen=True)
class HeardImage(Heard):
    """A sensor_msgs/Image or CompressedImage."""

    width: int
    height: int
    encoding: str
    """Of its pixels, or jpeg or png."""
    pixels: int
    """The same number for the same pixels."""
    refusal: str = ""
    """Why it cannot be unpacked."""


Message: TypeAlias = Heard | HeardJoints | HeardImage


@dataclass(frozen=True)
class GraphSeen:
    """The graph around our nodes, which were left out, over a few seconds."""

    topics: Mapping[str, Topic]
    """Of the robot file, by full name."""
    published: Mapping[str, tuple[str, ...]]
    """Types of all topics that somebody publishes."""
    taken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Types of all topics that somebody subscribes to."""
    heard: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)
    """Messages of each topic that was listened to, in the order they came."""
    best_effort: frozenset[str] = frozenset()
    """Topics of which a publisher does not send again what is lost."""
    seconds: float = 3.0
    """For how long it was listened."""
    sockets: str = ""
    """Why this kernel's sockets lose images (`environment.small_sockets`), or nothing."""
    middleware: str = ""
    """What decides whom we can see: middleware, domain, range."""
    nodes: tuple[str, ...] = ()
    """Full names."""
