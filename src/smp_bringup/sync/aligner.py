"""Cameras and joints brought to one instant by header stamps.

Pure and driven by stamps alone: a message is taken or refused with a counted cause,
nothing raises, nothing blocks, and no message can stop the healthy ones from pairing.
The first camera of the robot is the reference: each of its frames may become a set. The
others give their nearest frame within the slop. The set has the stamp of its newest frame,
and every arm's joint state is interpolated to it. Of a vector it has the newest sample that is not
after it: forces jump and directions do not mix, so nothing is made up between two of them.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, pi
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.robot import Robot
from smp_bringup.sync.base import SLOP_S, AbstractAligner
from smp_bringup.sync.checks import JointOrder, Refusal, check_stamp
from smp_bringup.types import AlignedSet, FloatArray, Frame, JointSample, VectorSample, nanoseconds

WAIT_S = 0.1
"""A reference frame waits so long after its arrival for the other streams; then it is dropped and counted."""
JOINT_GAP_S = 0.1
"""Between two joint samples farther apart nothing is interpolated."""
_CLOCK_RESET_S = 1.0
_MOST_SAMPLES = 8192
"""Of a vector that are kept, however fast it comes."""
_RESTART = 3
"""So many messages in a row, all more than a second old and in order among themselves, are a driver whose clock
was set back; fewer are strays."""


@dataclass(frozen=True)
class _Waiting:
    """A reference frame and when it arrived."""

    frame: Frame
    arrival_ns: int


class _Candidate:
    """What there is for a set, and what it lacks."""

    def __init__(self, reference: str, frame: Frame) -> None:
        self.frames = {reference: frame}
        self.joints: list[tuple[FloatArray, FloatArray]] = []
        self.vectors: dict[str, FloatArray] = {}
        self.lacks: list[tuple[str, str]] = []
        """Stream and cause."""
        self.far_ns: dict[str, int] = {}
        """Per camera without a match: skew of its nearest frame to the reference."""
        self.waits, self.hopeless = False, False
        """Whether something may still come, and whether something cannot come any more."""

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest frame."""
        return max(frame.stamp_ns for frame in self.frames.values())

    def lack(self, stream: str, cause: str, hopeless: bool) -> None:
        """Note that a stream has nothing, and whether it may still have."""
        self.lacks.append((stream, cause))
        self.waits, self.hopeless = self.waits or not hopeless, self.hopeless or hopeless


class Aligner(AbstractAligner):
    """Turns streams of frames and joint samples into aligned sets."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._reference = robot.cameras[0].name
        latency_s = {c.name: c.latency_s for c in robot.cameras} | {a.name: a.latency_s for a in robot.arms}
        self._latency_ns = {name: nanoseconds(value) for name, value in latency_s.items()}
        worst_s = max(latency_s.values())
        self._wait_ns = nanoseconds(WAIT_S + worst_s)
        kept_s = 2 * (WAIT_S + worst_s)
        self._waiting: deque[_Waiting] = deque(maxlen=ceil(kept_s * robot.cameras[0].rate_hz) + 4)
        self._frames: dict[str, deque[Frame]] = {
            c.name: deque(maxlen=ceil(kept_s * c.rate_hz) + 4) for c in robot.cameras[1:]
        }
        samples = ceil(2 * kept_s * robot.state_rate_hz) + 4
        self._samples: dict[str, deque[JointSample]] = {a.name: deque(maxlen=samples) for a in robot.arms}
        self._orders = {a.name: JointOrder(*a.driver) for a in robot.arms}
        self._max_age_ns = {v.name: nanoseconds(v.max_age_s) for v in robot.vectors}
        self._vectors: dict[str, deque[VectorSample]] = {v.name: deque(maxlen=_MOST_SAMPLES) for v in robot.vectors}
        self._received = {v.name for v in robot.vectors if not v.stamped}
        self._kept_ns = nanoseconds(kept_s)
        self._period_ns = {c.name: nanoseconds(1 / c.rate_hz) for c in robot.cameras}
        self._newest: dict[str, int] = {}
        self._strays: dict[str, tuple[int, int]] = {}
        self._now_ns, self._last_ns = 0, 0
        self.counters: Counter[str] = Counter()
        self.skew_ns: dict[str, int] = {}
        self.joints: dict[str, FloatArray] = {}

    def push_image(self, camera: str, frame: Frame, now_ns: int) -> str | None:
        """Take a frame of a camera, or return why it is refused."""
        try:
            self._admit(camera, frame.stamp_ns, now_ns)
        except Refusal as refusal:
            return self.refuse(camera, str(refusal))
        shifted = Frame(frame.stamp_ns - self._latency_ns[camera], frame.image)
        if camera == self._reference:
            if len(self._waiting) == self._waiting.maxlen:
                self.refuse(camera, "overflow")
            self._waiting.append(_Waiting(shifted, now_ns))
        else:
            self._frames[camera].append(shifted)
        return None

    def push_joints(
        self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike, velocity: ArrayLike, now_ns: int
    ) -> str | None:
        """Take the joint state of an arm, or return why it is refused."""
        try:
            p, v = self._orders[arm].map(names, position, velocity)
            self._admit(arm, stamp_ns, now_ns)
        except Refusal as refusal:
            return self.refuse(arm, str(refusal))
        self.joints[arm] = p
        self._samples[arm].append(JointSample(stamp_ns - self._latency_ns[arm], p, v))
        return None

    def push_vector(self, name: str, sample: VectorSample, now_ns: int) -> str | None:
        """Take a sample of a vector, or return why it is refused.

        Of those that count as sampled when they are received, several may be received at one time of a coarse clock.
        """
        samples = self._vectors[name]
        if samples and name in self._received and sample.stamp_ns == samples[-1].stamp_ns:
            samples[-1] = sample
            return None
        try:
            self._admit(name, sample.stamp_ns, now_ns)
        except Refusal as refusal:
            return self.refuse(name, str(refusal))
        samples.append(sample)
        while samples[0].stamp_ns < sample.stamp_ns - self._max_age_ns[name] - self._kept_ns:
            samples.popleft()
        return None

    def pop(self) -> list[AlignedSet]:
        """Return the sets that are complete, oldest first."""
        sets = []
        while self._waiting:
            head = self._waiting[0]
            candidate = self._candidate(head.frame)
            overdue = self._now_ns - head.arrival_ns > self._wait_ns
            if candidate.waits and not (candidate.hopeless or overdue):
                break
            self._waiting.popleft()
            self.skew_ns |= candidate.far_ns
            for stream, cause in candidate.lacks:
                self.refuse(stream, cause)
            aligned = None if candidate.lacks else self._set(candidate)
            if aligned is not None:
                sets.append(aligned)
        return sets

    def _admit(self, stream: str, stamp_ns: int, now_ns: int) -> None:
        """Check the stamp of a message; when the clock went back, everything starts afresh, once.

        Raises:
            Refusal: see `check_stamp`.
        """
        if now_ns < self._now_ns - nanoseconds(_CLOCK_RESET_S):
            self.counters["clock_reset"] += 1
            self._newest.clear()
            for buffer in self._buffers().values():
                buffer.clear()
        self._now_ns = now_ns
        check_stamp(stamp_ns, self._previous(stream, stamp_ns), now_ns)
        self._newest[stream] = stamp_ns
        self._strays.pop(stream, None)

    def _previous(self, stream: str, stamp_ns: int) -> int | None:
        """Return the newest stamp of a stream; None for the first, and for a driver whose clock was set back."""
        newest = self._newest.get(stream)
        if newest is None or not 0 < stamp_ns < newest - nanoseconds(_CLOCK_RESET_S):
            return newest
        count, last_ns = self._strays.get(stream, (0, 0))
        count = count + 1 if stamp_ns > last_ns else 1
        self._strays[stream] = count, stamp_ns
        if count < _RESTART:
            return newest
        self.refuse(stream, "restarted")
        self._buffers()[stream].clear()
        return None

    def _buffers(self) -> dict[str, deque[Any]]:
        return {self._reference: self._waiting, **self._frames, **self._samples, **self._vectors}

    def _candidate(self, frame: Frame) -> _Candidate:
        """Return what there is for a set at a reference frame."""
        found = _Candidate(self._reference, frame)
        for name in self._frames:
            self._match(name, frame.stamp_ns, found)
        for name, samples in self._samples.items():
            state = _interpolate(samples, found.stamp_ns)
            if state is None:
                found.lack(name, "no_joints", bool(samples) and samples[-1].stamp_ns >= found.stamp_ns)
            else:
                found.joints.append(state)
        for name, values in self._vectors.items():
            self._hold(name, values, found)
        return found

    def _hold(self, name: str, samples: deque[VectorSample], found: _Candidate) -> None:
        """Add the newest sample of a vector that is not after the set, or the lack of one that is young enough."""
        after = bisect_right(samples, found.stamp_ns, key=lambda sample: sample.stamp_ns)
        if after == 0 or found.stamp_ns - samples[after - 1].stamp_ns > self._max_age_ns[name]:
            found.lack(name, "no_vector", after < len(samples))
            return
        found.vectors[name] = samples[after - 1].value
        if after == len(samples) > 1:  # the next one may still be sampled before the set
            period_ns = (samples[-1].stamp_ns - samples[0].stamp_ns) / (len(samples) - 1)
            found.waits |= samples[-1].stamp_ns + period_ns <= found.stamp_ns

    def _match(self, camera: str, stamp_ns: int, found: _Candidate) -> None:
        """Add the nearest frame within the slop, or the lack of one."""
        frames = self._frames[camera]
        best = min(frames, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)
        if best is None:
            found.lack(camera, "no_match", False)
            return
        skew = best.stamp_ns - stamp_ns
        if not abs(skew) <= nanoseconds(SLOP_S):
            found.far_ns[camera] = skew
            found.lack(camera, "no_match", frames[-1].stamp_ns > stamp_ns)
            return
        found.frames[camera] = best
        next_ns = frames[-1].stamp_ns + self._period_ns[camera] - stamp_ns
        found.waits |= 2 * next_ns < -skew  # a nearer one gains more in skew than waiting for it costs

    def _set(self, candidate: _Candidate) -> AlignedSet | None:
        """Return the set of a candidate that lacks nothing; None if nothing of it is newer than the last set."""
        stamp_ns = candidate.stamp_ns
        if 0 <= self._last_ns - stamp_ns < nanoseconds(_CLOCK_RESET_S):
            self.refuse(self._reference, "no_newer")
            return None
        self._last_ns = stamp_ns
        self.counters["pairs"] += 1
        skew = {name: frame.stamp_ns - stamp_ns for name, frame in candidate.frames.items()}
        self.skew_ns |= skew
        position, velocity = (np.concatenate(part) for part in zip(*candidate.joints, strict=True))
        images = {name: frame.image for name, frame in candidate.frames.items()}
        return AlignedSet(stamp_ns, images, position, velocity, skew, candidate.vectors)


def _interpolate(samples: deque[JointSample], stamp_ns: int) -> tuple[FloatArray, FloatArray] | None:
    """Return position and velocity (n,) at a stamp between two samples, or None outside them or in a gap.

    A joint turns the shorter way round: no joint passes half a turn (or 3 m) within the largest gap.
    """
    if not samples or not samples[0].stamp_ns <= stamp_ns <= samples[-1].stamp_ns:
        return None
    after = bisect_left(samples, stamp_ns, key=lambda sample: sample.stamp_ns)
    b = samples[after]
    if b.stamp_ns == stamp_ns:
        return b.position, b.velocity
    a = samples[after - 1]
    if not b.stamp_ns - a.stamp_ns <= nanoseconds(JOINT_GAP_S):
        return None
    share = (stamp_ns - a.stamp_ns) / (b.stamp_ns - a.stamp_ns)
    turn = b.position - a.position
    turn -= 2 * pi * np.round(turn / (2 * pi))
    position = a.position + share * turn if share < 0.5 else b.position - (1 - share) * turn
    return position, a.velocity + share * (b.velocity - a.velocity)
