"""Hands that are told by goals: the real command node, a stand-in of their controllers with the rules of the source."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from smp_bringup import config
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.joints import DriverJoint
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import first_status, joint_state_msg, status_values
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.types import Command

PARTY = Path(__file__).with_name("gripper_server.py")
TOLD = {
    "left": ("gripper_command", DriverJoint("left_knuckle", 0.8, 0.0, effort=40.0)),
    "right": ("parallel_gripper_command", DriverJoint("right_percent", 0.0, 100.0)),
}
ACTION = {
    side: (f"/{side}_hand_controller/gripper_cmd", f"control_msgs/action/{kind}")
    for side, kind in (("left", "GripperCommand"), ("right", "ParallelGripperCommand"))
}
WIDE, NARROW = 0.085, 0.055
"""Openings [m]."""
OPEN, CLOSED = (0.0, 100.0), ((1 - NARROW / WIDE) * 0.8, 100 * NARROW / WIDE)
"""The same as the drivers say them: how far a knuckle turns [rad], percent open."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the files of a robot of two hands and of its safety."""
    body, folder = replace(load_robot("dual_ur5e"), simulation=""), tmp_path_factory.mktemp("hands")
    hands = []
    for side, (interface, driver) in TOLD.items():
        hand = body.arm(f"{side}_hand")
        joints = (replace(hand.joints[0], driver=driver),)
        told = {"command_interface": interface, "command_topic": ACTION[side][0], "joints": joints}
        hands.append(replace(hand, geometry="", carried_by="", **told))
    path, safety = folder / "hands.yaml", load_safety("dual_ur5e")
    alone = replace(safety, checks=tuple(name for name in safety.checks if name != "arm_distance"))
    (folder / "safety.yaml").write_text(config.dump(alone))  # there are no arms to keep apart
    told = {"cameras": body.cameras[:1], "state_rate_hz": 100, "safety": str(folder / "safety.yaml")}
    path.write_text(config.dump(replace(body, arms=tuple(hands), **told)))
    return str(path)


@pytest.fixture
def path(control_msgs, monkeypatch):
    """Let every process find the actions."""
    monkeypatch.setenv("PYTHONPATH", control_msgs)


class Outside:
    """An operator who wants both hands so wide, and what the stand-in and the command node say."""

    def __init__(self, client, robot):
        self.client, self.robot, self.report, self.said = client, robot, {}, {}
        self.wanted = np.full(robot.dof, WIDE)
        self._teleop = client.create_publisher(JointState, "/teleop/command", qos.LATEST)
        client.create_subscription(String, "/hands/report", self._hear, 10)
        client.create_subscription(DiagnosticArray, "/diagnostics", self._hear_diagnostics, 50)
        client.create_timer(0.01, self._operate)

    def _hear(self, message):
        self.report = json.loads(message.data)

    def _hear_diagnostics(self, message):
        if first_status(message).name.endswith(": command"):
            self.said = status_values(message)

    def _operate(self):
        still = np.zeros(self.robot.dof)
        self._teleop.publish(joint_state_msg(now_ns(self.client), self.robot.joint_names, self.wanted, still))

    def at(self, left, right):
        """Return whether the hands are there, and the newest goals, in the unit of their drivers."""
        hands = (self.report["left"], left, 0.8), (self.report["right"], right, 100.0)
        there = [abs(hand["position"] - place) < 0.012 * span for hand, place, span in hands]
        told = [abs(goal - place) <= 0.001 * span for hand, place, span in hands for goal in hand["goals"][-1:]]
        return all(there + told)

    def warned(self, *words):
        """Return whether the command node warns in these words."""
        return all(word in self.said.get("warning", "") for word in words)


@contextmanager
def running(robot_file, log):
    nodes = [NodeSpec("command", {"robot": robot_file, "safety": load_robot(robot_file).safety})]
    with Graph(nodes, log) as graph, graph_client() as client:
        yield graph, client, Outside(client, load_robot(robot_file))


def goals(outside):
    return sum(len(hand["goals"]) for hand in outside.report.values())


def counted(outside):
    return sum(int(outside.said.get(f"goals/{side}_hand/sent", 0)) for side in ACTION)


def test_hands_go_where_the_operator_wants_them_in_the_unit_of_their_drivers(stock_party, files, path, tmp_path):
    with running(files, tmp_path / "command.log") as (graph, client, outside):
        client.wait(lambda: client.service_ready("/command/arm"), 60, "the command node", graph.check)
        client.wait(lambda: outside.warned("right_hand_gone"), 60, "the warning", graph.check)
        for side, action in ACTION.items():
            assert outside.warned(f"arm_{side}_hand_gone: no server of the action {action[0]} ({action[1]})")
        assert not client.accepts("arm"), "hands without servers"
        with stock_party(PARTY):
            client.wait(lambda: bool(outside.report), 60, "the report of the hands", graph.check)
            client.follow("teleop", graph.check)
            for wanted, there in ((NARROW, CLOSED), (WIDE, OPEN)):
                before = goals(outside)
                outside.wanted[:] = wanted
                client.wait(lambda there=there: outside.at(*there), 60, f"hands at {there}", graph.check)
                assert goals(outside) - before >= 8, "30 mm at 25 mm/s in steps, not in one leap"
            assert outside.report["left"]["efforts"] == [40.0]
            assert (outside.report["right"]["names"], outside.report["right"]["efforts"]) == (["right_percent"], [])
            for side, span in (("left", 0.8), ("right", 100.0)):
                steps = np.abs(np.diff(outside.report[side]["goals"])) / span
                assert steps.max() < 0.15, "no goal is far from the one before, whatever the machine does"
            at_rest = goals(outside)
            client.wait(lambda: counted(outside) == at_rest, 60, "the command node to count them", graph.check)
            client.spin_for(1.0, graph.check)
            assert goals(outside) == at_rest, "a setpoint that rests is told once"
            ended = [hand["ended"].get(str(GoalStatus.STATUS_CANCELED), 0) for hand in outside.report.values()]
            print(outside.said, outside.report)
            assert min(ended) > 4, "a newer goal ends the one before"
            assert (outside.said["warning"], int(outside.said["goals/left_hand/reached"]) > 0) == ("", True)


def test_goals_that_fail_are_warned_of_and_a_server_that_vanishes_is_a_fault(stock_party, files, path, tmp_path):
    log = tmp_path / "command.log"
    with stock_party(PARTY), running(files, log) as (graph, client, outside):
        client.wait(lambda: bool(outside.report), 60, "the report of the hands", graph.check)
        client.follow("teleop", graph.check)
        client.set_bool("/right_hand_controller/block", True)
        outside.wanted[:] = NARROW
        words = f"{ACTION['right'][0]}: the goal 64.", "for right_percent", "aborted: stalled at 100"
        client.wait(lambda: outside.warned(*words), 60, "the warning of a stalled hand", graph.check)
        client.set_bool("/right_hand_controller/block", False)
        client.set_bool("/left_hand_controller/reject", True)
        outside.wanted[:] = WIDE
        rejected = f"{ACTION['left'][0]}: the goal", "for left_knuckle was rejected"
        client.wait(
            lambda: outside.warned(*rejected) and not outside.warned("stalled"),
            60,
            "the warning of a rejected goal, and none of what a newer goal has made good",
            graph.check,
        )
        client.set_bool("/left_hand_controller/reject", False)
        client.wait(lambda: outside.at(*OPEN), 60, "the goal is told again", graph.check)
        client.set_bool("/left_hand_controller/cancel", True)
        outside.wanted[:] = NARROW
        canceled = "left_knuckle was canceled: does somebody else"
        client.wait(lambda: outside.warned(canceled), 60, "the warning of a canceled goal", graph.check)
        assert client.command_state["mode"] == "teleop", "a warning stops nobody"
        client.set_bool("/right_hand_controller/serve", False)
        client.wait(lambda: client.latched, 60, "the fault", graph.check)
        assert client.command_state["check"] == "graph_guard"
        assert f"arm_right_hand_gone: no server of the action {ACTION['right'][0]}" in client.command_state["reason"]
        assert not client.accepts("reset")
        client.set_bool("/right_hand_controller/serve", True)
        client.follow("teleop", graph.check)
    text = log.read_text()
    assert all(word in text for word in ("stalled at 100", "was rejected", "was canceled")), text


def test_a_goal_that_nobody_answers_is_told_again(control_msgs, monkeypatch, files):
    monkeypatch.syspath_prepend(control_msgs.split(os.pathsep)[0])
    from smp_bringup.nodes.graph_watch import GraphWatch
    from smp_bringup.nodes.gripper_actions import GripperActions

    body = load_robot(files)
    with graph_client() as client:
        hands = GripperActions(client, GraphWatch(client), body.command_actions)
        command = Command(1, *np.zeros((3, body.dof)))
        for at_ns in (0, 500_000_000, 1_100_000_000, 1_200_000_000):
            hands.follow(command, at_ns)
        assert hands.counters()["goals/left_hand/sent"] == 2
        assert hands.counters()["goals/left_hand/unanswered"] == 1
        assert "neither accepted nor rejected within 1 s" in hands.troubles()[0]


def test_a_ros_without_the_action_ends_the_node_with_one_line_that_says_what_to_install(files, tmp_path, monkeypatch):
    (tmp_path / "control_msgs").mkdir()
    (tmp_path / "control_msgs/__init__.py").touch()  # of an installation that has no actions
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    command = [sys.executable, "-m", "smp_bringup.nodes.command_node", "--ros-args", "-p", f"robot:={files}"]
    done = subprocess.run(
        [*command, "-p", f"safety:={load_robot(files).safety}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "command_interface 'gripper_command' needs control_msgs/action/GripperCommand" in said
    assert "-control-msgs" in said
    assert "Traceback" not in done.stderr
