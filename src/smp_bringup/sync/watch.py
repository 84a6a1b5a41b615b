"""Is what the cameras and joints say alive? Stalls, starving and frozen streams, by name.

Arrivals are measured on the steady clock that the caller hands in, so neither paused
nor jumping time can hide a dead camera or raise a false alarm.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.sync.aligner import WAIT_S
from smp_bringup.types import FloatArray, ImageArray, nanoseconds, seconds
from smp_bringup.vector import Vector

STALL_S = 0.1
"""A camera is stalled when a frame is so late."""
FROZEN_FRAMES = 5
"""So many frames that equal the one before them are frozen if the robot moved between all of them.

Moved for one frame alone, it may simply not be seen yet: a camera shows what was, a joint state says what is.
"""
LIVE_SPEED = 0.02
"""A robot moves when a joint is faster [rad/s] between two frames ..."""
LIVE_TRAVEL = 0.02
"""... and has moved so far [rad] since the pixels changed: less may fall between two of them."""
STILL = "camera_still:"
"""Cause of equal frames while nothing moves."""
STARVING = 0.8
"""Below this share of its nominal rate a stream is starving."""
_RATE_WINDOW_S = 1.0


class StreamHealth(IntEnum):
    """How an observation stream is."""

    OK = 0
    WARN = 1
    """Usable; something is worth looking at."""
    INVALID = 2
    """The policy must not act on it."""


@dataclass(frozen=True)
class StreamReport:
    """Whether observations may be acted on, and which stream is why."""

    health: StreamHealth
    cause: str = ""
    """What and which stream, e.g. "camera_stalled:overview"."""
    detail: str = ""

    @property
    def reason(self) -> str:
        """Return cause and detail in one line."""
        return f"{self.cause} ({self.detail})" if self.detail else self.cause


class StreamWatch:
    """Watches all cameras, arms and vectors of a robot."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._arms = robot.turning
        self._position = np.full(robot.dof, np.nan)
        self._cameras = {camera.name: _Camera() for camera in robot.cameras}
        self._vectors = {vector.name: _Heard() for vector in robot.vectors}
        names = [c.name for c in robot.cameras] + [a.name for a in robot.arms] + [v.name for v in robot.vectors]
        self._arrivals: dict[str, deque[int]] = {name: deque() for name in names}

    def on_image(self, camera: str, image: ImageArray, steady_ns: int) -> None:
        """Take an accepted image (H, W, 3) that arrived now."""
        self._arrivals[camera].append(steady_ns)
        self._cameras[camera].push(image, self._position[self._arms], steady_ns)

    def on_vector(self, name: str, age_ns: int, steady_ns: int) -> None:
        """Take an accepted sample of a vector that arrived now, `age_ns` after its stamp."""
        self._arrivals[name].append(steady_ns)
        heard = self._vectors[name]
        heard.age_ns, heard.arrival_ns, heard.refused = age_ns, steady_ns, ""

    def on_refused(self, stream: str, cause: str) -> None:
        """Take why a message was refused: of a camera or vector without a good one yet, that is what is missing."""
        (self._vectors.get(stream) or self._cameras[stream]).refused = cause

    def on_joints(self, arm: str, position: FloatArray, steady_ns: int) -> None:
        """Take an accepted joint state (n,) that arrived now."""
        self._arrivals[arm].append(steady_ns)
        self._position = self._position.copy()
        self._position[self._robot.arm_slices[arm]] = position

    def report(self, steady_ns: int) -> StreamReport:
        """Return the worst that can be said of any stream."""
        reports = [self._judge(camera.name, camera.rate_hz, steady_ns) for camera in self._robot.cameras]
        reports += [self._judge_vector(vector, steady_ns) for vector in self._robot.vectors]
        rates = self.rates_hz(steady_ns)
        for sensor in self._robot.cameras:
            arrivals = self._arrivals[sensor.name]
            full = arrivals and steady_ns - arrivals[0] >= nanoseconds(0.9 * _RATE_WINDOW_S)
            if full and rates[sensor.name] < STARVING * sensor.rate_hz:
                text = f"{rates[sensor.name]:.1f} of {sensor.rate_hz:g} Hz"
                reports.append(StreamReport(StreamHealth.WARN, f"camera_starving:{sensor.name}", text))
        return max(reports, key=lambda report: report.health)

    def rates_hz(self, steady_ns: int) -> dict[str, float]:
        """Return how often each stream was heard per second over the last second [Hz]."""
        for arrivals in self._arrivals.values():
            while arrivals and steady_ns - arrivals[0] > nanoseconds(_RATE_WINDOW_S):
                arrivals.popleft()
        return {name: len(arrivals) / _RATE_WINDOW_S for name, arrivals in self._arrivals.items()}

    def _judge_vector(self, vector: Vector, steady_ns: int) -> StreamReport:
        """Say whether a vector is there, is heard often enough, and is stamped by a clock like the others'."""
        heard = self._vectors[vector.name]
        if heard.arrival_ns is None:
            return StreamReport(StreamHealth.INVALID, f"vector_missing:{vector.name}", heard.refused)
        silent_s = seconds(steady_ns - heard.arrival_ns)
        if not silent_s <= vector.max_age_s:
            text = f"silent for {silent_s * 1e3:.0f} ms" + (f": {heard.refused}" if heard.refused else "")
            return StreamReport(StreamHealth.INVALID, f"vector_stalled:{vector.name}", text)
        if not seconds(heard.age_ns) <= vector.max_age_s + WAIT_S:
            text = f"its stamps are {heard.age_ns / 1e6:.0f} ms old on arrival"
            return StreamReport(StreamHealth.INVALID, f"vector_old:{vector.name}", text)
        return StreamReport(StreamHealth.OK)

    def _judge(self, camera: str, rate_hz: float, steady_ns: int) -> StreamReport:
        state = self._cameras[camera]
        if state.arrival_ns is None:
            return StreamReport(StreamHealth.INVALID, f"camera_missing:{camera}", state.refused)
        late_s = seconds(steady_ns - state.arrival_ns) - 1 / rate_hz
        if not late_s <= STALL_S:
            return StreamReport(StreamHealth.INVALID, f"camera_stalled:{camera}", f"frame {late_s * 1e3:.0f} ms late")
        if state.equal < FROZEN_FRAMES:
            return StreamReport(StreamHealth.OK)
        frozen = state.live >= FROZEN_FRAMES and state.travel > LIVE_TRAVEL
        if frozen:
            return StreamReport(StreamHealth.INVALID, f"camera_frozen:{camera}")
        return StreamReport(StreamHealth.WARN, f"{STILL}{camera}", "equal frames of a robot at rest")


@dataclass
class _Heard:
    """The last sample of a vector."""

    arrival_ns: int | None = None
    age_ns: int = 0
    """From its stamp to its arrival."""
    refused: str = ""
    """Why the last one was not taken."""


class _Camera:
    """The last frame of a camera, and for how long it has not changed."""

    def __init__(self) -> None:
        self._last: ImageArray | None = None
        self._pose: FloatArray = np.zeros(0)
        self._changed: FloatArray = np.zeros(0)
        self.arrival_ns: int | None = None
        self.refused = ""
        """Why the last image was not taken."""
        self.equal, self.live = 0, 0
        """Frames that equal the one before them since the pixels changed, and those before which the robot moved."""
        self.travel = 0.0
        """How far a joint has been [rad] from where it was when the pixels changed; only new pixels make it good."""

    def push(self, image: ImageArray, pose: FloatArray, steady_ns: int) -> None:
        """Take a frame, and the pose (n,) [rad] of the arms at its arrival."""
        if self._last is not None and self.arrival_ns is not None and _same(image, self._last):
            self.equal += 1
            step = LIVE_SPEED * seconds(steady_ns - self.arrival_ns)
            self.live += bool(np.nanmax(np.abs(pose - self._pose), initial=0.0) > step)
            self.travel = max(self.travel, float(np.nanmax(np.abs(pose - self._changed), initial=0.0)))
        else:
            self.equal, self.live, self.travel, self._changed = 0, 0, 0.0, pose
        self._last, self._pose, self.arrival_ns = image, pose, steady_ns


def _same(a: ImageArray, b: ImageArray) -> bool:
    """Return whether two images are equal to the bit; most differ in the first rows already."""
    return a.shape == b.shape and np.array_equal(a[:2], b[:2]) and np.array_equal(a, b)
