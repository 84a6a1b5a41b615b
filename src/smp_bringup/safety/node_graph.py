"""The node graph around the command node: who else speaks, who listens, and whether they can hear each other.

Pure: the node takes snapshots of the graph, here they are judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import Severity, Verdict

_NAME = "graph_guard"


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscriber of a topic."""

    node: str
    """With its namespace."""
    kind: str
    """Message type."""
    mismatch: str = ""
    """Why it and our own end cannot talk; empty if they can."""


@dataclass(frozen=True)
class Topic:
    """One topic that we publish (`ours`) or subscribe to."""

    name: str
    kind: str
    ours: bool
    publishers: tuple[Endpoint, ...]
    """Without our own."""
    subscribers: tuple[Endpoint, ...]
    """Without our own."""


@dataclass(frozen=True)
class Snapshot:
    """The graph at one time."""

    topics: tuple[Topic, ...]
    nodes: tuple[str, ...]
    """Names with namespaces, one entry for each node."""


def inspect(snapshot: Snapshot, robot: Robot, config: SafetyConfig, us: str) -> tuple[Verdict, ...]:
    """Return what is wrong with the graph, seen from the node `us`: FAULT, or REFUSE where it only forbids arming."""
    topics = {topic.name: topic for topic in snapshot.topics}
    found = []
    for arm in robot.arms:
        commands, states = topics[arm.command_topic], topics[arm.state_topic]
        if commands.publishers:
            found.append(_fault(f"{commands.name} has a second publisher: {_names(commands.publishers)}"))
        if len(states.publishers) > 1:
            found.append(_fault(f"{states.name} has {len(states.publishers)} publishers: {_names(states.publishers)}"))
        drivers = [end for end in commands.subscribers if not _listens(end, config) and not _mismatch(commands, end)]
        if not drivers:
            found.append(_fault(f"arm_{arm.name}_gone: no driver listens to {commands.name}"))
    twice = sorted({name for name in snapshot.nodes if snapshot.nodes.count(name) > 1})
    if us in twice:
        found.append(_fault(f"another node '{us}' is already running"))
    found += [_refuse(f"node name '{name}' is used twice") for name in twice if name != us]
    for topic in snapshot.topics:
        for end in topic.subscribers if topic.ours else topic.publishers:
            if cause := _mismatch(topic, end):
                found.append(_refuse(f"waiting for {topic.name}: {end.node} is there, but {cause}"))
    return tuple(found)


def _mismatch(topic: Topic, end: Endpoint) -> str:
    return end.mismatch if end.kind == topic.kind else f"speaks {end.kind}, not {topic.kind}"


def _listens(end: Endpoint, config: SafetyConfig) -> bool:
    name = end.node.rpartition("/")[2]
    return name in config.listeners or name.startswith("smp_")


def _names(ends: Sequence[Endpoint]) -> str:
    return ", ".join(sorted(end.node for end in ends))


def _fault(reason: str) -> Verdict:
    return Verdict(Severity.FAULT, _NAME, reason)


def _refuse(reason: str) -> Verdict:
    return Verdict(Severity.REFUSE, _NAME, reason)
