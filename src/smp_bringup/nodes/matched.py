"""Subscriptions to drivers that ask for as much reliability as a driver offers, also when it returns with another.

A frame of a camera is many datagrams. What a reliable driver sends is sent again where one was lost; from a driver that
offers best effort, nothing would be heard if more were asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from smp_bringup.errors import one_line
from smp_bringup.nodes.base import LeanNode
from smp_bringup.nodes.messages import type_name
from smp_bringup.nodes.qos import with_reliability

_LOOK_S = 0.1
_MOST_NAMED = 3
_IMAGES = (Image, CompressedImage)


def topics_with(node: LeanNode, count: Callable[[str], int]) -> dict[str, tuple[str, ...]]:
    """Return the types of all topics of which `count`, a method of the node, finds an end."""
    return {name: tuple(kinds) for name, kinds in node.get_topic_names_and_types() if count(name)}


@dataclass
class _Wanted:
    """A topic, and how it is heard now."""

    kind: type
    subscribe: Callable[[bool], Subscription]
    """Makes the subscription, a reliable one or not."""
    subscription: Subscription | None
    reliable: bool = False
    published: bool = False
    """Whether somebody publishes on the topic now."""
    strangers: list[str] = field(default_factory=list)
    """Types under which others publish on the topic."""


class MatchedSubscriptions:
    """Looks ten times a second at who publishes on some topics, and subscribes to them accordingly."""

    def __init__(self, node: LeanNode, at_once: bool = True) -> None:
        """Begin to look.

        Args:
            node: that subscribes.
            at_once: whether a topic is subscribed to before it has a publisher, best effort, which hears everybody. To
                change that costs a frame or two, in which a recorder would see a loss.
        """
        self._node, self._at_once = node, at_once
        self._wanted: dict[str, _Wanted] = {}
        node.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile, **options: Any) -> None:
        """Hear a topic with the history of `profile`; for options see `Node.create_subscription`."""

        def subscribe(reliable: bool) -> Subscription:
            reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            matched = with_reliability(profile, reliability)
            return self._node.create_subscription(kind, topic, callback, matched, **options)

        self._wanted[topic] = _Wanted(kind, subscribe, subscribe(False) if self._at_once else None)

    def reliable(self, topic: str) -> bool | None:
        """Return whether a topic is heard reliably; None while nobody publishes on it."""
        wanted = self._wanted[topic]
        return wanted.reliable if wanted.published else None

    def mistyped(self) -> list[str]:
        """Return one line per topic that others publish as something else than was asked for."""
        return [
            f"{topic} is published as {', '.join(wanted.strangers)}, the robot file makes it {type_name(wanted.kind)}"
            + ("; compressed images are those of topics that end in /compressed" if wanted.kind in _IMAGES else "")
            for topic, wanted in self._wanted.items()
            if wanted.strangers
        ]

    def _look(self) -> None:
        for topic, wanted in self._wanted.items():
            infos = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
            ours = [info for info in infos if info.topic_type == type_name(wanted.kind)]
            wanted.strangers = sorted({one_line(info.topic_type) for info in infos if info not in ours})[:_MOST_NAMED]
            wanted.published = bool(ours)
            if ours:  # of two publishers the less reliable one decides: both are heard
                offered = {info.qos_profile.reliability for info in ours}
                self._match(wanted, offered == {ReliabilityPolicy.RELIABLE})
        for text in self.mistyped():
            self._node.get_logger().warning(text, throttle_duration_sec=10.0)

    def _match(self, wanted: _Wanted, reliable: bool) -> None:
        if wanted.subscription is not None and reliable == wanted.reliable:
            return
        if wanted.subscription is not None:
            self._node.destroy_subscription(wanted.subscription)  # first: no message comes twice
        wanted.subscription, wanted.reliable = wanted.subscribe(reliable), reliable
