"""The graph guard on snapshots: F17, F42, F43, F74, F75 and F76, each with the names of the culprits."""

from dataclasses import replace

import pytest

from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.safety.node_graph import Endpoint, Snapshot, Topic, inspect
from smp_bringup.types import Severity

JOINTS = "sensor_msgs/msg/JointState"


@pytest.fixture
def healthy(robot):
    """A graph with one driver and one recorder."""
    driver, recorder = Endpoint("/driver", JOINTS), Endpoint("/recorder", JOINTS)
    topics = [Topic("/policy/chunk", "trajectory_msgs/msg/JointTrajectory", False, (), ())]
    for arm in robot.arms:
        topics.append(Topic(arm.command_topic, JOINTS, True, (), (driver, recorder)))
        topics.append(Topic(arm.state_topic, JOINTS, False, (driver,), (recorder,)))
    return Snapshot(tuple(topics), ("/command", "/driver", "/recorder"))


def changed(snapshot, name, **changes):
    topics = tuple(replace(topic, **changes) if topic.name == name else topic for topic in snapshot.topics)
    return replace(snapshot, topics=topics)


def look(snapshot, robot):
    return inspect(snapshot, robot, load_safety("default"), "/command")


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
        (lambda g, arm: replace(g, nodes=(*g.nodes, "/sync", "/sync")), Severity.REFUSE, "'/sync' is used twice"),
        (  # F75
            lambda g, arm: changed(
                g,
                "/policy/chunk",
                publishers=(
                    rogue("trajectory_msgs/msg/JointTrajectory", "QoS is incompatible: ERROR: Best effort publisher"),
                ),
            ),
            Severity.REFUSE,
            "waiting for /policy/chunk: /rogue is there, but QoS is incompatible: ERROR: Best effort",
        ),
        (  # F76
            lambda g, arm: changed(g, "/policy/chunk", publishers=(rogue("sensor_msgs/msg/Image"),)),
            Severity.REFUSE,
            "/rogue is there, but speaks sensor_msgs/msg/Image, not trajectory_msgs",
        ),
        (  # a driver that cannot hear us is no driver
            lambda g, arm: changed(g, arm.command_topic, subscribers=(rogue("std_msgs/msg/Float64MultiArray"),)),
            Severity.FAULT,
            "arm_left_gone",
        ),
    ],
)
def test_what_is_wrong_is_found_and_named(healthy, robot, change, severity, reason):
    findings = look(change(healthy, robot.arms[0]), robot)
    assert any(finding.severity is severity and reason in finding.reason for finding in findings), findings


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
