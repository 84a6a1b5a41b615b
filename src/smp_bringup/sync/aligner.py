"""Cameras and joints brought to one instant by header stamps.

Pure and driven by stamps alone: a message is taken or refused with a counted cause,
nothing raises, nothing blocks, and no message can stop the healthy ones from pairing.
The first camera of the robot is the reference; the others give their nearest frame
within the slop, and every arm's joint state is interpolated to the reference stamp.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.robot import Robot
from smp_bringup.sync.checks import JointOrder, Refusal, check_stamp
from smp_bringup.types import AlignedSet, FloatArray, Frame, JointSample, nanoseconds

SLOP_S = 0.02
WAIT_S = 0.1
"""A reference frame waits so long, by stamps, for the other streams; then it is dropped and counted."""
_CLOCK_RESET_S = 1.0
_FRAMES = 16
_SAMPLES = 256


class Aligner:
    """Turns streams of frames and joint samples into aligned sets."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._reference = robot.cameras[0].name
        self._latency_ns = {c.name: nanoseconds(c.latency_s) for c in robot.cameras}
        self._frames: dict[str, deque[Frame]] = {c.name: deque(maxlen=_FRAMES) for c in robot.cameras}
        self._samples: dict[str, deque[JointSample]] = {a.name: deque(maxlen=_SAMPLES) for a in robot.arms}
        self._orders = {a.name: JointOrder([j.name for j in a.joints]) for a in robot.arms}
        self._newest: dict[str, int] = {}
        self.counters: Counter[str] = Counter()
        """Refused messages and dropped frames by stream and cause, and pairs made."""

    def push_image(self, camera: str, frame: Frame, now_ns: int) -> str | None:
        """Take a frame of a camera, or return why it is refused."""
        try:
            self._admit(camera, frame.stamp_ns, now_ns)
        except Refusal as refusal:
            return self._count(camera, str(refusal))
        shifted = frame.stamp_ns - self._latency_ns[camera]
        self._frames[camera].append(Frame(shifted, frame.image))
        return None

    def push_joints(
        self,
        arm: str,
        stamp_ns: int,
        names: Sequence[str],
        position: ArrayLike,
        velocity: ArrayLike,
        now_ns: int,
    ) -> str | None:
        """Take the joint state of an arm, or return why it is refused."""
        try:
            p, v = self._orders[arm].map(names, position, velocity)
            self._admit(arm, stamp_ns, now_ns)
        except Refusal as refusal:
            return self._count(arm, str(refusal))
        self._samples[arm].append(JointSample(stamp_ns, p, v))
        return None

    def refuse(self, stream: str, cause: str) -> str:
        """Count a message that could not even be decoded."""
        return self._count(stream, cause)

    def pop(self) -> list[AlignedSet]:
        """Return the sets that are complete, oldest first."""
        sets = []
        pending = self._frames[self._reference]
        while pending:
            frame = pending[0]
            aligned = self._align(frame)
            if aligned is None and not self._overdue(frame):
                break
            pending.popleft()
            if aligned is not None:
                sets.append(aligned)
                self.counters["pairs"] += 1
        return sets

    def _admit(self, stream: str, stamp_ns: int, now_ns: int) -> None:
        """Check the stamp of a message; a stream whose clock jumped back starts afresh, once per jump."""
        previous = self._newest.get(stream)
        if previous is not None and 0 < stamp_ns < previous - nanoseconds(_CLOCK_RESET_S):
            self._count(stream, "clock_reset")
            (self._frames.get(stream) or self._samples.get(stream) or deque()).clear()
            previous = None
        check_stamp(stamp_ns, previous, now_ns)
        self._newest[stream] = stamp_ns

    def _align(self, frame: Frame) -> AlignedSet | None:
        """Return the set at a reference frame, or None while a stream is missing."""
        images, skew = {self._reference: frame.image}, {self._reference: 0}
        for camera in self._robot.cameras[1:]:
            match = _nearest(self._frames[camera.name], frame.stamp_ns)
            if match is None or abs(match.stamp_ns - frame.stamp_ns) > nanoseconds(SLOP_S):
                return None
            images[camera.name], skew[camera.name] = match.image, match.stamp_ns - frame.stamp_ns
        joints = [_interpolate(self._samples[arm.name], frame.stamp_ns) for arm in self._robot.arms]
        if any(joint is None for joint in joints):
            return None
        position = np.concatenate([joint[0] for joint in joints if joint is not None])
        velocity = np.concatenate([joint[1] for joint in joints if joint is not None])
        return AlignedSet(frame.stamp_ns, images, position, velocity, skew)

    def _overdue(self, frame: Frame) -> bool:
        """Return whether waiting for the missing streams is pointless; counts which one was missing."""
        newest = max(self._newest.values())
        if newest - frame.stamp_ns <= nanoseconds(WAIT_S):
            return False
        for camera in self._robot.cameras[1:]:
            match = _nearest(self._frames[camera.name], frame.stamp_ns)
            if match is None or abs(match.stamp_ns - frame.stamp_ns) > nanoseconds(SLOP_S):
                self._count(camera.name, "no_match")
        for arm in self._robot.arms:
            if _interpolate(self._samples[arm.name], frame.stamp_ns) is None:
                self._count(arm.name, "no_joints")
        return True

    def _count(self, stream: str, cause: str) -> str:
        self.counters[f"{stream}/{cause}"] += 1
        return cause


def _nearest(frames: deque[Frame], stamp_ns: int) -> Frame | None:
    return min(frames, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)


def _interpolate(samples: deque[JointSample], stamp_ns: int) -> tuple[FloatArray, FloatArray] | None:
    """Return position and velocity (n,) at a stamp between two samples, or None outside them."""
    if not samples or not samples[0].stamp_ns <= stamp_ns <= samples[-1].stamp_ns:
        return None
    after = bisect_left(samples, stamp_ns, key=lambda sample: sample.stamp_ns)
    if samples[after].stamp_ns == stamp_ns:
        return samples[after].position, samples[after].velocity
    a, b = samples[after - 1], samples[after]
    share = (stamp_ns - a.stamp_ns) / (b.stamp_ns - a.stamp_ns)
    return (
        a.position + share * (b.position - a.position),
        a.velocity + share * (b.velocity - a.velocity),
    )
