"""Takes snapshots of the node graph for the graph guard, one topic at a time so that no cycle waits long."""

from collections.abc import Iterator
from itertools import cycle

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from smp_bringup.errors import one_line
from smp_bringup.nodes.base import steady_ns
from smp_bringup.nodes.speaker_names import SpeakerNames
from smp_bringup.safety.node_graph import Endpoint, Snapshot, Topic

_NAMELESS = "NODE_NAME_UNKNOWN"
_PATIENCE_NS = 500_000_000
_SILENCE_NS = 1_000_000_000


class GraphWatch:
    """Looks at the topics that a node publishes or subscribes to."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._us = node.get_fully_qualified_name()
        self._topics: dict[str, tuple[str, bool]] = {}
        self._seen: dict[str, Topic] = {}
        self._gids: dict[bytes, str] = {}
        self._names = SpeakerNames()
        self._speakers: dict[str, set[bytes]] = {}
        self._nameless_ns: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        """Publishers and subscribers whose node has been known."""
        self._twin_ns = 0
        """When a second node of our name was first seen, or last on our topics; 0: there is none."""
        self._next: Iterator[str] = iter(())
        self._unreadable: set[str] = set()
        """Topics on which somebody has a name that is no text."""
        self._unnamed: list[str] = []
        """Topics where somebody was left out whose name is not known yet."""

    def publishes(self, topic: str, kind: str) -> None:
        """Watch a topic that the node publishes."""
        self._watch(self._full_topic(topic), kind, True)

    def subscribes(self, topic: str, kind: str) -> None:
        """Watch a topic that the node subscribes to."""
        self._watch(self._full_topic(topic), kind, False)

    def look(self) -> Snapshot | None:
        """Look at one topic more, and again at one with a nameless node; return the graph once all were seen."""
        again, self._unnamed = self._unnamed[:1], self._unnamed[1:]
        for topic in dict.fromkeys((next(self._next), *again)):
            self._look_at(topic)
        if len(self._seen) < len(self._topics):
            return None
        unreadable = sorted(self._unreadable)
        try:
            names = self._node.get_node_names_and_namespaces()
        except UnicodeDecodeError:
            names, unreadable = [], [*unreadable, "the names of all nodes"]
        nodes = self._without_our_twin(tuple(node_name(name, space) for name, space in names))
        return Snapshot(tuple(self._seen.values()), nodes, tuple(unreadable))

    def look_at_all(self) -> Snapshot | None:
        """Look at every topic: before arming, what was found must be of now."""
        for topic in self._topics:
            self._look_at(topic)
        return self.look()

    def name_of(self, gid: bytes) -> str:
        """Return what a publisher is called: two publishers of one node are two."""
        if self._names.known(gid) is None and gid not in self._gids:
            self.look_at_all()
        return self._names.name(gid, self._gids.get(gid, ""))

    def speakers(self, topic: str) -> set[str]:
        """Return those of the publishers of a topic, as they are now, that `name_of` was asked about."""
        names = map(self._names.known, self._speakers.get(self._full_topic(topic), ()))
        return {name for name in names if name is not None}

    def _without_our_twin(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out a second node of our name that has published nothing on our topics for a while: it has left.

        Its farewell to ROS and that to DDS are the last that its process says, and both may be lost: see `_present`.
        """
        if nodes.count(self._us) < 2:
            self._twin_ns = 0
            return nodes
        now = steady_ns()
        if not self._twin_ns or any(
            end.node == self._us for topic in self._seen.values() if topic.ours for end in topic.publishers
        ):
            self._twin_ns = now
        if now - self._twin_ns <= _SILENCE_NS:
            return nodes
        return (*(node for node in nodes if node != self._us), self._us)

    def _full_topic(self, topic: str) -> str:
        """Return the full name under which a topic is judged: before remapping, as in the robot file."""
        return str(self._node.resolve_topic_name(topic, only_expand=True))

    def _watch(self, topic: str, kind: str, ours: bool) -> None:
        self._topics[topic] = kind, ours
        self._next = cycle(list(self._topics))

    def _look_at(self, name: str) -> None:
        kind, ours = self._topics[name]
        try:
            publishers = self._node.get_publishers_info_by_topic(name)
            subscribers = self._node.get_subscriptions_info_by_topic(name)
        except UnicodeDecodeError:  # a stranger's name: what was seen before stays
            self._unreadable.add(name)
            self._seen.setdefault(name, Topic(name, kind, ours, (), ()))
            return
        self._unreadable.discard(name)
        publishers, subscribers = self._present(publishers), self._present(subscribers)
        self._speakers[name] = {bytes(info.endpoint_gid) for info in publishers}
        known = self._named(publishers), self._named(subscribers)
        if len(known[0]) + len(known[1]) < len(publishers) + len(subscribers) and name not in self._unnamed:
            self._unnamed.append(name)
        publishers, subscribers = known
        for info in publishers:
            self._gids[bytes(info.endpoint_gid)] = node_name(info.node_name, info.node_namespace)
        own = self._pop_own(publishers if ours else subscribers)
        self._seen[name] = Topic(
            name,
            kind,
            ours,
            tuple(endpoint(info, info.qos_profile, own) for info in publishers),
            tuple(endpoint(info, own, info.qos_profile) for info in subscribers),
        )

    def _present(self, infos: list) -> list:
        """Leave out whose node has taken its leave: what DDS says of its end may be lost, or come a lease later.

        A node tells ROS which nodes there are before its process leaves DDS; who lost a name that was known is gone.
        """
        gids = [bytes(info.endpoint_gid) for info in infos]
        named = {gid for gid, info in zip(gids, infos, strict=True) if _NAMELESS not in info.node_name}
        self._known |= named
        return [info for gid, info in zip(gids, infos, strict=True) if gid in named or gid not in self._known]

    def _named(self, infos: list) -> list:
        """Leave out for a while who was discovered before its name was: a culprit is to be named."""
        now, known = steady_ns(), []
        for info in infos:
            if _NAMELESS in info.node_name:
                since_ns = self._nameless_ns.setdefault(bytes(info.endpoint_gid), now)
                if now - since_ns <= _PATIENCE_NS:
                    continue
            known.append(info)
        return known

    def _pop_own(self, infos: list) -> QoSProfile | None:
        """Take our own endpoint out; return its profile as the middleware sees it, None before it is discovered."""
        for info in infos:
            if node_name(info.node_name, info.node_namespace) == self._us:
                infos.remove(info)
                return info.qos_profile
        return None


def endpoint(info: TopicEndpointInfo, publisher: QoSProfile | None, subscriber: QoSProfile | None) -> Endpoint:
    """Return an endpoint, and what keeps the two profiles from talking to each other."""
    mismatch = ""
    if publisher is not None and subscriber is not None:
        compatibility, reason = qos_check_compatible(publisher, subscriber)
        if compatibility == QoSCompatibility.ERROR:
            mismatch = f"QoS is incompatible: {reason}"
    return Endpoint(node_name(info.node_name, info.node_namespace), one_line(info.topic_type), one_line(mismatch))


def node_name(name: str, namespace: str) -> str:
    """Return the full name of a node."""
    return one_line(f"{namespace.rstrip('/')}/{name}")
