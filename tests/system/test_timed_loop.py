"""The command node's own loop: nothing that comes between two cycles is lost, and no executor is woken for it."""

import time
from itertools import pairwise

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from smp_bringup.environment import prepare_environment
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import LeanNode, steady_ns
from smp_bringup.nodes.timed import Polled, TimedLoop

pytestmark = pytest.mark.alone

PERIOD_S = 0.02


@pytest.fixture
def party():
    """Give a node with a polled topic, who speaks on it, what was heard, and an executor of the node."""
    prepare_environment()
    rclpy.init()
    node, heard = LeanNode("timed"), []
    speaker = node.create_publisher(Int32, "said", qos.OBSERVATION)
    how = {"callback_group": Polled()}
    polled = node.create_subscription(Int32, "said", lambda message: heard.append(message.data), qos.LATEST, **how)
    drained = node.create_subscription(
        Int32, "said", lambda message: heard.append(-message.data), qos.drained(qos.LATEST), **how
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    until(lambda: speaker.get_subscription_count() == 2)
    yield node, speaker, (polled, drained), heard, executor
    node.destroy_node()
    rclpy.shutdown()


def until(condition, act=lambda: None):
    end = time.monotonic() + 20
    while not condition():
        act()
        assert time.monotonic() < end


def test_all_that_came_is_heard_before_the_next_cycle_and_by_no_executor(party):
    _, speaker, subscriptions, heard, executor = party
    seen = []
    loop = TimedLoop(PERIOD_S, subscriptions, lambda: seen.append(list(heard)), lambda: False)
    for number in range(1, 9):
        speaker.publish(Int32(data=number))
    for _ in range(20):
        executor.spin_once(timeout_sec=0.01)
    assert heard == []
    until(lambda: len(heard) == 9, lambda: loop.turn(executor))
    assert [-number for number in heard if number < 0] == list(range(1, 9))
    assert [number for number in heard if number > 0] == [8]  # of a queue of one the newest is left
    assert seen[-1] == heard


def test_on_simulated_time_a_service_that_ends_the_loop_ends_it_before_anything_more_is_taken_or_done(party):
    """What a deactivated node has destroyed is not touched again."""
    node, _, subscriptions, _, executor = party
    cycles, ended = [], []

    def end(_, response):
        loop.end()
        for subscription in subscriptions:
            node.destroy_subscription(subscription)
        ended.append(len(cycles))
        return response

    node.create_service(Trigger, "end", end)
    client = node.create_client(Trigger, "end")
    loop = TimedLoop(PERIOD_S, subscriptions, lambda: cycles.append(steady_ns()), lambda: True)
    until(client.service_is_ready)
    client.call_async(Trigger.Request())
    until(lambda: ended, lambda: loop.turn(executor))
    assert len(cycles) == ended[0]


def test_services_are_answered_and_cycles_that_were_missed_are_not_made_up_for(party):
    node, _, subscriptions, _, executor = party
    begun = []

    def cycle():
        begun.append(steady_ns())
        if len(begun) == 3:
            until(lambda: steady_ns() - begun[-1] > 5.5 * PERIOD_S * 1e9)

    node.create_service(Trigger, "ask", lambda _, response: response)
    client = node.create_client(Trigger, "ask")
    loop = TimedLoop(PERIOD_S, subscriptions, cycle, lambda: False)
    until(client.service_is_ready)
    asked = client.call_async(Trigger.Request())
    until(asked.done, lambda: loop.turn(executor))
    until(lambda: len(begun) >= 8, lambda: loop.turn(executor))
    apart = [(b - a) / 1e9 for a, b in pairwise(begun)]
    assert apart[2] >= 5.5 * PERIOD_S
    assert sum(apart) >= (5.5 + len(apart) - 2) * PERIOD_S  # the missed ones did not come in a burst


def test_what_takes_long_delays_one_cycle_and_every_topic_has_its_turn(party):
    node, speaker, _, _, executor = party
    heard, order = [], []

    def slowly(name):
        begun = steady_ns()
        until(lambda: steady_ns() - begun > 2.5 * PERIOD_S * 1e9)
        order.append(name)
        heard.append(name)

    how = {"callback_group": Polled()}
    both = [
        node.create_subscription(Int32, "said", lambda _, name=name: slowly(name), qos.drained(qos.LATEST), **how)
        for name in ("first", "second")
    ]
    until(lambda: speaker.get_subscription_count() == 4)
    loop = TimedLoop(PERIOD_S, both, lambda: order.append("cycle"), lambda: False)
    for number in range(3):
        speaker.publish(Int32(data=number))
    until(lambda: len(heard) == 6, lambda: loop.turn(executor))
    assert heard == ["first", "second"] * 3
    assert order[: order.index("first") + 4] == [*order[: order.index("first")], "first", "cycle", "second", "cycle"]


def test_what_comes_between_two_cycles_is_answered_there(party):
    node, _, subscriptions, _, executor = party
    cycles = []
    node.create_service(Trigger, "ask", lambda _, response: response)
    client = node.create_client(Trigger, "ask")
    loop = TimedLoop(0.5, subscriptions, lambda: cycles.append(steady_ns()), lambda: False)
    until(client.service_is_ready)
    loop.turn(executor)
    for _ in range(3):
        asked = client.call_async(Trigger.Request())
        before = len(cycles)
        until(asked.done, lambda: loop.turn(executor))
        assert len(cycles) == before + 1  # request and answer both came after that one
