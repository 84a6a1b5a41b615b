"""How every node starts and ends: one line and exit code 2 for a user's mistake, 0 when asked to stop."""

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from smp_bringup.environment import prepare_environment
from smp_bringup.errors import EXIT_CODE, SmpError
from smp_bringup.nodes.closing import bounded_closing, end_rclpy
from smp_bringup.nodes.guard import Guard
from smp_bringup.nodes.messages import diagnostic_name, status_msg
from smp_bringup.nodes.one_speaker import OneSpeaker
from smp_bringup.nodes.security_trial import security_explained
from smp_bringup.nodes.stopping import Stopped, loading, told_to_stop


class LeanNode(Node):
    """A node whose callbacks are guarded, without rclpy's handlers of QoS events.

    Those are half of what its executor puts into the wait set every time, and only warn of incompatible QoS.
    Drivers' topics are read best effort, which every publisher offers, and the command node's graph guard names who is
    incompatible with a command topic.
    """

    farewell_s = 0.1
    """So long DDS has to tell the others that its topics and services are gone, before the process leaves the graph.

    A thread of its own tells them (the flow controller of config/fastdds.xml), and what it has not said by then it
    never says: on a busy machine others would see a publisher until its lease ends, after 20 s.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.guard = Guard(self)  # first: the node's own services are guarded too
        super().__init__(name, **options)
        self.speakers = OneSpeaker(self)

    def start(self) -> None:
        """Begin: what is made in the constructor runs already; a managed node is configured and activated here."""

    def spin(self, executor: Executor) -> None:
        """Run until the node is told to stop."""
        executor.spin()

    def destroy_node(self) -> None:
        """As of Node, in bounded time."""
        with bounded_closing(), self.handle:  # the process leaves the graph with its last handle of a node
            super().destroy_node()
            time.sleep(self.farewell_s)

    def create_publisher(self, *args: Any, **options: Any) -> Publisher:
        """As of Node."""
        options.setdefault("event_callbacks", PublisherEventCallbacks(use_default_callbacks=False))
        return super().create_publisher(*args, **options)

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile | int, **options: Any
    ) -> Subscription:
        """As of Node."""
        options.setdefault("event_callbacks", SubscriptionEventCallbacks(use_default_callbacks=False))
        guarded = self.guard.message(self.resolve_topic_name(topic, only_expand=True), callback)
        return super().create_subscription(kind, topic, guarded, profile, **options)

    def create_timer(self, period_s: float, callback: Callable[[], None], **options: Any) -> Timer:
        """As of Node."""
        return super().create_timer(period_s, self.guard.timer(callback), **options)

    def create_service(self, kind: type, name: str, callback: Callable[[Any, Any], Any], **options: Any) -> Service:
        """As of Node."""
        full = self.resolve_service_name(name, only_expand=True)
        return super().create_service(kind, name, self.guard.request(full, callback), **options)


def waiting(subscription: Subscription) -> Iterator[tuple[Any, dict]]:
    """Yield the messages that wait in a subscription's queue, each with what the middleware says of it.

    An executor hands out one message for each time it waits: a busy node falls behind on a fast topic, by up to the
    depth of its queue, and stays behind.
    """
    with subscription.handle:
        for _ in range(subscription.qos_profile.depth):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return
            yield taken


def now_ns(node: Node) -> int:
    """Return the time of message headers."""
    return int(node.get_clock().now().nanoseconds)


def steady_ns() -> int:
    """Return the clock of the watchdogs, which no clock change touches."""
    return time.monotonic_ns()


def run_node(make: Callable[[], LeanNode]) -> None:
    """Make a node and spin it until it is told to stop; never returns."""
    if sys.stderr is not None:  # as where it was closed
        faulthandler.enable()
    signal.signal(signal.SIGINT, told_to_stop)  # rclpy's handlers end the context and then call these
    signal.signal(signal.SIGTERM, told_to_stop)
    try:
        prepare_environment()
        with security_explained():
            rclpy.init()
    except SmpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    code, node = 0, None
    try:
        with security_explained(), loading():
            node = make()
            node.start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.spin(executor)
    except (ExternalShutdownException, Stopped):
        pass
    except RuntimeError:
        if rclpy.ok():  # else rclpy was taking or publishing a message when the signal ended its context
            raise
    except SmpError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_CODE
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # asked twice: what must be finished still is
        if node is not None:
            node.destroy_node()
        end_rclpy()
    sys.exit(code or getattr(node, "exit_code", 0))


class Diagnostics:
    """Publishes a node's counters on /diagnostics once a second; "error" and "warning" among them are its level."""

    def __init__(self, node: LeanNode, values: Callable[[], Mapping[str, object]]) -> None:
        self._node, self._values = node, values
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))  # paused time says so too

    def _publish(self) -> None:
        speakers = self._node.speakers
        values = {**self._values(), **self._node.guard.counters, **speakers.counters}
        warning = "; ".join(filter(None, (str(values.get("warning", "")), *speakers.several())))
        values |= {"warning": warning} if warning else {}
        error = str(values.get("error", ""))
        level = DiagnosticStatus.ERROR if error else DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
        name = diagnostic_name(self._node.get_fully_qualified_name())
        text = "; ".join(filter(None, (error, warning)))
        self._publisher.publish(status_msg(now_ns(self._node), name, values, level, text))
