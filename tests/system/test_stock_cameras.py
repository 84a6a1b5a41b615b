"""Cameras whose drivers have nothing of ours: Fast DDS at its defaults, whatever reliability and encoding."""

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from smp_bringup.bag.reader import open_bag
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.environment import small_sockets
from smp_bringup.errors import ConfigError
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import message_type, status_values
from smp_bringup.paths import named_config
from smp_bringup.robot import RecordedTopic

pytestmark = pytest.mark.alone

DRIVER = Path(__file__).with_name("stock_driver.py")
FRAMES = 100
BEST_EFFORT = "reliable" if small_sockets() else "best_effort"
"""Kernels that give a socket no room for an image lose those of best-effort drivers: docs/recording.md."""


@contextmanager
def driver(topic, **options):
    """Run a camera driver that never saw our environment."""
    env = {name: value for name, value in os.environ.items() if "PROFILES_FILE" not in name}
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    words = [word for name, value in options.items() for word in (f"--{name}", *map(str, value))]
    process = subprocess.Popen([sys.executable, str(DRIVER), topic, *words], env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def cameras(tmp_path):
    """Return what writes a robot file with cameras of these topics, 640x480 at 30 Hz unless said otherwise."""

    def write(*topics, **changes):
        data = yaml.safe_load(named_config("robots", "aloha").read_text())
        size = {"width": 640, "height": 480, "rate_hz": 30, "observation_width": 96, "observation_height": 64}
        data["cameras"] = [{"name": f"c{k}", "topic": topic, **size, **changes} for k, topic in enumerate(topics)]
        path = tmp_path / "robot.yaml"
        path.write_text(yaml.safe_dump(data))
        return str(path)

    return write


@contextmanager
def syncing(robot, log):
    """Run sync; give its graph, a client, and what it says of itself and of its streams."""
    with Graph([NodeSpec("sync", {"robot": robot})], log) as graph, graph_client() as client:
        said, state = {}, {}
        client.create_subscription(DiagnosticArray, "/diagnostics", lambda m: said.update(status_values(m)), 10)
        client.create_subscription(
            DiagnosticArray, "/observation/state", lambda m: state.update(status_values(m)), qos.STATE
        )
        client.wait(lambda: bool(said), START_S, "sync", graph.check)
        yield graph, client, said, state


def test_frames_of_stock_drivers_reach_sync(cameras, tmp_path):
    topics = "/c0/image_raw", "/c1/image_raw/compressed", "/c2/image_raw"
    options = {"reliability": [BEST_EFFORT], "frames": [FRAMES]}, {"reliability": ["best_effort"], "form": ["jpeg"]}
    options = (*options, {"reliability": ["reliable"], "form": ["yuv422_yuy2"]})
    with syncing(cameras(*topics), tmp_path / "log") as (graph, client, said, _):

        def received():
            return np.array([int(said.get(f"received/c{k}", 0)) for k in range(3)])

        def all_heard():
            """Return whether the frames arrived; a machine that stalls loses those of best-effort drivers."""
            before = received()
            drivers = [driver(topic, **{"frames": [FRAMES], **one}) for topic, one in zip(topics, options, strict=True)]
            with drivers[0] as first, drivers[1] as second, drivers[2] as third:
                running = [first, second, third]
                client.wait(lambda: all(p.poll() is not None for p in running), 60, "the drivers", graph.check)
            with suppress(GraphError):
                client.wait(lambda: all(received() - before >= 0.99 * FRAMES), 10, "the frames", graph.check)
                return True
            return False

        assert any(all_heard() for _ in range(5)), said
        assert not [key for key in said if "encoding" in key or "size" in key]


def test_a_driver_may_return_with_another_reliability_and_encoding(cameras, tmp_path):
    topic = "/c0/image_raw"
    with syncing(cameras(topic), tmp_path / "log") as (graph, client, said, _):
        for reliability, form in (("best_effort", "mono8"), ("reliable", "bgra8"), ("best_effort", "bayer_rggb8")):
            with driver(topic, reliability=[reliability], form=[form]):
                before = int(said.get("received/c0", 0))
                heard = lambda: int(said.get("received/c0", 0)) > before + 10  # noqa: B023, E731
                client.wait(heard, START_S, f"frames of {form}", graph.check)
                (asked,) = client.get_subscriptions_info_by_topic(topic)
                assert asked.qos_profile.reliability == ReliabilityPolicy[reliability.upper()]


def test_what_does_not_fit_the_robot_file_is_named_with_what_is_allowed(cameras, tmp_path):
    topics = "/c0/image_raw", "/c1/image_raw", "/c2/image_raw"
    with (
        syncing(cameras(*topics, rate_hz=80), tmp_path / "log") as (graph, client, said, state),
        driver(topics[0], size=[320, 240]),
        driver(topics[1], form=["jpeg"]),
        driver(topics[2], form=["mono8"], reliability=["reliable"]),
    ):
        wrong_size = "camera_missing:c0 (size 320x240, the robot file says 640x480)"
        client.wait(lambda: state.get("reason") == wrong_size, START_S, "the size", graph.check)
        mistyped = "/c1/image_raw is published as sensor_msgs/msg/CompressedImage, the robot file makes it"
        client.wait(lambda: mistyped in said.get("warning", ""), 60, "the type", graph.check)
        few = lambda: "/c2/image_raw: " in said.get("warning", "") and "of 80 frames" in said["warning"]  # noqa: E731
        client.wait(few, 60, "the rate", graph.check)


def test_the_recorder_keeps_what_drivers_send_calibration_and_depth_too(cameras, tmp_path):
    topic, info, depth = "/c0/image_raw/compressed", "/c0/camera_info", "/c0/depth"
    robot = cameras(topic)
    recorded = {"recorded": [{"topic": depth, "type": "sensor_msgs/msg/Image"}]}
    Path(robot).write_text(Path(robot).read_text() + yaml.safe_dump(recorded))
    spec = NodeSpec("recorder", {"robot": robot, "out": str(tmp_path), "task": "test"})
    with (
        Graph([spec], tmp_path / "log") as graph,
        graph_client() as client,
        driver(topic, form=["jpeg"], info=[info], reliability=["reliable"]),
        driver(depth, form=["16UC1"]),
    ):
        client.wait(lambda: client.service_ready("/recorder/start"), START_S, "the recorder", graph.check)
        ears = lambda: all(client.count_subscribers(one) for one in (topic, info, depth))  # noqa: E731
        client.wait(ears, START_S, "its subscriptions", graph.check)
        client.trigger("/recorder/start", START_S)
        heard = DiagnosticCount(client)
        client.wait(lambda: heard.messages > 60, START_S, "some messages", graph.check)
        client.trigger("/recorder/stop")
    bag = open_bag(tmp_path / "test/episode_00000")
    assert (bag.types[topic], bag.types[depth]) == ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
    assert bag.counts[topic] == pytest.approx(bag.counts[info], abs=2)
    assert min(bag.counts[topic], bag.counts[depth]) > 10
    first = next(message for _, _, message in bag.messages({depth}))
    assert (first.encoding, first.step, len(first.data)) == ("16UC1", 1280, 480 * 1280)


class DiagnosticCount:
    """How many messages the open episode has, as the recorder says."""

    def __init__(self, client):
        self.messages = 0
        client.create_subscription(DiagnosticArray, "/recorder/state", self.take, qos.STATE)

    def take(self, message):
        self.messages = int(status_values(message)["messages"])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("no_such_msgs/msg/Thing", "no message type no_such_msgs/msg/Thing is installed; source its package"),
        ("sensor_msgs/msg/Imagge", "no message type sensor_msgs/msg/Imagge is installed"),
        ("Image", "type 'Image' must be like sensor_msgs/msg/Image"),
    ],
)
def test_a_topic_that_cannot_be_recorded_is_refused_before_anything_runs(kind, why):
    with pytest.raises(ConfigError, match=why):
        message_type("/arm/wrench", RecordedTopic("/arm/wrench", kind).type)


def test_a_simulated_robot_may_have_compressed_cameras(tmp_path):
    robot = tmp_path / "robot.yaml"
    robot.write_text(named_config("robots", "aloha").read_text().replace("image_raw,", "image_raw/compressed,"))
    specs = [NodeSpec("sim", {"robot": str(robot)}), NodeSpec("sync", {"robot": str(robot)})]
    with Graph(specs, tmp_path / "log") as graph, graph_client() as client:
        seen = []
        client.create_subscription(Image, "/observation/overview", seen.append, qos.OBSERVATION)
        client.wait(lambda: len(seen) > 5, START_S, "observations", graph.check)
        assert (seen[-1].height, seen[-1].width, seen[-1].encoding) == (96, 96, "rgb8")
