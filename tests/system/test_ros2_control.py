"""Two UR5e under ros2_control, as config/robots/dual_ur5e.yaml has them: real nodes of ours, a stand-in of theirs."""

import json
import os
import time
from array import array
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header, String

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec, build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg, time_msg
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained

NAME = "dual_ur5e"
PARTY = Path(__file__).with_name("ros2_control.py")
HELD_S = float(os.environ.get("ROS2_CONTROL_SECONDS", "4"))
"""How long the policy drives the arms; 60 where it is measured."""


@pytest.fixture(scope="module")
def body():
    return load_robot(NAME)


class Outside:
    """What is around our nodes: the report of the stand-in, cameras, an operator who sways the left wrist."""

    def __init__(self, client, body):
        self.client, self.body, self.report, self.frames = client, body, {}, 0
        self.sway = np.zeros(body.dof)
        self.home = np.array(body.joint_array("home"))
        self._teleop = client.create_publisher(JointState, "/teleop/command", qos.LATEST)
        self._images = [(c, client.create_publisher(Image, c.topic, qos.DRIVER)) for c in body.cameras]
        self._noise = array("B", np.random.default_rng(0).integers(0, 255, 640 * 480 * 3, np.uint8).tobytes())
        client.create_subscription(String, "/ros2_control/report", self._hear, 10)
        client.create_timer(0.01, self._operate)

    def film(self):
        """Let the cameras run from now on."""
        self.client.create_timer(1 / 30, self._film)

    def _hear(self, message):
        self.report = json.loads(message.data)

    def _operate(self):
        phase = now_ns(self.client) * 1e-9 * np.pi
        position, velocity = self.sway * np.sin(phase), np.pi * self.sway * np.cos(phase)
        message = joint_state_msg(now_ns(self.client), self.body.joint_names, self.home + position, velocity)
        self._teleop.publish(message)

    def _film(self):
        self.frames += 1
        for camera, publisher in self._images:
            self._noise[:8] = array("B", self.frames.to_bytes(8, "little"))
            header = Header(stamp=time_msg(now_ns(self.client)), frame_id=camera.name)
            size = {"height": 480, "width": 640, "step": 640 * 3}
            publisher.publish(Image(header=header, encoding="rgb8", data=self._noise, **size))


@contextmanager
def running(party, nodes, log, body):
    """Run nodes beside ros2_control; give the graph, a client and what is around them."""
    with party(PARTY), Graph(nodes, log) as graph, graph_client() as client:
        outside = Outside(client, body)
        client.wait(lambda: bool(outside.report), 60, "the report of ros2_control", graph.check)
        yield graph, client, outside


def swing(client, outside, least, graph, source, sway=(0.0, 0.0)):
    """Follow a source until the left wrist has swung so far [rad] from side to side; the operator sways by `sway`.

    A machine that stalls stops the sources too, who are silent and then far: held, and faulted. Then it is tried again.
    """
    seen = []

    def swung():
        seen.append(outside.report["positions"]["left"][3])
        return client.latched or max(seen) - min(seen) > least

    while not seen or client.latched:
        seen.clear()
        outside.sway[:] = 0
        client.follow(source, graph.check)
        outside.sway[[3, 6]] = sway
        client.wait(swung, 60, f"a swing of {least} rad", graph.check)
        assert client.command_state["check"] != "arms_follow", client.command_state


def stopped_by(service, client, graph):
    """Stop the left arm; return whether that is why the arms are held. A machine that stalls holds them before."""
    client.set_bool(f"/left_controller/{service}", False)
    begun = time.monotonic()
    held = lambda: client.command_state["check"] == "arms_follow"  # noqa: E731
    client.wait(lambda: client.latched or held(), 60, "the hold", graph.check)
    print(f"{service}: held after {time.monotonic() - begun:.2f} s")
    was_why = held() and "arm 'left' stands still" in client.command_state["reason"]
    client.wait(lambda: client.latched, 60, "the fault that a long hold is", graph.check)
    client.set_bool(f"/left_controller/{service}", True)
    client.wait(lambda: client.accepts("reset"), 60, "the reset", graph.check)
    return was_why


def test_an_operator_moves_the_arms_until_nobody_carries_out_what_is_said(stock_party, body, tmp_path):
    nodes = [NodeSpec("command", {"robot": NAME, "safety": NAME})]
    with running(stock_party, nodes, tmp_path / "command.log", body) as (graph, client, outside):
        swing(client, outside, 0.5, graph, "teleop", sway=(0.3, -0.02))
        assert outside.report["refused"] == 0, outside.report
        assert outside.report["fastest"] < 6.3, (
            "no jump: arms that lag catch up, but 0.43 rad at once would be 20 rad/s"
        )
        assert abs(outside.report["hands"]["left"] - 0.1) < 0.15, "2 cm of 8.5 closed: the knuckle turns by 0.19 rad"
        for service in ("active", "drives"):  # a controller that is switched off, a stop of the teach pendant

            def stopped(service=service):
                swing(client, outside, 0.5, graph, "teleop", sway=(0.3, 0.0))
                return stopped_by(service, client, graph)

            assert any(stopped() for _ in range(10)), client.command_state
        swing(client, outside, 0.5, graph, "teleop", sway=(0.3, 0.0))
        assert outside.report["refused"] == 0, outside.report


def test_a_policy_closes_the_loop_and_no_setpoint_is_refused(stock_party, body, small_policies, tmp_path):
    import torch

    torch.manual_seed(3)
    spread = np.where(body.turning, 0.1, 0.01)
    trained = Trained(
        build_network(small_policies["smp"], body.dof), Normalizer(np.array(body.joint_array("home")), spread), {}
    )
    save_checkpoint(trained, body, tmp_path / "model", "# random weights\n")
    nodes = build_graph(robot=NAME, model=str(tmp_path / "model"), safety=NAME)
    with running(stock_party, nodes, tmp_path / "graph.log", body) as (graph, client, outside):
        outside.film()
        end = time.monotonic() + HELD_S
        while time.monotonic() < end:
            swing(client, outside, 0.01, graph, "policy")  # random weights want something
            client.spin_for(1.0, graph.check)
        print({**outside.report, "frames": outside.frames, "seconds": HELD_S})
        assert outside.report["refused"] == 0, outside.report
        assert outside.report["fastest"] < 6.3


def test_the_shipped_safety_settings_name_the_checks_they_leave_out(body):
    left_out = set(load_safety("default").checks) - set(load_safety(NAME).checks)
    assert left_out == {"workspace"}, "where the table is, nobody has said"
    assert {f"{arm.name}_controller" for arm in body.arms} == set(load_safety(NAME).drivers)
