"""Two arms on a base that drives: an operator, the recorder, and a stand-in of a diff_drive_controller."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets, follower_trajectory, leader_trajectory
from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import image_msg, joint_state_msg, time_msg
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.record.quality import Level
from smp_bringup.training.dataset import read_episode

pytestmark = pytest.mark.skipif(find_spec("nav_msgs") is None, reason="pip install ros-nav-msgs: this ROS lacks it")
PARTY = Path(__file__).with_name("diff_drive.py")
FAST = 0.4
"""What the operator wants of the base [m/s]."""


class Outside:
    """What is around our nodes: arms that go where they are told, an operator, cameras, the report of the base."""

    def __init__(self, client, robot):
        self.client, self.report, self.stick, self.tick = client, {}, None, 0
        self.arms = [arm for arm in robot.arms if not arm.is_base]
        self.at = {arm.name: np.array([joint.home for joint in arm.joints]) for arm in self.arms}
        self.say = {
            topic: client.create_publisher(JointState, topic, qos.DRIVER)
            for arm in self.arms
            for topic in (arm.state_topic, arm.leader_topic)
        }
        for arm in self.arms:
            client.create_subscription(JointState, arm.command_topic, self._obey(arm.name), qos.LATEST)
        self.joystick = client.create_publisher(TwistStamped, robot.arms[-1].leader_topic, qos.DRIVER)
        self.images = [(c, client.create_publisher(Image, c.topic, qos.DRIVER)) for c in robot.cameras]
        self.noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        client.create_subscription(String, "/base/report", self._hear, 10)
        client.create_timer(0.01, self._play)

    def drive(self, rate):
        """Hold the stick there; None: let go, and say nothing any more once 0 was said."""
        if rate is None:
            self._push(0.0)
        self.stick = rate

    def vanish(self):
        """Be silent with the stick where it is."""
        self.stick = None

    @property
    def told(self):
        """The newest commands of the base, linear and angular, and their stamps (N, 3)."""
        return np.array(self.report["told"])

    def _obey(self, name):
        def hear(message):
            self.at[name] = np.array(message.position)

        return hear

    def _hear(self, message):
        self.report = json.loads(message.data)

    def _push(self, rate):
        message = TwistStamped()
        message.header.stamp = time_msg(now_ns(self.client))
        message.twist.linear.x, message.twist.angular.z = rate, rate
        self.joystick.publish(message)

    def _play(self):
        self.tick += 1
        now = now_ns(self.client)
        sway = 0.1 * np.sin(now * 1e-9 * np.pi)
        for arm in self.arms:
            names, still = tuple(joint.name for joint in arm.joints), np.zeros(len(arm.joints))
            wanted = np.array([joint.home + sway * joint.turns for joint in arm.joints])
            self.say[arm.state_topic].publish(joint_state_msg(now, names, self.at[arm.name], still))
            if self.tick % 2 == 0:
                self.say[arm.leader_topic].publish(joint_state_msg(now, names, wanted, still))
        if self.stick is not None and self.tick % 5 == 0:
            self._push(self.stick)
        if self.tick % 4 == 0:
            for camera, publisher in self.images:
                publisher.publish(image_msg(now, camera.name, np.roll(self.noise, self.tick)))


@pytest.fixture
def live(stock_party, mobile, tmp_path):
    mobile = replace(mobile, cameras=mobile.cameras[:1])  # what is filmed does not matter, and costs
    path = tmp_path / "mobile.yaml"
    path.write_text(config.dump(mobile), encoding="utf-8")
    robot = {"robot": str(path)}
    nodes = [NodeSpec("command", robot), NodeSpec("teleop", robot)]
    nodes.append(NodeSpec("recorder", {**robot, "out": str(tmp_path / "bags"), "task": "fetch"}))
    with stock_party(PARTY), Graph(nodes, tmp_path / "log") as graph, graph_client() as client:
        outside = Outside(client, mobile)
        heard = lambda: outside.report.get("heard_by") == len(nodes)  # noqa: E731
        client.wait(heard, 60, "all to hear the base", graph.check)
        client.wait(lambda: client.service_ready("/recorder/start"), 60, "the recorder", graph.check)
        yield graph, client, outside, mobile


def drive(graph, client, outside):
    """Follow the operator until the base is as fast as is wanted; a machine that stalls faults, then again."""
    fast = lambda: outside.report["wheels"][0] > 0.95 * FAST  # noqa: E731
    while not fast():
        outside.drive(None)
        client.follow("teleop", graph.check)
        outside.drive(FAST)
        client.wait(lambda: client.latched or fast(), 60, "the base to drive", graph.check)


def vanishes(graph, client, outside):
    """Let the operator vanish at speed; return whether that held the base. A machine that stalls faults before."""
    client.wait(lambda: stands(outside), 60, "the base to stand", graph.check)
    drive(graph, client, outside)
    outside.vanish()
    held = lambda: "the leader of arm 'base' has said nothing" in client.command_state["reason"]  # noqa: E731
    client.wait(lambda: client.latched or held(), 60, "the hold", graph.check)
    return held() and client.command_state["check"] == "source_fresh"


def stands(outside):
    """Return whether the base stands and is told to."""
    return not outside.told[-20:, :2].any() and max(map(abs, outside.report["wheels"])) < 0.01


def test_an_operator_drives_lets_go_and_vanishes(live, small_policies, tmp_path):
    graph, client, outside, mobile = live
    client.follow("teleop", graph.check)  # the joystick has not been touched: the base rests, the arms are led
    client.trigger("/recorder/start")
    drive(graph, client, outside)
    outside.drive(None)
    client.wait(lambda: stands(outside), 60, "the base to stand", graph.check)
    client.spin_for(0.5, graph.check)
    led_on = client.command_state["mode"] == "teleop"
    client.trigger("/recorder/stop")
    assert led_on or client.command_state["check"] != "source_fresh", "who has let go may be silent"
    assert outside.report["pose"][0] > 0.1
    assert outside.report["ignored"] == 0, "no command is older than the controller's timeout"
    the_bag_has_the_base(tmp_path / "bags/fetch/episode_00000", mobile, small_policies["smp"])

    assert any(vanishes(graph, client, outside) for _ in range(10)), client.command_state
    client.wait(lambda: stands(outside), 60, "the base to stand", graph.check)
    client.wait(lambda: client.latched, 60, "the fault that a long hold is", graph.check)
    steps = np.abs(
        np.diff(outside.told, axis=0)
    )  # cycles come a little early and late, and not every command gets through
    most = np.array([joint.acceleration for joint in mobile.arms[-1].joints]) * (
        steps[:, 2:] + 2 * mobile.control_period_s
    )
    assert (steps[:, :2] <= most).all(), "braked, not stopped dead"
    client.accepts("reset")
    drive(graph, client, outside)


def the_bag_has_the_base(folder, mobile, policy):
    """Judge what was recorded: it is kept, but for what a machine that stalls makes of the times in it."""
    bag = open_bag(folder)
    quality = judge_bag(bag, bag.robot(), load_recording("default").quality)
    print(quality.notes())
    timed = ("gap", "rate", "stamps", "clock", "aligned", "skew")
    assert not [found for found in quality.findings if found.level is Level.REJECT and found.check not in timed]
    assert bag.robot().arms[-1] == mobile.arms[-1]
    x = mobile.joint_names.index("base_x")
    for read in (leader_trajectory, follower_trajectory):
        _, rows = read(bag, bag.robot())
        assert rows.shape[1] == mobile.dof
        assert rows[:, x].max() == pytest.approx(FAST, abs=0.05)
        assert abs(rows[-1, x]) < 0.01, "it stands at the end"
    demonstration = read_episode(folder, mobile, policy)
    for learned in (demonstration.state[:, x], demonstration.action[..., x]):
        assert learned.max() == pytest.approx(FAST, abs=0.05)
    seen = np.array([aligned.position for aligned in aligned_sets(bag, bag.robot())])
    assert seen[:, x].max() == pytest.approx(FAST, abs=0.05)
