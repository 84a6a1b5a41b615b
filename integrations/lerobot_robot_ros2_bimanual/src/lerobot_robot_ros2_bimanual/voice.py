"""LeRobot's words on the topics of the leader arms, said again until the next one."""

import threading
import time
from collections import deque

from sensor_msgs.msg import JointState

from lerobot_robot_ros2_bimanual.link import Link
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg
from smp_bringup.types import FloatArray

_AGAIN_S = 0.05
"""The command node holds the arms after 0.1 s of silence. LeRobot may take longer: it writes an episode to disk."""
_KEPT = 200
"""Stamps that are remembered."""


class Voice:
    """Says where the arms are to be; the last word stands until another one comes, as long as this process lives.

    So arms that LeRobot forgets for a while rest where it last wanted them, as LeRobot's own robots do. A process that
    is killed or stopped is silent, which the command node sees.
    """

    def __init__(self, link: Link, position: FloatArray) -> None:
        """Say `position` (J,) from now on."""
        self._client, self._position = link.client, position
        self._publishers = [
            (joints, self._client.create_publisher(JointState, joints.topic, qos.DRIVER))
            for joints in link.robot.leader_topics
        ]
        self._lock, self._over, self._said_s = threading.Lock(), threading.Event(), 0.0
        self.stamps: deque[int] = deque(maxlen=_KEPT)
        """Of the last words [ns]."""
        self._thread = threading.Thread(target=self._repeat, name="lerobot_voice", daemon=True)
        self._thread.start()

    def say(self, position: FloatArray) -> None:
        """Say a new `position` (J,)."""
        with self._lock:
            self._position = position
            self._publish()

    def close(self) -> None:
        """Fall silent."""
        self._over.set()
        self._thread.join()

    def _repeat(self) -> None:
        while not self._over.wait(max(0.0, self._said_s + _AGAIN_S - time.monotonic())):
            with self._lock:
                if time.monotonic() - self._said_s >= _AGAIN_S:
                    self._publish()

    def _publish(self) -> None:
        stamp_ns = now_ns(self._client)
        self.stamps.append(stamp_ns)
        self._said_s = time.monotonic()
        for joints, publisher in self._publishers:
            values = joints.positions(self._position)
            publisher.publish(joint_state_msg(stamp_ns, joints.names, values, values * 0.0))
