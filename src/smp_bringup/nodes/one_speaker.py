"""Topics that one publisher may speak on: the first that speaks is heard, and the others are refused and named."""

import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smp_bringup.errors import one_line
from smp_bringup.nodes.speaker_names import SpeakerNames
from smp_bringup.types import nanoseconds

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.topic_endpoint_info import TopicEndpointInfo

SILENT_S = 1.0
"""Who was silent for longer gives its place up: no `source_timeout_s` is longer, so the command node notices it too."""
_SAID_NS = nanoseconds(1.0)
"""What is refused on a topic is logged no more often, and counts as of now for so long."""


@dataclass
class _Topic:
    """Who is heard on a topic, and who else speaks."""

    holder: bytes
    heard_ns: int
    other: bytes = b""
    other_ns: int = 0
    logged_ns: int = -_SAID_NS


class OneSpeaker:
    """Who is heard on each topic of a node; where the middleware does not say who speaks (before Kilted) all are one.

    Another publisher takes a topic over once the one that is heard was silent for long enough.
    """

    def __init__(self, node: "Node", clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._node, self._clock = weakref.proxy(node), clock  # no cycle, as of Guard
        self._topics: dict[str, _Topic] = {}
        self._names = SpeakerNames()
        self.counters: Counter[str] = Counter()
        """Messages of others, as "second_publisher/topic"."""

    def only(
        self, topic: str, callback: Callable[[Any], None], silent_s: float | None = SILENT_S
    ) -> Callable[[Any, dict], None]:
        """Return a callback that hears one publisher.

        Args:
            topic: as the node subscribes to it.
            callback: takes the messages of that one.
            silent_s: silence after which another may take over [s]; None, where messages come only with news: not
                before the one that is heard has left the graph.
        """

        def heard(message: Any, info: dict) -> None:
            if self._hears(topic, info, silent_s):
                callback(message)

        return heard

    def several(self) -> list[str]:
        """Return one line for each topic that more than one publishes, as the graph is now."""
        lines = []
        for name, topic in self._topics.items():
            publishers = self._publishers(name) or []
            if len(publishers) > 1:
                nodes = ", ".join(sorted(_node_of(info) for info in publishers))
                heard = f"only {self._name(name, topic.holder)} is heard"
                lines.append(f"{name} has {len(publishers)} publishers ({nodes}): {heard}")
        return lines

    def refused(self) -> list[str]:
        """Return the topics on which another spoke within the last second."""
        now_ns = self._clock()
        return [name for name, topic in self._topics.items() if topic.other and now_ns - topic.other_ns <= _SAID_NS]

    def _hears(self, name: str, info: dict, silent_s: float | None) -> bool:
        sender, now_ns = info.get("publisher_gid"), self._clock()
        if not sender:
            return True
        gid, topic = bytes(sender["data"]), self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(gid, now_ns)
        if gid != topic.holder:
            if not self._gives_up(name, topic, now_ns, silent_s):
                self._refuse(name, topic, gid, now_ns)
                return False
            topic.holder = gid
            self._node.get_logger().warning(f"{name}: {self._name(name, gid)} is heard from now on")
        topic.heard_ns = now_ns
        return True

    def _gives_up(self, name: str, topic: _Topic, now_ns: int, silent_s: float | None) -> bool:
        if silent_s is not None:
            return now_ns - topic.heard_ns > nanoseconds(silent_s)
        publishers = self._publishers(name)  # a name that is no text must not drive out who is heard
        return publishers is not None and all(bytes(info.endpoint_gid) != topic.holder for info in publishers)

    def _refuse(self, name: str, topic: _Topic, gid: bytes, now_ns: int) -> None:
        topic.other, topic.other_ns = gid, now_ns
        self.counters[f"second_publisher/{name.lstrip('/')}"] += 1
        if now_ns - topic.logged_ns >= _SAID_NS:
            topic.logged_ns = now_ns
            heard, other = self._name(name, topic.holder), self._name(name, gid)
            self._node.get_logger().error(f"{name}: refused what {other} sent: {heard} is heard")

    def _publishers(self, name: str) -> "list[TopicEndpointInfo] | None":
        """Return who publishes a topic; None, while somebody's name is no text and the graph cannot be read."""
        try:
            return self._node.get_publishers_info_by_topic(name)
        except UnicodeDecodeError:
            return None

    def _name(self, name: str, gid: bytes) -> str:
        nodes = [_node_of(info) for info in self._publishers(name) or [] if bytes(info.endpoint_gid) == gid]
        return self._names.name(gid, nodes[0]) if nodes else "a publisher"


def _node_of(info: "TopicEndpointInfo") -> str:
    return one_line(f"{info.node_namespace.rstrip('/')}/{info.node_name}")
