"""Two publishers of one node on a topic that has one: they are two, and one of them is heard (real Fast DDS)."""

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Bool

from smp_bringup.environment import prepare_environment
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import LeanNode
from smp_bringup.nodes.graph_watch import GraphWatch
from smp_bringup.nodes.messages import type_name
from smp_bringup.nodes.one_speaker import OneSpeaker

TOPIC = "/one_speaker"
S = 1_000_000_000


@pytest.fixture
def party():
    """A listener with a clock of its own, and two publishers of one other node."""
    prepare_environment()
    rclpy.init()
    listener, other = LeanNode("listener"), LeanNode("other")
    executor = SingleThreadedExecutor()
    for node in (listener, other):
        executor.add_node(node)
    yield Party(listener, other, executor)
    for node in (listener, other):
        node.destroy_node()
    rclpy.try_shutdown()


class Party:
    def __init__(self, listener, other, executor):
        self.listener, self.other, self.executor = listener, other, executor
        self.now_ns, self.heard, self.infos = 0, [], []
        self.speaker = OneSpeaker(listener, lambda: self.now_ns)
        self.publishers = [other.create_publisher(Bool, TOPIC, qos.OBSERVATION) for _ in range(2)]

    def hear(self, **options):
        only = self.speaker.only(TOPIC, lambda message: self.heard.append(message.data), **options)

        def take(message, info):
            self.infos.append(info)
            only(message, info)

        self.listener.create_subscription(Bool, TOPIC, take, qos.OBSERVATION)
        self.until(lambda: all(publisher.get_subscription_count() for publisher in self.publishers))
        self.until(lambda: self.listener.count_publishers(TOPIC) == len(self.publishers))

    def until(self, done):
        for _ in range(500):
            if done():
                return
            self.executor.spin_once(timeout_sec=0.02)
        raise AssertionError("nothing happened in ten seconds")

    def say(self, k):
        """Let one of them say which it is, and wait until that was taken or refused."""
        count = len(self.infos)
        self.publishers[k].publish(Bool(data=bool(k)))
        self.until(lambda: len(self.infos) > count)


def test_the_first_that_speaks_is_heard_and_another_only_once_it_was_silent(party):
    party.hear()
    for k in (0, 1, 0, 1):
        party.say(k)
    assert party.heard == [False, False]
    assert party.speaker.counters == {"second_publisher/one_speaker": 2}
    assert party.speaker.refused() == [TOPIC]
    (line,) = party.speaker.several()
    assert line == f"{TOPIC} has 2 publishers (/other, /other): only /other is heard"
    party.now_ns += 1 * S
    party.say(1)
    assert party.heard == [False, False], "silent for a second, and no longer"
    party.now_ns += 1
    party.say(1)
    party.say(0)
    assert party.heard == [False, False, True]
    party.now_ns += 3 * S
    assert party.speaker.refused() == []


def test_who_speaks_only_with_news_keeps_its_place_until_it_leaves(party):
    party.hear(silent_s=None)
    party.say(0)
    party.now_ns += 100 * S
    party.say(1)
    assert party.heard == [False]
    party.other.destroy_publisher(party.publishers.pop(0))
    party.until(lambda: party.listener.count_publishers(TOPIC) == 1)
    party.say(0)
    assert party.heard == [False, False]
    assert party.speaker.several() == []


def test_two_publishers_of_one_node_are_two_buttons(party):
    watch = GraphWatch(party.listener)
    party.hear()
    watch.subscribes(TOPIC, type_name(Bool))
    for k in (0, 1):
        party.say(k)
    names = {watch.name_of(bytes(info["publisher_gid"]["data"])) for info in party.infos}
    assert names == {"/other", "/other (publisher 2)"}
    assert watch.speakers(TOPIC) == names
