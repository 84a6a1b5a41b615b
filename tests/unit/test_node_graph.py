"""The graph guard on snapshots: F17, F42, F43, F74, F75 and F76, each with the names of the culprits."""

from dataclasses import replace

import pytest

from smp_bringup.errors import ConfigError
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.safety.node_graph import Endpoint, Snapshot, Topic, inspect
from smp_bringup.types import Severity

JOINTS = "sensor_msgs/msg/JointState"
CHUNK = "trajectory_msgs/msg/JointTrajectory"


@pytest.fixture
def healthy(robot):
    """A graph with one driver and one recorder."""
    driver, recorder = Endpoint("/driver", JOINTS), Endpoint("/recorder", JOINTS)
    topics = [Topic("/policy/chunk", CHUNK, False, (), ())]
    for arm in robot.arms:
        topics.append(Topic(arm.command_topic, JOINTS, True, (), (driver, recorder)))
        topics.append(Topic(arm.state_topic, JOINTS, False, (driver,), (recorder,)))
    return Snapshot(tuple(topics), ("/command", "/driver", "/recorder"))


def changed(snapshot, name, **changes):
    topics = tuple(replace(topic, **changes) if topic.name == name else topic for topic in snapshot.topics)
    return replace(snapshot, topics=topics)


def listen(snapshot, name, *others):
    """Return the graph with more subscribers of a topic."""
    topic = next(topic for topic in snapshot.topics if topic.name == name)
    return changed(snapshot, name, subscribers=(*topic.subscribers, *others))


def look(snapshot, robot, drivers=()):
    return inspect(snapshot, robot, replace(load_safety("default"), drivers=drivers), "/command")


def test_a_healthy_graph_has_no_findings(healthy, robot):
    assert look(healthy, robot) == ()


def rogue(kind=JOINTS, mismatch=""):
    return Endpoint("/rogue", kind, mismatch)


@pytest.mark.parametrize(
    ("change", "severity", "reason"),
    [
        (  # F17
            lambda g, arm: changed(g, arm.state_topic, publishers=(Endpoint("/driver", JOINTS), rogue())),
            Severity.FAULT,
            "/follower_left/joint_states has 2 publishers: /driver, /rogue",
        ),
        (  # F42: a recorder that listens is no driver
            lambda g, arm: changed(g, arm.command_topic, subscribers=(Endpoint("/recorder", JOINTS),)),
            Severity.FAULT,
            "arm_left_gone: no driver listens to /follower_left/joint_commands",
        ),
        (  # F43
            lambda g, arm: changed(g, arm.command_topic, publishers=(rogue(),)),
            Severity.FAULT,
            "/follower_left/joint_commands has a second publisher: /rogue",
        ),
        (  # F74
            lambda g, arm: replace(g, nodes=(*g.nodes, "/command")),
            Severity.FAULT,
            "another node '/command' is already running",
        ),
        (  # a source's name
            lambda g, arm: replace(
                changed(g, "/policy/chunk", publishers=(Endpoint("/policy", CHUNK),)),
                nodes=(*g.nodes, "/policy", "/policy"),
            ),
            Severity.REFUSE,
            "node name '/policy' is used twice",
        ),
        (  # F75
            lambda g, arm: changed(
                g,
                "/policy/chunk",
                publishers=(rogue(CHUNK, "QoS is incompatible: ERROR: Best effort publisher"),),
            ),
            Severity.REFUSE,
            "waiting for /policy/chunk: /rogue is there, but QoS is incompatible: ERROR: Best effort",
        ),
        (  # F76
            lambda g, arm: changed(g, "/policy/chunk", publishers=(rogue("sensor_msgs/msg/Image"),)),
            Severity.REFUSE,
            "/rogue is there, but speaks sensor_msgs/msg/Image, not trajectory_msgs",
        ),
        (  # what is missing is said
            lambda g, arm: changed(g, arm.command_topic, subscribers=(rogue(),)),
            Severity.FAULT,
            "needed is a node that subscribes to it and publishes /follower_left/joint_states, or that `drivers` names",
        ),
        (  # a driver that cannot hear us is no driver, and is named
            lambda g, arm: changed(g, arm.command_topic, subscribers=(Endpoint("/driver", "std_msgs/msg/Bool"),)),
            Severity.FAULT,
            "/follower_left/joint_commands: /driver is there, but speaks std_msgs/msg/Bool",
        ),
        (  # a driver with two subscribers, of which one hears us
            lambda g, arm: listen(g, arm.command_topic, Endpoint("/driver", JOINTS, "QoS is incompatible")),
            Severity.REFUSE,
            "waiting for /follower_left/joint_commands: /driver is there, but QoS is incompatible",
        ),
        (lambda g, arm: replace(g, nodes=(*g.nodes, "/driver")), Severity.REFUSE, "'/driver' is used twice"),
        (  # who cannot watch is told so
            lambda g, arm: listen(g, arm.command_topic, rogue(JOINTS, "QoS is incompatible: DURABILITY")),
            Severity.WARN,
            "/follower_left/joint_commands cannot be watched: /rogue is there, but QoS is incompatible: DURABILITY",
        ),
        (
            lambda g, arm: listen(g, arm.command_topic, rogue("std_msgs/msg/Float64MultiArray")),
            Severity.WARN,
            "/rogue is there, but speaks std_msgs/msg/Float64MultiArray, not sensor_msgs/msg/JointState",
        ),
    ],
)
def test_what_is_wrong_is_found_and_named(healthy, robot, change, severity, reason):
    findings = look(change(healthy, robot.arms[0]), robot)
    assert any(finding.severity is severity and reason in finding.reason for finding in findings), findings
    assert max(finding.severity for finding in findings) is severity


NAMELESS = "_NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_"
OBSERVERS = {
    "echo": Endpoint("/_ros2cli_4711", JOINTS),
    "of our own": Endpoint("/smp_top", JOINTS),
    "nameless": Endpoint(NAMELESS, JOINTS),
    "of another type": Endpoint("/foxglove_bridge", "std_msgs/msg/Empty"),
    "incompatible": Endpoint("/rqt", JOINTS, "QoS is incompatible: ERROR: DURABILITY"),
}


@pytest.mark.parametrize("observer", OBSERVERS.values(), ids=OBSERVERS)
def test_an_observer_of_every_topic_neither_drives_nor_keeps_from_arming(healthy, robot, rig, observer):
    watched, alone = healthy, healthy
    for topic in healthy.topics:
        watched = listen(watched, topic.name, observer, observer)
        alone = changed(alone, topic.name, subscribers=(observer, observer)) if topic.ours else alone
    watched = replace(watched, nodes=(*watched.nodes, observer.node, observer.node))
    found = look(watched, robot)
    assert all(finding.severity is Severity.WARN for finding in found), found
    rig.core.on_graph(found)
    assert rig.arm().ok
    rig.say(Mode.TELEOP)
    assert rig.use(Mode.TELEOP).ok
    assert rig.step(60, lambda rig: rig.say(Mode.TELEOP)).mode is Mode.TELEOP
    assert rig.core.verdict.severity is Severity.PASS
    for arm, finding in zip(robot.arms, faults(look(alone, robot)), strict=True):
        assert f"arm_{arm.name}_gone" in finding.reason


def faults(findings):
    return [finding for finding in findings if finding.severity is Severity.FAULT]


def test_a_nameless_publisher_of_states_and_a_nameless_observer_are_no_driver(healthy, robot):
    arm = robot.arms[0]
    somebody = Endpoint(NAMELESS, JOINTS)
    graph = changed(healthy, arm.state_topic, publishers=(somebody,))
    graph = changed(graph, arm.command_topic, subscribers=(somebody,))
    assert "arm_left_gone" in look(graph, robot)[0].reason


def test_a_driver_of_two_nodes_is_named_in_the_settings(healthy, robot):
    graph = healthy
    for arm in robot.arms:
        graph = changed(graph, arm.state_topic, publishers=(Endpoint("/broadcaster", JOINTS),))
        graph = changed(graph, arm.command_topic, subscribers=(Endpoint("/arms/controller", JOINTS),))
    assert len(faults(look(graph, robot))) == len(robot.arms)
    assert look(graph, robot, ("/arms/controller",)) == ()
    assert len(faults(look(graph, robot, ("/controller",)))) == len(robot.arms)
    assert look(graph, robot, ("arms/controller",)) == ()  # in the namespace of the command node
    for arm in robot.arms:
        graph = changed(graph, arm.command_topic, subscribers=(Endpoint("/robot1/arms/controller", JOINTS),))
    config = replace(load_safety("default"), drivers=("arms/controller",))
    assert inspect(graph, robot, config, "/robot1/command") == ()
    assert len(faults(inspect(graph, robot, config, "/command"))) == len(robot.arms)
    with pytest.raises(ConfigError, match="node '2controller' must be a name as `ros2 node list` writes it"):
        look(graph, robot, ("2controller",))


def test_every_arm_without_a_driver_is_named_when_arming_is_refused(healthy, robot, rig):
    graph = healthy
    for arm in robot.arms:
        graph = changed(graph, arm.command_topic, subscribers=())
    rig.core.on_graph(look(graph, robot))
    assert all(f"arm_{arm.name}_gone" in rig.arm().message for arm in robot.arms)


def test_a_finding_faults_within_a_cycle_and_forbids_arming_and_resetting(healthy, robot, rig):
    found = look(changed(healthy, robot.arms[0].command_topic, publishers=(rogue(),)), robot)
    rig.following()
    rig.core.on_graph(found)
    assert rig.step().mode is Mode.FAULT
    assert "/rogue" in rig.core.verdict.reason
    rig.step(50)
    assert "/rogue" in rig.reset().message
    rig.core.on_graph(())
    assert rig.reset().ok
    rig.core.on_graph(found)
    assert "/rogue" in rig.arm().message


def test_what_is_only_refused_forbids_arming_and_does_not_stop_who_is_armed(healthy, robot, rig):
    found = look(changed(healthy, "/policy/chunk", publishers=(rogue("sensor_msgs/msg/Image"),)), robot)
    rig.core.on_graph(found)
    assert "waiting for /policy/chunk" in rig.arm().message
    rig.core.on_graph(())
    rig.following(Mode.TELEOP)
    rig.core.on_graph(found)
    output = rig.step(say=lambda rig: rig.say(Mode.TELEOP))
    assert (output.mode, output.verdict.severity) == (Mode.TELEOP, Severity.REFUSE)
