"""The graph guard on snapshots: F17, F42, F43, F74, F75 and F76, each with the names of the culprits."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from smp_bringup.errors import ConfigError
from smp_bringup.nodes.graph_watch import GraphWatch
from smp_bringup.nodes.guard import Guard
from smp_bringup.nodes.one_speaker import OneSpeaker
from smp_bringup.nodes.speaker_names import SpeakerNames
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


def test_a_graph_that_cannot_be_read_keeps_from_arming_and_stops_nobody(healthy, robot):
    (found,) = look(replace(healthy, unreadable=("/estop",)), robot)
    assert found.severity is Severity.REFUSE
    assert "the node graph cannot be read: a name is no text in /estop" in found.reason


def test_a_name_that_is_no_text_leaves_what_was_seen_and_every_publisher_its_own():
    def info(name):
        return SimpleNamespace(
            node_name=name,
            node_namespace="/",
            topic_type="std_msgs/msg/Bool",
            endpoint_gid=b"\1" * 16,
            qos_profile=None,
        )

    def no_text(*_):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    node = SimpleNamespace(
        get_fully_qualified_name=lambda: "/command",
        resolve_topic_name=lambda topic, only_expand: f"/{topic}",
        get_publishers_info_by_topic=lambda _: [info("button")],
        get_subscriptions_info_by_topic=lambda _: [],
        get_node_names_and_namespaces=lambda: [("command", "/")],
    )
    watch = GraphWatch(node)
    watch.subscribes("estop", "std_msgs/msg/Bool")
    assert watch.look().unreadable == ()
    node.get_publishers_info_by_topic = node.get_node_names_and_namespaces = no_text
    seen = watch.look_at_all()
    assert seen.unreadable == ("/estop", "the names of all nodes")
    assert [end.node for end in seen.topics[0].publishers] == ["/button"]
    assert watch.name_of(b"\2" * 16) == "a publisher"  # who presses the stop is heard all the same


def test_who_has_taken_its_leave_from_ros_is_gone_and_who_never_had_a_name_is_not(monkeypatch):
    """What a process says at its end to DDS may be lost: until its lease ends DDS shows a publisher without a node."""
    unknown = "_NODE_NAME_UNKNOWN_"
    names = {b"\1": "driver", b"\2": "rogue", b"\3": unknown}
    kinds = {"topic_type": JOINTS, "qos_profile": None, "node_namespace": "/"}
    node = SimpleNamespace(
        get_fully_qualified_name=lambda: "/command",
        resolve_topic_name=lambda topic, only_expand: f"/{topic}",
        get_publishers_info_by_topic=lambda _: [
            SimpleNamespace(node_name=name, endpoint_gid=gid, **kinds) for gid, name in names.items()
        ],
        get_subscriptions_info_by_topic=lambda _: [],
        get_node_names_and_namespaces=lambda: [("command", "/")],
    )
    now_ns = [0]
    monkeypatch.setattr("smp_bringup.nodes.graph_watch.steady_ns", lambda: now_ns[0])
    watch = GraphWatch(node)
    watch.subscribes("state", JOINTS)
    assert [end.node for end in watch.look().topics[0].publishers] == ["/driver", "/rogue"]
    now_ns[0] = 10**9
    names[b"\2"] = unknown  # it has left
    assert [end.node for end in watch.look().topics[0].publishers] == ["/driver", f"/{unknown}"]  # never had a name
    names[b"\4"] = "rogue"  # and comes again
    assert [end.node for end in watch.look().topics[0].publishers] == ["/driver", f"/{unknown}", "/rogue"]


def test_a_twin_is_gone_that_publishes_nothing_for_a_second(monkeypatch):
    """The last that a process says, to ROS and to DDS, may be lost: its name is then heard until its lease ends."""
    kinds = {"topic_type": JOINTS, "qos_profile": None, "node_namespace": "/"}
    gids, names = [b"\1"], ["command", "driver", "command"]
    node = SimpleNamespace(
        get_fully_qualified_name=lambda: "/command",
        resolve_topic_name=lambda topic, only_expand: f"/{topic}",
        get_publishers_info_by_topic=lambda _: [
            SimpleNamespace(node_name="command", endpoint_gid=gid, **kinds) for gid in gids
        ],
        get_subscriptions_info_by_topic=lambda _: [],
        get_node_names_and_namespaces=lambda: [(name, "/") for name in names],
    )
    now_ns = [1]
    monkeypatch.setattr("smp_bringup.nodes.graph_watch.steady_ns", lambda: now_ns[0])
    watch = GraphWatch(node)
    watch.publishes("joint_commands", JOINTS)

    def twins(later_s=0.0):
        now_ns[0] += int(1e9 * later_s)
        return watch.look().nodes.count("/command") - 1

    assert twins() == 1  # it has not said yet what it publishes
    gids.append(b"\2")
    assert twins(5.0) == 1
    gids.remove(b"\2")
    assert twins(0.9) == 1
    assert twins(0.2) == 0
    gids.append(b"\3")  # another one starts while the name of the first is still there
    assert twins() == 1
    gids.remove(b"\3")
    names.remove("command")
    assert twins() == 0
    names.append("command")
    assert twins() == 1  # a new one
    assert twins(1.1) == 0  # that ended before its topics were seen


def test_publishers_are_told_apart_by_a_number_and_keep_their_names():
    names = SpeakerNames()
    said = [names.name(bytes([k]), node) for k, node in enumerate(["/teleop", "/teleop", "", ""])]
    assert said == ["/teleop", "/teleop (publisher 2)", "a publisher", "a publisher (publisher 2)"]
    assert names.name(b"\2", "/policy") == "a publisher"  # the same source, whose name is learnt too late
    assert [names.known(gid) for gid in (b"\1", b"\7")] == ["/teleop (publisher 2)", None]


def test_a_node_that_is_called_as_anothers_publisher_is_not_taken_for_it():
    """A stranger's node may have any name; who has the lease is known by this one."""
    names = SpeakerNames()
    said = [names.name(gid, node) for gid, node in ((b"\0", "/a (publisher 2)"), (b"\1", "/a"), (b"\2", "/a"))]
    assert said == ["/a (publisher 2)", "/a", "/a (publisher 3)"]


def test_a_timer_that_raises_is_counted_and_only_a_mistake_of_the_user_ends_the_node():
    class Logs:
        context, errors = SimpleNamespace(ok=lambda: True), []

        def get_logger(self):
            return SimpleNamespace(error=self.errors.append)

    node = Logs()
    guard = Guard(node)

    def raises(*_):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    def mistaken():
        raise ConfigError("another node is already running")

    node.get_publishers_info_by_topic = raises
    guard.timer(raises)()
    guard.message("/estop", raises)(None, {"publisher_gid": {"data": b"1"}})
    assert sum(guard.counters.values()) == len(node.errors) == 2
    assert "raises: failed: " in node.errors[0]
    assert "/estop: refused what somebody sent: " in node.errors[1]
    with pytest.raises(ConfigError):
        guard.timer(mistaken)()


def test_a_name_that_is_no_text_does_not_drive_out_who_is_heard():
    def no_text(*_):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    class Graph:
        def get_logger(self):
            return SimpleNamespace(error=said.append, warning=said.append)

    node, heard, said = Graph(), [], []
    node.get_publishers_info_by_topic = no_text
    only = OneSpeaker(node, lambda: 0).only("/task", heard.append, silent_s=None)
    for sender in (b"1", b"2", b"1"):
        only(sender, {"publisher_gid": {"data": sender}})
    assert heard == [b"1", b"1"]


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
