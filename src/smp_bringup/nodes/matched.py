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
_IMAGES = (Image, CompressedImage)


@dataclass
class _Wanted:
    """A topic, and how it is heard now."""

    kind: type
    callback: Callable[..., None]
    profile: QoSProfile
    options: dict[str, Any]
    subscription: Subscription | None = None
    reliability: ReliabilityPolicy | None = None
    """Of the subscription; None until a publisher was found."""
    published: bool = False
    """Whether somebody publishes on the topic now."""
    strangers: list[str] = field(default_factory=list)
    """Types under which others publish on the topic."""


class MatchedSubscriptions:
    """Looks ten times a second at who publishes on some topics, and subscribes to them accordingly."""

    def __init__(self, node: LeanNode) -> None:
        self._node = node
        self._wanted: dict[str, _Wanted] = {}
        node.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile, **options: Any) -> None:
        """Hear a topic from its first publisher on, with the history of `profile`; for options see `Node`."""
        self._wanted[topic] = _Wanted(kind, callback, profile, options)

    def reliable(self, topic: str) -> bool | None:
        """Return whether a topic is heard reliably; None while nobody publishes on it."""
        wanted = self._wanted[topic]
        return wanted.reliability == ReliabilityPolicy.RELIABLE if wanted.published else None

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
            wanted.strangers = sorted({one_line(info.topic_type) for info in infos if info not in ours})
            wanted.published = bool(ours)
            if ours:  # of two publishers the less reliable one decides: both are heard
                offered = {info.qos_profile.reliability for info in ours}
                self._hear(topic, offered == {ReliabilityPolicy.RELIABLE})
        for text in self.mistyped():
            self._node.get_logger().warning(text, throttle_duration_sec=10.0)

    def _hear(self, topic: str, reliably: bool) -> None:
        reliability = ReliabilityPolicy.RELIABLE if reliably else ReliabilityPolicy.BEST_EFFORT
        wanted = self._wanted[topic]
        if reliability == wanted.reliability:
            return
        if wanted.subscription is not None:
            self._node.destroy_subscription(wanted.subscription)
        profile = with_reliability(wanted.profile, reliability)
        wanted.subscription = self._node.create_subscription(
            wanted.kind, topic, wanted.callback, profile, **wanted.options
        )
        wanted.reliability = reliability
