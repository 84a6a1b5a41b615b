"""Who takes the commands of a robot's arms: is a driver there, and does it hear us."""

from collections.abc import Sequence

from smp_bringup.arm import Arm
from smp_bringup.commission.finding import Finding, error
from smp_bringup.commission.seen import GraphSeen
from smp_bringup.errors import nearest
from smp_bringup.goals import feedback_topic
from smp_bringup.names import full_name
from smp_bringup.record.tracks import COMMAND_KINDS
from smp_bringup.robot import JointTopic, Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.node_graph import Endpoint, Topic, drivers, mismatch

_FEEDBACK = "_FeedbackMessage"


def check_commands(robot: Robot, safety: SafetyConfig, seen: GraphSeen, namespace: str) -> list[Finding]:
    """Return what is wrong with who takes the commands.

    Args:
        robot: whose arms are commanded.
        safety: names the drivers that publish no joint states.
        seen: the graph.
        namespace: of our nodes.
    """
    named = {full_name(driver, namespace) for driver in safety.drivers}
    found = []
    for told in robot.command_topics:
        about = "arm " + ", ".join(arm.name for arm in told.arms)
        states = [seen.topics[arm.state_topic] for arm in told.arms]
        found += _topic(about, told, seen.topics[told.topic], states, named, seen)
    for told in robot.command_actions:
        found += _action(told.arms[0], seen.topics[feedback_topic(told.topic)], seen)
    there = {end.node for topic in seen.topics.values() for end in (*topic.publishers, *topic.subscribers)}
    there |= set(seen.nodes)
    for name in sorted(named - there):
        said = f"drivers of the safety file: no node {name} is there{nearest(name, there)}"
        found.append(error("safety", said, "start it, or name the node that takes the commands"))
    return found


def _topic(
    about: str, told: JointTopic, commands: Topic, states: Sequence[Topic], named: set[str], seen: GraphSeen
) -> list[Finding]:
    found = []
    if commands.publishers:
        nodes = ", ".join(sorted(end.node for end in commands.publishers))
        said = f"{commands.name} has another publisher: {nodes}"
        found.append(error(about, said, "stop it: only the command node may tell the arms where to go"))
    if not commands.subscribers:
        said = f"nobody subscribes to {commands.name} ({commands.kind}){_meant(commands, seen)}"
        todo = "start its controller, or write its topic as command_topic in the robot file"
        return [*found, error(about, said, todo)]
    driving = {end.node for topic in states for end in drivers(commands, topic, named)}
    able = [end for end in commands.subscribers if end.node in driving]
    if not able:
        return [*found, _stranger(about, commands, states)]
    for end in able:
        if end.kind != commands.kind:
            said = f"{end.node} takes {commands.name} as {end.kind}, the robot file makes it {commands.kind}"
            todo = f"write command_interface: {_interface(end)}" if _interface(end) else "name another command_topic"
            found.append(error(about, said, todo))
        elif cause := mismatch(commands, end):
            said = f"{end.node} takes {commands.name}, but {cause}"
            found.append(error(about, said, "let it ask for volatile, reliable or best effort"))
    return found


def _meant(commands: Topic, seen: GraphSeen) -> str:
    """Return a topic of commands that somebody takes and that looks like this one."""
    taken = [name for name, topic in seen.taken.items() if commands.kind in topic and name != commands.name]
    hint = nearest(commands.name, taken)
    return hint or (f"; of that type somebody takes {', '.join(sorted(taken)[:3])}" if taken else "")


def _stranger(about: str, commands: Topic, states: Sequence[Topic]) -> Finding:
    nodes = sorted({end.node for end in commands.subscribers})
    kinds = sorted({end.kind for end in commands.subscribers} - {commands.kind})
    other = f" as {', '.join(kinds)}, the robot file makes it {commands.kind}" if kinds else ""
    said = f"{', '.join(nodes)} takes {commands.name}{other}, and publishes no {', '.join(t.name for t in states)}"
    return error(about, said, f"if that is its controller, write drivers: [{', '.join(nodes)}] in the safety file")


def _interface(end: Endpoint) -> str:
    return {kind: name for name, kind in COMMAND_KINDS.items()}.get(end.kind, "")


def _action(arm: Arm, feedback: Topic, seen: GraphSeen) -> list[Finding]:
    about, action = f"arm {arm.name}", f"{arm.command_topic} ({arm.action_type})"
    servers = [end for end in feedback.publishers if end.kind == feedback.kind]
    others = [end for end in feedback.publishers if end.kind != feedback.kind]
    if others:
        said = f"{others[0].node} serves {arm.command_topic} as {others[0].kind.removesuffix(_FEEDBACK)}"
        return [error(about, f"{said}, the robot file makes it {arm.action_type}", "write its command_interface")]
    if not servers:
        kinds = {name: kinds for name, kinds in seen.published.items() if feedback.kind in kinds}
        meant = nearest(arm.command_topic, [name.removesuffix("/_action/feedback") for name in kinds])
        return [error(about, f"nobody serves the action {action}{meant}", "start the controller of the hand")]
    if len(servers) > 1:
        nodes = ", ".join(sorted(end.node for end in servers))
        return [error(about, f"{action} has {len(servers)} servers: {nodes}", "stop all but one")]
    return []
