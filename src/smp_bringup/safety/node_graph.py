"""The node graph around the command node: who else speaks, who listens, and whether they can hear each other.

Pure: the node takes snapshots of the graph, here they are judged.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from smp_bringup.arm import Arm
from smp_bringup.goals import feedback_topic
from smp_bringup.names import full_name
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import Severity, Verdict

_NAME = "graph_guard"


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscriber of a topic."""

    node: str
    """With its namespace, so it begins with a slash; what the middleware calls those without a name does not."""
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
    unreadable: tuple[str, ...] = ()
    """What could not be looked at, since somebody's name is no text; of topics, what was seen before stays."""


def inspect(snapshot: Snapshot, robot: Robot, config: SafetyConfig, us: str) -> tuple[Verdict, ...]:
    """Return what is wrong with the graph, seen from the node `us`.

    FAULT, or REFUSE where it only forbids arming. Who only listens changes nothing: what is wrong with it is WARN.
    """
    topics = {topic.name: topic for topic in snapshot.topics}
    named = {full_name(driver, us.rpartition("/")[0]) for driver in config.drivers}
    found, matter = list[Verdict](), {us}
    for arm in robot.arms:
        states = topics[arm.state_topic]
        found += _measured(states)
        if arm.action_type:
            goals = topics.pop(feedback_topic(arm.command_topic), None)  # not watched over a bag
            found += [] if goals is None else _server(arm, goals)
            matter |= set() if goals is None else {end.node for end in goals.publishers}
            continue
        commands = topics[arm.command_topic]
        driving = drivers(commands, states, named)
        matter |= {end.node for end in driving}
        found += _arm(arm.name, commands, states, driving)
    for topic in topics.values():
        if not topic.ours:
            matter |= {end.node for end in topic.publishers}
            found += [_refuse(f"waiting for {topic.name}: {said}") for said in _mismatches(topic, topic.publishers)]
    found += [_refuse(f"the node graph cannot be read: a name is no text in {what}") for what in snapshot.unreadable]
    twice = {name for name in snapshot.nodes if snapshot.nodes.count(name) > 1}
    if us in twice:
        found.append(_fault(f"another node '{us}' is already running"))
    found += [_refuse(f"node name '{name}' is used twice") for name in sorted(twice & matter - {us})]
    return tuple(dict.fromkeys(found))  # arms that share a topic share what is wrong with it


def _arm(arm: str, commands: Topic, states: Topic, driving: Sequence[Endpoint]) -> list[Verdict]:
    """Return what is wrong with who speaks and who listens on the topics of one arm."""
    found, others = [], [end for end in commands.subscribers if end not in driving]
    if commands.publishers:
        found.append(_fault(f"{commands.name} has a second publisher: {_names(commands.publishers)}"))
    deaf = _mismatches(commands, driving)
    if len(deaf) == len(driving):
        missing = f"needed is a node that subscribes to it and publishes {states.name}, or that `drivers` names"
        missing += f" (listening: {_names(others)})" if others else ""
        found.append(_fault(f"arm_{arm}_gone: no driver listens to {commands.name}: {'; '.join(deaf) or missing}"))
    else:
        found += [_refuse(f"waiting for {commands.name}: {said}") for said in deaf]
    said = (f"{commands.name} cannot be watched: {said}" for said in _mismatches(commands, others))
    return found + [Verdict(Severity.WARN, _NAME, reason) for reason in said]


def _measured(states: Topic) -> list[Verdict]:
    """Return what is wrong with who publishes measured joints."""
    if len(states.publishers) <= 1:
        return []
    return [_fault(f"{states.name} has {len(states.publishers)} publishers: {_names(states.publishers)}")]


def _server(arm: Arm, goals: Topic) -> list[Verdict]:
    """Return what is wrong with who takes the goals of an arm: who publishes the feedback of its action."""
    found, action = [], f"{arm.command_topic} ({arm.action_type})"
    servers = [end for end in goals.publishers if end.kind == goals.kind]
    others = [f"{end.node} serves {end.kind.removesuffix('_FeedbackMessage')}" for end in goals.publishers]
    if not servers:
        missing = "; ".join(others) or "start the controller of the hand, or its driver"
        found.append(_fault(f"arm_{arm.name}_gone: no server of the action {action}: {missing}"))
    elif len(others) > 1:
        found.append(_fault(f"{action} has {len(others)} servers: {_names(goals.publishers)}"))
    if goals.subscribers:
        reason = f"{_names(goals.subscribers)} may send goals to {action}, too"
        found.append(Verdict(Severity.WARN, _NAME, reason))
    return found


def drivers(commands: Topic, states: Topic, named: AbstractSet[str]) -> list[Endpoint]:
    """Return who drives an arm: who listens to its commands and publishes its joint states, or is among `named`."""
    driving = {end.node for end in states.publishers if end.node.startswith("/")}.union(named)
    return [end for end in commands.subscribers if end.node in driving]


def _mismatches(topic: Topic, ends: Sequence[Endpoint]) -> list[str]:
    """Return who of those at the other end of a topic cannot talk to us, and why."""
    return [f"{end.node} is there, but {cause}" for end in ends if (cause := mismatch(topic, end))]


def mismatch(topic: Topic, end: Endpoint) -> str:
    """Return why one at the other end of a topic and our own end cannot talk; nothing if they can."""
    return end.mismatch if end.kind == topic.kind else f"speaks {end.kind}, not {topic.kind}"


def _names(ends: Sequence[Endpoint]) -> str:
    return ", ".join(sorted(end.node for end in ends))


def _fault(reason: str) -> Verdict:
    return Verdict(Severity.FAULT, _NAME, reason)


def _refuse(reason: str) -> Verdict:
    return Verdict(Severity.REFUSE, _NAME, reason)
