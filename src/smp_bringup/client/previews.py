"""What the cameras send as JPEG, at most ten times a second and only while somebody looks."""

import time
from dataclasses import dataclass, field
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from smp_bringup import wire
from smp_bringup.bag.images import jpeg, shrunk
from smp_bringup.camera import Camera
from smp_bringup.nodes.base import LeanNode, waiting
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import Refusal

VIEWS = ("camera", "policy")
"""As the driver sends it, which is recorded; as the policy sees it."""
_NEWEST = QoSProfile(reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=1)
"""No driver waits for a preview, and only the newest frame is looked at."""
_WANTED_S = 1.0
"""A browser says again with every picture what it looks at."""
_QUALITY = 75
_LARGEST = 480
"""Longer sides are shown with every second, third, ... pixel [px]."""

Source = tuple[str, str]
"""Camera and view."""


@dataclass
class _Seen:
    subscription: Subscription
    camera: Camera
    view: str
    picture: bytes = b""
    number: int = 0


@dataclass
class Cameras:
    """Previews of a robot's cameras; all but `want` and `picture` is of the thread that watches."""

    node: LeanNode
    robot: Robot
    _seen: dict[Source, _Seen] = field(default_factory=dict)
    _wanted: dict[Source, float] = field(default_factory=dict)

    def want(self, source: Source) -> None:
        """Say that somebody looks at a camera of the robot now."""
        self._wanted[source] = time.monotonic()

    def picture(self, source: Source) -> tuple[int, bytes]:
        """Return number and JPEG of the newest picture; 0 where there was none yet."""
        seen = self._seen.get(source)
        return (seen.number, seen.picture) if seen else (0, b"")

    def look(self) -> None:
        """Take the newest frame of what is looked at; what nobody looks at costs the middleware's part alone.

        A subscription stays once it is made: to take one away can lock Fast DDS up, and the stop with it.
        """
        now = time.monotonic()
        for source, since in list(self._wanted.items()):
            if now - since > _WANTED_S:
                continue
            seen = self._seen.get(source) or self._begin(source)
            for message, _ in waiting(seen.subscription):
                self._take(seen, message)

    def _begin(self, source: Source) -> _Seen:
        camera, view = self.robot.camera(source[0]), source[1]
        raw = view == VIEWS[0]
        topic = camera.topic if raw else f"observation/{camera.name}"
        kind = camera_type(camera) if raw else Image
        subscription = self.node.create_subscription(kind, topic, lambda _: None, _NEWEST)
        return self._seen.setdefault(source, _Seen(subscription, camera, view))

    def _take(self, seen: _Seen, message: Any) -> None:
        try:
            if "jpeg" in getattr(message, "format", ""):
                picture = bytes(message.data)
            else:
                depth = seen.camera.depth is not None
                picture = jpeg(
                    shrunk((wire.depth_frame(message) if depth else wire.frame(message)).image, _LARGEST), _QUALITY
                )
        except Refusal:  # sync names it among the reasons
            return
        seen.picture, seen.number = picture, seen.number + 1
