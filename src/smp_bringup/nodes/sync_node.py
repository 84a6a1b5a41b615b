"""Cameras and joint states in, observations with one stamp out."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState

from smp_bringup import wire
from smp_bringup.absent import absent
from smp_bringup.arm import Arm
from smp_bringup.camera import Camera
from smp_bringup.environment import remedy, small_sockets
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, now_ns, run_node, steady_ns, waiting
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.nodes.managed import ManagedNode
from smp_bringup.nodes.matched import MatchedSubscriptions, topics_with
from smp_bringup.nodes.messages import image_msg, joint_state_msg, message_type, state_type, status_msg, type_name
from smp_bringup.nodes.one_speaker import SILENT_S
from smp_bringup.nodes.params import SyncParams, declare
from smp_bringup.observation.builder import frame_to_observation_size
from smp_bringup.pipeline import build_sync, build_watch
from smp_bringup.robot import JointTopic, load_robot
from smp_bringup.stats import percentiles
from smp_bringup.sync import watch
from smp_bringup.sync.base import AbstractAligner
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import AlignedSet
from smp_bringup.vector import joined, labels

_LEAST_RATE_HZ = 5.0
"""Frames of a slower camera are too few in a second to say how many are missing."""
_CHECK_PERIOD_S = 0.02
"""The streams are judged so often; their state is published when it changes, and every fifth time."""
_MISSING_PERIOD_S = 1.0
"""A topic that looks like that of a missing camera is looked for so often."""
_YOUNG_NS = 5_000_000_000
"""What is missing so soon after the start may only not be there yet."""
_LEVELS = {
    watch.StreamHealth.OK: DiagnosticStatus.OK,
    watch.StreamHealth.WARN: DiagnosticStatus.WARN,
    watch.StreamHealth.INVALID: DiagnosticStatus.ERROR,
}


class SyncNode(ManagedNode):
    """Wires the aligner and the watch over its streams to topics."""

    def __init__(self) -> None:
        super().__init__("sync")
        self._params = declare(self, SyncParams)
        self.autostart = self._params.autostart

    def configure(self) -> None:
        """As of ManagedNode."""
        params = self._params
        self._robot = load_robot(params.robot, self.get_namespace())
        self._aligner = self._make_aligner(params.aligner)
        self._watch = build_watch(self._robot)
        self._report = watch.StreamReport(watch.StreamHealth.OK)
        self._checks, self._withheld = 0, 0
        self._counted: dict[str, int] = {}
        """Messages of each camera with a driver, at the last report."""
        self._received: Counter[str] = Counter()
        self._skew_ms: dict[str, float] = {}
        self._age_ms: dict[str, list[float]] = {}

    def activate(self) -> None:
        """As of ManagedNode."""
        self._images = {
            c.name: self.create_publisher(Image, f"observation/{c.name}", qos.OBSERVATION) for c in self._robot.cameras
        }
        self._joints = self.create_publisher(JointState, "observation/joint_states", qos.OBSERVATION)
        if self._robot.vectors:
            self._vectors = self.create_publisher(JointState, "observation/vectors", qos.OBSERVATION)
        self._state = self.create_publisher(DiagnosticArray, "observation/state", qos.STATE)
        self._states: dict[str, Subscription] = {}
        self._cameras = MatchedSubscriptions(self)
        self._absent: dict[str, str] = {}
        """Why nothing was heard yet of a camera."""
        for camera in self._robot.cameras:
            take = self.speakers.only(camera.topic, partial(self._on_image, camera), SILENT_S + 2 / camera.rate_hz)
            self._cameras.add(camera_type(camera), camera.topic, take, qos.SENSOR)
        for joints in self._robot.state_topics:
            self._hear(state_type(joints.arms[0]), joints.topic, partial(self._on_joints, joints))
        for topic, vectors in self._robot.vector_topics.items():
            if topic not in self._states:
                silent_s = SILENT_S + max(vector.max_age_s for vector in vectors)
                kind = message_type(topic, vectors[0].type)
                self._hear(kind, topic, partial(self._on_vectors, topic), silent_s)
        self._diagnostics = Diagnostics(self, self._diagnose)
        self._born_ns, self._young = steady_ns(), True
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_CHECK_PERIOD_S, self._check, clock=steady)
        self.create_timer(_MISSING_PERIOD_S, self._look_for_missing, clock=steady)

    def _hear(self, kind: type, topic: str, callback: Callable[[Any], None], silent_s: float = SILENT_S) -> None:
        """Hear small messages, whatever reliability their driver offers: all that wait at once."""
        take = self.guard.message(topic, self.speakers.only(topic, callback, silent_s))
        self._states[topic] = self.create_subscription(kind, topic, partial(self._take_all, topic, take), qos.JOINTS)

    def _make_aligner(self, kind: str) -> AbstractAligner:
        if kind == "message_filters":
            from smp_bringup.nodes.filters_aligner import MessageFiltersAligner

            return MessageFiltersAligner(self._robot)
        return build_sync(self._robot)

    def _take_all(self, topic: str, take: Callable[[Any, dict], None], message: Any, info: dict) -> None:
        take(message, info)
        for another in waiting(self._states[topic]):
            take(*another)

    def _on_image(self, camera: Camera, message: Image | CompressedImage) -> None:
        self._received[camera.name] += 1
        try:
            frame = wire.frame(message, camera)
        except Refusal as refusal:
            refused = self._aligner.refuse(camera.name, str(refusal))
            self._watch.on_refused(camera.name, refused)
            self._refused(f"{camera.name} ({camera.topic})", refused)
            return
        now = now_ns(self)
        # Resized while joint states are still waited for, not when the set is complete.
        cause = self._aligner.push_image(camera.name, frame_to_observation_size(frame, camera), now)
        if cause is None:
            self._watch.on_image(camera.name, frame.image, steady_ns())
            self._age(camera.name, now - frame.stamp_ns)
        self._refused(camera.name, cause)
        self._publish()

    def _on_joints(self, joints: JointTopic, message: Any) -> None:
        for arm in joints.arms:
            self._on_arm(arm, message)
        self._take_vectors(joints.topic, message)
        self._publish()

    def _on_vectors(self, topic: str, message: Any) -> None:
        self._take_vectors(topic, message)
        self._publish()

    def _take_vectors(self, topic: str, message: Any) -> None:
        """Take what the vectors of a topic read in a message."""
        for vector in self._robot.vector_topics.get(topic, ()):
            self._received[vector.name] += 1
            now = now_ns(self)
            try:
                sample = wire.vector(message, vector, now)
            except Refusal as refusal:
                cause: str | None = self._aligner.refuse(vector.name, str(refusal))
            else:
                cause = self._aligner.push_vector(vector.name, sample, now)
            if cause is None:
                self._watch.on_vector(vector.name, now - sample.stamp_ns, steady_ns())
                self._age(vector.name, now - sample.stamp_ns)
            else:
                self._watch.on_refused(vector.name, cause)
            self._refused(f"{vector.name} ({topic})", cause)

    def _on_arm(self, arm: Arm, message: Any) -> None:
        self._received[arm.name] += 1
        try:
            stamp = wire.stamp_ns(message.header.stamp)
        except Refusal as refusal:
            self._refused(arm.name, self._aligner.refuse(arm.name, str(refusal)))
            return
        cause = self._aligner.push_joints(arm.name, stamp, *wire.told(message), now_ns(self))
        if cause is None:
            self._watch.on_joints(arm.name, self._aligner.joints[arm.name], steady_ns())
        self._refused(arm.name, cause)

    def _publish(self) -> None:
        for aligned in self._aligner.pop():
            if self._report.health is watch.StreamHealth.INVALID:
                self._withheld += 1  # the policy does not run on what must not be acted on
                continue
            self._send(aligned)
            self._age("observation", now_ns(self) - aligned.stamp_ns)
        for name, skew in self._aligner.skew_ns.items():
            self._skew_ms[name] = max(self._skew_ms.get(name, 0.0), abs(skew) / 1e6)

    def _send(self, aligned: AlignedSet) -> None:
        for name, image in aligned.images.items():
            self._images[name].publish(image_msg(aligned.stamp_ns, name, image))
        if self._robot.vectors:
            values = joined(self._robot.vectors, aligned.vectors)
            said = joint_state_msg(aligned.stamp_ns, labels(self._robot.vectors), values, np.zeros(0))
            self._vectors.publish(said)
        self._joints.publish(
            joint_state_msg(aligned.stamp_ns, self._robot.joint_names, aligned.position, aligned.velocity)
        )

    def _check(self) -> None:
        """Publish whether observations may be acted on: at once when that changes, else ten times a second."""
        report = self._watch.report(steady_ns())
        if report.health is watch.StreamHealth.OK and (topics := self.speakers.refused()):
            report = watch.StreamReport(watch.StreamHealth.WARN, "second_publisher", f"of {', '.join(topics)}: refused")
        changed = (report.health, report.cause) != (self._report.health, self._report.cause)
        self._report, self._checks = report, self._checks + 1
        young = steady_ns() - self._born_ns < _YOUNG_NS
        if report.reason and (changed or young != self._young):
            self._log(report, young)
        self._young = young
        if changed or self._checks % 5 == 0:
            values = {"valid": int(report.health < watch.StreamHealth.INVALID), "reason": report.reason}
            level = _LEVELS[report.health]
            self._state.publish(status_msg(now_ns(self), "observation", values, level, report.reason))

    def _look_for_missing(self) -> None:
        """Say of each camera and vector that was never heard what of it is on the graph."""
        streams = [("camera", c.name, c.topic, type_name(camera_type(c))) for c in self._robot.cameras]
        streams += [("vector", v.name, v.topic, v.type) for v in self._robot.vectors]
        missing = [stream for stream in streams if not self._received[stream[1]]]
        published = topics_with(self, self.count_publishers) if missing else {}
        taken = [topic for _, _, topic, _ in streams]
        for what, name, topic, kind in missing:
            publishers = self.get_publishers_info_by_topic(self.resolve_topic_name(topic))
            alone = kind not in [info.topic_type for info in publishers]
            text = absent(topic, kind, published, taken) if alone else ""
            self._watch.on_refused(name, text)
            if text and text != self._absent.get(name):
                self.get_logger().info(f"waiting for {what} {name}: {text}")
            self._absent[name] = text

    def _log(self, report: watch.StreamReport, young: bool) -> None:
        logger = self.get_logger()
        if young:
            logger.info(f"waiting, as after every start: {report.reason}", throttle_duration_sec=1.0)
        elif report.health is watch.StreamHealth.INVALID:
            logger.error(report.reason, throttle_duration_sec=1.0)
        elif report.cause.startswith(watch.STILL):  # nothing moves: as before every episode
            logger.info(report.reason, throttle_duration_sec=1.0)
        else:
            logger.warning(report.reason, throttle_duration_sec=1.0)

    def _age(self, name: str, age_ns: int) -> None:
        self._age_ms.setdefault(name, []).append(age_ns / 1e6)

    def _refused(self, stream: str, cause: str | None) -> None:
        if cause is not None:
            self.get_logger().error(f"{stream}: refused: {one_line(cause)}", throttle_duration_sec=1.0)

    def _few(self) -> list[str]:
        """Return one line per camera of which less than half of its frames were heard since this was last asked."""
        lines = []
        for camera in self._robot.cameras:
            reliable = self._cameras.reliable(camera.topic)
            if reliable is None:
                self._counted.pop(camera.name, None)
                continue
            count = self._received[camera.name]
            heard = count - self._counted.setdefault(camera.name, count - round(camera.rate_hz))
            self._counted[camera.name] = count
            if camera.rate_hz >= _LEAST_RATE_HZ and heard < camera.rate_hz / 2:
                lines.append(
                    f"{camera.topic}: {heard} of {camera.rate_hz:g} frames heard; {remedy(reliable, small_sockets())}"
                )
        return lines

    def _diagnose(self) -> dict[str, object]:
        """Return rates, ages on arrival and on publication, skews and counters since the last report."""
        rates = {f"rate_hz/{name}": rate for name, rate in self._watch.rates_hz(steady_ns()).items()}
        ages = {
            f"age_ms/{name}/{key}": value
            for name, values in self._age_ms.items()
            for key, value in percentiles(values).items()
        }
        skew = {f"skew_ms/{name}": round(ms, 3) for name, ms in self._skew_ms.items()}
        self._skew_ms, self._age_ms = {}, {}
        few = "; ".join(self._few())
        if few:
            self.get_logger().warning(few, throttle_duration_sec=10.0)
        amiss = "; ".join(filter(None, (self._report.reason, *self._cameras.mistyped(), few)))
        warning = {"warning": amiss} if amiss else {}
        received = {f"received/{name}": count for name, count in self._received.items()}
        counters = {**received, "withheld": self._withheld, **self._aligner.counters}
        return {**warning, **rates, **ages, **skew, **counters}


def main() -> None:
    """Run the node."""
    run_node(SyncNode)


if __name__ == "__main__":
    main()
