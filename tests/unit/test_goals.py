"""Hands that are told by goals: when a setpoint becomes one, what robots may have, and who is told of no topic."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.access import accesses, policy_xml
from smp_bringup.chaos.ear import judged
from smp_bringup.config import build
from smp_bringup.errors import ConfigError, InstallError
from smp_bringup.goals import GoalPace, feedback_topic
from smp_bringup.joints import DriverJoint
from smp_bringup.nodes.gripper_actions import action_class
from smp_bringup.nodes.recorded import topics
from smp_bringup.record.config import load_recording
from smp_bringup.record.quality import judge
from smp_bringup.record.tracks import Tracks
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.node_graph import Endpoint, Snapshot, Topic, inspect
from smp_bringup.types import Severity

CYCLE_NS = 10_000_000
KIND = "control_msgs/action/GripperCommand"


def by_action(arm, **changes):
    told = {"command_interface": "gripper_command", "command_topic": f"/{arm.name}_controller/gripper_cmd"}
    return replace(arm, **(told | changes))


@pytest.fixture
def body():
    """Two arms by topic, their hands by action."""
    robot = replace(load_robot("dual_ur5e"), simulation="")
    return replace(robot, arms=tuple(by_action(a) if a.name.endswith("hand") else a for a in robot.arms))


def sent(setpoints, span=1.0):
    """Return (cycle, goal) of each goal that becomes of a setpoint a cycle."""
    pace, found, before = GoalPace(span), [], setpoints[0]
    for cycle, setpoint in enumerate(setpoints):
        velocity, before = (setpoint - before) / 0.01, setpoint
        if pace.due(setpoint, velocity, cycle * CYCLE_NS):
            pace.sent(setpoint, cycle * CYCLE_NS)
            found.append((cycle, setpoint))
    return found


@pytest.mark.parametrize("span", [1.0, 0.085])
def test_a_hand_that_closes_is_told_ten_times_a_second_and_of_where_it_ends(span):
    close = span * np.concatenate([np.ones(50), np.linspace(1, 0.3, 200), np.full(100, 0.3)])
    found = sent(close, span)
    cycles, goals = np.array(found).T
    assert goals[0] == span, "where it is, at once"
    assert np.diff(cycles).min() == 10
    assert 19 <= len(found) <= 23
    assert np.abs(np.diff(goals)).max() < 0.05 * span
    assert abs(goals[-1] - 0.3 * span) <= 0.001 * span
    assert cycles[-1] <= 270


def test_a_hand_that_trembles_is_told_nothing_until_it_rests_elsewhere():
    tremor = 0.5 + 0.018 * np.sin(np.arange(500) / 3)
    assert sent(tremor) == [(0, 0.5)]
    assert sent(np.concatenate([tremor, np.full(20, 0.515)])) == [(0, 0.5), (510, 0.515)]


def test_a_goal_that_is_forgotten_is_told_again_but_not_before_its_time():
    pace = GoalPace(1.0)
    pace.sent(0.4, 0)
    assert not pace.due(0.4, 0.0, 10**9)
    pace.forget(2 * 10**9)
    assert not pace.due(0.4, 0.0, 10**9)
    assert pace.due(0.4, 0.0, 2 * 10**9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: [by_action(r.arms[0]), *r.arms[1:]], "gripper_command tells one joint, not 6"),
        (
            lambda r: [*r.arms[:3], replace(r.arms[3], joints=(_pushing(r.arms[3]),))],
            "driver.effort goes with goals only: gripper_command, parallel_gripper_command; not with forward_position",
        ),
        (
            lambda r: [by_action(a, command_topic="/hands/cmd") if "hand" in a.name else a for a in r.arms],
            "/hands/cmd: an action takes goals of one arm of a real robot, not of left_hand and right_hand",
        ),
        (
            lambda r: [by_action(a, command_topic="/joint_states") if "hand" in a.name else a for a in r.arms],
            "topic named twice: /joint_states",
        ),
    ],
)
def test_what_cannot_be_told_by_goals_is_refused(change, said):
    robot = replace(load_robot("dual_ur5e"), simulation="")
    with pytest.raises(ConfigError, match=said):
        replace(robot, arms=tuple(change(robot)))


def _pushing(arm):
    return replace(arm.joints[0], driver=replace(arm.joints[0].driver, effort=40.0))


def test_a_simulated_robot_takes_topics(robot):
    hand = replace(robot.arms[0], joints=robot.arms[0].joints[-1:], geometry="")
    with pytest.raises(ConfigError, match="of a real robot"):
        replace(robot, arms=(by_action(hand),), cameras=robot.cameras[:1])


def test_a_robot_file_with_hands_by_action_is_read_as_it_is_written(body):
    arms = [replace(a, joints=(_pushing(a),)) if a.action_type else a for a in body.arms]
    written = replace(body, arms=tuple(arms))
    assert build(Robot, config.parse_yaml(config.dump(written), "robot"), "robot") == written


def test_an_action_is_no_topic_of_commands(body):
    actions = [a.command_topic for a in body.arms if a.action_type]
    assert [joints.topic for joints in body.command_actions] == actions
    assert {joints.topic for joints in body.command_topics} == {a.command_topic for a in body.arms} - set(actions)
    assert not set(actions) & set(topics(body)), "the recorder has nothing to subscribe to"
    nodes = accesses(body)
    assert nodes["command"].call == tuple(actions)
    assert not set(actions) & {*nodes["command"].publish, *nodes["recorder"].subscribe}
    assert f'<actions call="ALLOW">\n            <action>{actions[0]}</action>' in policy_xml(
        "command", nodes["command"]
    )
    tracks = Tracks(body)
    assert not set(actions) & {track.topic for track in tracks.all()}
    missing = [finding.text for finding in judge(tracks, load_recording("default").quality).findings]
    assert "/left_controller/joint_trajectory: no message" in missing
    assert not any("hand" in text for text in missing), "commands of the hands are not missed"
    heard = judged(body)
    assert {arm.command_interface for arm in heard.arms} == {"joint_state"}
    assert all(joint.driver == DriverJoint() for joint in heard.joints)


def test_a_ros_that_lacks_an_action_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "control_msgs.action", None)
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    with pytest.raises(
        InstallError, match="ParallelGripperCommand, which this ROS lacks: apt install ros-kilted-control-msgs"
    ):
        action_class("parallel_gripper_command")


def look(body, servers=(), clients=()):
    """Return what is found in a graph in which all is well but for one hand's action."""
    topics, hand = [], body.arm("left_hand")
    for arm in body.arms:
        if not arm.action_type:
            topics.append(Topic(arm.command_topic, "x", True, (), (Endpoint(f"/{arm.name}_controller", "x"),)))
    for joints in body.state_topics:
        topics.append(Topic(joints.topic, "x", False, (Endpoint("/broadcaster", "x"),), ()))
    topics.append(Topic(feedback_topic(hand.command_topic), f"{KIND}_FeedbackMessage", False, servers, clients))
    return inspect(Snapshot(tuple(topics), ("/command",)), body, load_safety("dual_ur5e"), "/command")


def end(node, kind=KIND):
    return Endpoint(node, f"{kind}_FeedbackMessage")


@pytest.mark.parametrize(
    ("servers", "clients", "severity", "said"),
    [
        (
            (),
            (),
            Severity.FAULT,
            f"arm_left_hand_gone: no server of the action /left_hand_controller/gripper_cmd ({KIND})",
        ),
        ((end("/hand", "x/action/Grasp"),), (), Severity.FAULT, "/hand serves x/action/Grasp"),
        ((end("/hand"), end("/rogue")), (), Severity.FAULT, "has 2 servers: /hand, /rogue"),
        (
            (end("/hand"),),
            (end("/moveit"),),
            Severity.WARN,
            "/moveit may send goals to /left_hand_controller/gripper_cmd",
        ),
    ],
)
def test_the_graph_is_watched_for_who_takes_goals_and_who_else_sends_them(body, servers, clients, severity, said):
    (finding,) = look(body, servers, clients)
    assert finding.severity is severity
    assert said in finding.reason


def test_one_server_is_as_it_should_be_and_hands_that_are_not_watched_are_not_missed(body):
    assert look(body, (end("/hand"),)) == ()
