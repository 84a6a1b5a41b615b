"""`smp bridge` heard by a websocket client, and the Foxglove layout on what it says and on a bag of the same run."""

import json
import re
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from smp_bringup.bag.messages import deserialized
from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.paths import share

sys.path.insert(0, str(Path(__file__).parents[1]))
from layouts import asked, faults

pytestmark = pytest.mark.alone

connect = pytest.importorskip("websockets.sync.client").connect
pytest.importorskip("foxglove")

BRIDGE = [sys.executable, "-m", "smp_bringup.cli.main", "bridge", "--namespace", "robot1"]
LAYOUT = json.loads((Path(__file__).parents[2] / "config/foxglove/bimanual.json").read_text())
END_S = 120
LIVE = {"/diagnostics", "/robot_description"}
"""Topics of the layout that bags do not have."""


class Viewer:
    """A client of the bridge, by Foxglove's protocol: what it is told of, and what it asked to see."""

    def __init__(self, socket):
        self.socket, self.channels, self.info, self.statuses, self.messages = socket, {}, {}, [], {}
        self._asked = {}

    def look_at(self, topics):
        wanted = {len(self._asked) + i: topic for i, topic in enumerate(sorted(topics))}
        self._asked |= wanted
        pairs = [{"id": i, "channelId": self.channels[topic]["id"]} for i, topic in wanted.items()]
        self.socket.send(json.dumps({"op": "subscribe", "subscriptions": pairs}))

    def wait(self, condition, what, check=lambda: None):
        end = time.monotonic() + END_S
        while not condition():
            assert time.monotonic() < end, what() if callable(what) else what
            check()
            try:
                self._take(self.socket.recv(timeout=1))
            except TimeoutError:
                continue

    def _take(self, data):
        if isinstance(data, bytes):
            code, asked_id, _ = struct.unpack_from("<BIQ", data)
            assert code == 1
            self.messages[self._asked[asked_id]] = data[13:]
            return
        told = json.loads(data)
        if told["op"] == "advertise":
            self.channels |= (new := {channel["topic"]: channel for channel in told["channels"]})
            if again := set(new) & set(self._asked.values()):
                self.look_at(again)  # as Foxglove does: a channel of the same topic may be another one
        elif told["op"] == "unadvertise":
            gone = set(told["channelIds"])
            self.channels = {t: channel for t, channel in self.channels.items() if channel["id"] not in gone}
        elif told["op"] == "status":
            self.statuses.append(told["message"])
        elif told["op"] == "serverInfo":
            self.info = told

    def decoded(self):
        return {topic: deserialized(cdr, self.channels[topic]["schemaName"]) for topic, cdr in self.messages.items()}


@contextmanager
def bridge(*words, before=()):
    """Run the bridge on any free port; give the process, its address, and what it said before that."""
    command = [*before, *BRIDGE, "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline()
            said, line = ("", first) if "ws://" in first else (first, process.stdout.readline())
            yield process, re.search(r"ws://\S+", line)[0], said
        finally:
            process.kill()


@contextmanager
def viewer(url):
    with connect(url, subprotocols=["foxglove.sdk.v1"], max_size=None) as socket:
        yield Viewer(socket)


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """A graph that is armed, whose policy plans, with a description; and the bag of a part of it."""
    out = tmp_path_factory.mktemp("bridge")
    text = share("config", "robots", "aloha.yaml").read_text()
    (out / "described.yaml").write_text(
        text.replace("# description: ../", "description: package://smp_bringup/config/")
    )
    nodes = build_graph(robot=str(out / "described.yaml"), sim=True, record=str(out / "bags"), namespace="robot1")
    with Graph(nodes, out / "log") as graph, graph_client(namespace="robot1") as client:
        heard = set()
        for topic in ("policy/gate", "follower_left/joint_commands", "follower_right/joint_commands"):
            client.create_subscription(JointState, topic, lambda _, topic=topic: heard.add(topic), qos.SENSOR)
        client.wait(lambda: bool(client.command_state) and client.service_ready("recorder/start"), END_S, "the graph")
        client.trigger("recorder/start", END_S)
        heard.clear()
        client.wait(lambda: len(heard) == 3, END_S, "what is to be in the bag", lambda: keep_armed(graph, client))
        client.trigger("recorder/stop", END_S)
        yield graph, client, next((out / "bags").rglob("*.mcap")).parent


def keep_armed(graph, client):
    """Arm, and arm again where a machine that stalls latched the arms."""
    graph.check()
    if client.latched:
        client.accepts("reset")
    elif client.command_state.get("mode") == "disarmed":
        client.accepts("arm")
    client.spin(0)


def test_the_layout_finds_every_panel_live_and_notices_a_topic_that_is_renamed(driven):
    graph, client, _ = driven
    with bridge() as (_, url, _), viewer(url) as seen:
        topics = {topic for _, topic, _, _ in asked(LAYOUT)}
        seen.wait(lambda: topics <= set(seen.channels), lambda: f"no channels: {topics - set(seen.channels)}")
        assert seen.channels["/follower_left/joint_states"] | {"id": 0} == {
            "id": 0,
            "topic": "/follower_left/joint_states",
            "encoding": "cdr",
            "schemaName": "sensor_msgs/msg/JointState",
            "schemaEncoding": "ros2msg",
            "schema": seen.channels["/follower_left/joint_states"]["schema"],
        }
        assert "float64[] position" in seen.channels["/follower_left/joint_states"]["schema"]
        seen.look_at(topics)
        seen.wait(
            lambda: topics <= set(seen.messages),
            lambda: f"no messages: {topics - set(seen.messages)}",
            lambda: keep_armed(graph, client),
        )
        heard = seen.decoded()
        assert faults(LAYOUT, heard) == []
        for topic in topics:
            renamed = {f"{t}_renamed" if t == topic else t: message for t, message in heard.items()}
            assert any(topic in fault for fault in faults(LAYOUT, renamed)), topic


def test_the_layout_finds_every_panel_in_a_bag_but_what_bags_do_not_have(driven):
    *_, folder = driven
    heard = {}
    bag = open_bag(folder)
    for topic, _, message in bag.messages(set(bag.types)):
        heard.setdefault(topic, message)
    assert {fault.split()[1].split(".")[0].rstrip(":") for fault in faults(LAYOUT, heard)} == LIVE


def test_a_latched_description_comes_to_every_viewer_and_nothing_can_be_sent(driven):
    with bridge() as (process, url, _), viewer(url) as first, viewer(url) as second:
        for seen in (first, second):
            seen.wait(lambda seen=seen: "/robot_description" in seen.channels, "the description's channel")
            seen.look_at(["/robot_description"])
            seen.wait(lambda seen=seen: "/robot_description" in seen.messages, "the description")
            assert "<robot name=" in seen.decoded()["/robot_description"].data
            assert seen.info["capabilities"] == []
        channel = {"id": 1, "topic": "/command/estop", "encoding": "cdr", "schemaName": "std_msgs/msg/Bool"}
        first.socket.send(json.dumps({"op": "advertise", "channels": [channel]}))
        first.wait(lambda: first.statuses, "an answer to what cannot be done")
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) in (128 + signal.SIGTERM, 130)


def test_what_publishes_later_appears_and_is_heard_and_what_is_gone_goes(driven):
    _, client, _ = driven
    with bridge() as (_, url, _), viewer(url) as seen:
        for said in ("first", "again"):
            publisher = client.create_publisher(String, "late", qos.DRIVER)
            seen.wait(lambda: "/late" in seen.channels, "the channel")
            seen.look_at(["/late"])
            message = String(data=said)
            seen.wait(lambda: "/late" in seen.messages, "a message", lambda p=publisher, m=message: p.publish(m))
            assert seen.decoded()["/late"].data == said
            client.destroy_publisher(publisher)
            seen.wait(lambda: "/late" not in seen.channels, "the channel to go")
            seen.messages.clear()


def test_a_wrong_address_and_a_taken_port_are_one_line():
    with bridge() as (_, url, said):
        assert said == ""
        port = url.rsplit(":", 1)[1]
        for words, text in (
            (["--port", port], "take another --port"),
            (["--bind", "robot.local"], "must be an address"),
        ):
            done = subprocess.run([*BRIDGE, *words], capture_output=True, text=True, timeout=END_S, check=False)
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
            assert text in done.stderr


def test_what_it_opens_beyond_this_machine_is_said_first():
    """In a network of its own, which has nothing but a loopback interface."""
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace takes root, and iproute2")
    with bridge("--bind", "0.0.0.0", before=alone) as (_, url, said):
        assert "sees every camera" in said
        assert url.startswith("ws://0.0.0.0:")
