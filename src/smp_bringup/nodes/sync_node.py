"""Cameras and joint states in, observations with one stamp out."""

from functools import partial

from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from smp_bringup import wire
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Health, now_ns, run_node
from smp_bringup.nodes.messages import image_msg, joint_state_msg
from smp_bringup.nodes.params import SyncParams, declare
from smp_bringup.observation.builder import to_observation_size
from smp_bringup.pipeline import build_sync
from smp_bringup.robot import Arm, Camera, load_robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import AlignedSet


class SyncNode(Node):
    """Wires the aligner to topics."""

    def __init__(self) -> None:
        super().__init__("sync")
        self._robot = load_robot(declare(self, SyncParams).robot)
        self._aligner = build_sync(self._robot)
        self._skew_ms: dict[str, float] = {}
        self._images = {}
        for camera in self._robot.cameras:
            self.create_subscription(Image, camera.topic, partial(self._on_image, camera), qos.SENSOR)
            topic = f"/observation/{camera.name}"
            self._images[camera.name] = self.create_publisher(Image, topic, qos.OBSERVATION)
        for arm in self._robot.arms:
            self.create_subscription(JointState, arm.state_topic, partial(self._on_joints, arm), qos.SENSOR)
        self._joints = self.create_publisher(JointState, "/observation/joint_states", qos.OBSERVATION)
        self._health = Health(self, self._report)

    def _on_image(self, camera: Camera, message: Image) -> None:
        try:
            frame = wire.frame(message, (camera.height, camera.width))
        except Refusal as refusal:
            self._refused(camera.name, self._aligner.refuse(camera.name, str(refusal)))
            return
        self._refused(camera.name, self._aligner.push_image(camera.name, frame, now_ns(self)))
        self._publish()

    def _on_joints(self, arm: Arm, message: JointState) -> None:
        try:
            stamp = wire.stamp_ns(message.header.stamp)
        except Refusal as refusal:
            self._refused(arm.name, self._aligner.refuse(arm.name, str(refusal)))
            return
        cause = self._aligner.push_joints(
            arm.name, stamp, message.name, message.position, message.velocity, now_ns(self)
        )
        self._refused(arm.name, cause)
        self._publish()

    def _publish(self) -> None:
        for aligned in self._aligner.pop():
            for name, skew in aligned.skew_ns.items():
                self._skew_ms[name] = max(self._skew_ms.get(name, 0.0), abs(skew) / 1e6)
            self._send(to_observation_size(aligned, self._robot))

    def _send(self, aligned: AlignedSet) -> None:
        for name, image in aligned.images.items():
            self._images[name].publish(image_msg(aligned.stamp_ns, name, image))
        self._joints.publish(
            joint_state_msg(aligned.stamp_ns, self._robot.joint_names, aligned.position, aligned.velocity)
        )

    def _refused(self, stream: str, cause: str | None) -> None:
        if cause is not None:
            self.get_logger().error(f"{stream}: refused: {one_line(cause)}", throttle_duration_sec=1.0)

    def _report(self) -> dict[str, object]:
        """Return the counters, and the largest skew of each camera since the last report."""
        skew = {f"skew_ms/{name}": round(ms, 3) for name, ms in self._skew_ms.items()}
        self._skew_ms = {}
        return {**self._aligner.counters, **skew}


def main() -> None:
    """Run the node."""
    run_node(SyncNode)


if __name__ == "__main__":
    main()
