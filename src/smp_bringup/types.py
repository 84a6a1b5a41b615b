"""The values that cross a boundary between two rooms of the house.

All are frozen. Arrays are numpy; `J` is the number of joints of the robot over all
arms in robot order, `To` observed steps, `T` predicted steps, `K` experts. Stamps are
integer nanoseconds of the clock of the message headers; periods are float seconds.
Of a rate (`joints.Joint`), as a base that drives has them, "position" is a velocity [m/s],
[rad/s], and each derivative one higher.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8 | np.uint16]
"""Colour (..., 3) as RGB of 8 bits, or depth (..., 1) in whole mm of 16 bits, 0 where nothing was measured."""

NS_PER_S = 1_000_000_000
MM_PER_M = 1000


def seconds(stamp_ns: int) -> float:
    """Return nanoseconds as seconds."""
    return stamp_ns / NS_PER_S


def nanoseconds(duration_s: float) -> int:
    """Return seconds as whole nanoseconds."""
    return round(duration_s * NS_PER_S)


@dataclass(frozen=True)
class Frame:
    """One camera image."""

    stamp_ns: int
    image: ImageArray
    """(H, W, 3) RGB, or (H, W, 1) depth [mm]."""


@dataclass(frozen=True)
class JointSample:
    """Measured state of some joints (one arm, or the whole robot), in robot order."""

    stamp_ns: int
    position: FloatArray
    """(J,) [rad], grippers [m]."""
    velocity: FloatArray
    """(J,) [rad/s], grippers [m/s]."""
    stamps_ns: Mapping[str, int] = field(default_factory=dict)
    """Of each arm's part, where the arms were sampled one by one; empty where `stamp_ns` is that of all."""


@dataclass(frozen=True)
class VectorSample:
    """One message of a vector of the robot file."""

    stamp_ns: int
    value: FloatArray
    """(n,)."""


@dataclass(frozen=True)
class AlignedSet:
    """All cameras and all joints brought to one instant: what the policy sees at that instant."""

    stamp_ns: int
    images: Mapping[str, ImageArray]
    """Per camera (h, w, 3) RGB, or (h, w, 1) depth [mm]."""
    position: FloatArray
    """(J,) [rad], grippers [m], interpolated to `stamp_ns`."""
    velocity: FloatArray
    """(J,)."""
    skew_ns: Mapping[str, int] = field(default_factory=dict)
    """Per camera: stamp of its frame minus `stamp_ns`."""
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    """Per vector of the robot file (n,), as it was at `stamp_ns`."""


@dataclass(frozen=True)
class Observation:
    """To aligned sets, oldest first; its identity is the stamp of the newest."""

    stamp_ns: int
    images: Mapping[str, ImageArray]
    """Per camera (To, h, w, 3) RGB, or (To, h, w, 1) depth [mm]."""
    position: FloatArray
    """(To, J)."""
    velocity: FloatArray
    """(To, J)."""
    objects: FloatArray | None = None
    """(To, D) poses of the task's objects; the state track only, in simulation."""
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    """Per vector of the robot file (To, n)."""
    words: FloatArray | None = None
    """(384,) embedding of the sentence that says what to do; None where nothing was said."""
    told: str = ""
    """That sentence itself, for policies that read it (LeRobot's); empty where nothing was said."""


@dataclass(frozen=True)
class ActionChunk:
    """Setpoints for both arms at `stamp_ns + k * period_s`, k = 0 .. T - 1."""

    stamp_ns: int
    """Stamp of the observation that the chunk was computed from."""
    period_s: float
    position: FloatArray
    """(T, J) [rad], grippers [m]."""


@dataclass(frozen=True)
class GateReport:
    """What the gate decided for one chunk, and what it cost."""

    stamp_ns: int
    weight: FloatArray
    """(K,) router mean, in the simplex."""
    mass: FloatArray
    """(K,) share of each expert in the total mass."""
    active: tuple[int, ...]
    """Experts that were denoised, heaviest first; none where the mean head acts alone."""
    kept_mass: float
    """Share of the total mass that the active experts carry."""
    denoiser_calls: NDArray[np.int64]
    """(K,) denoiser calls of this inference."""
    stage_ms: Mapping[str, float]
    """Wall time per stage [ms]: encode, route (where there are experts to choose), denoise, decode."""

    @property
    def heaviest(self) -> int:
        """Return the expert that carries most, whether or not it was denoised."""
        return self.active[0] if self.active else int(np.argmax(self.mass))


@dataclass(frozen=True)
class Command:
    """One setpoint for both arms."""

    stamp_ns: int
    position: FloatArray
    """(J,) [rad], grippers [m]."""
    velocity: FloatArray
    """(J,)."""
    acceleration: FloatArray
    """(J,)."""


class Severity(IntEnum):
    """How strict a verdict is; the strictest of all checks wins."""

    PASS = 0
    WARN = 1
    """Only said."""
    LIMIT = 2
    REFUSE = 3
    HOLD = 4
    FAULT = 5
    ESTOP = 6


@dataclass(frozen=True)
class Verdict:
    """What the safety chain decided, which check decided it, and why."""

    severity: Severity
    check: str = ""
    reason: str = ""
    speed: float = 1.0
    """Share of the speed limits that it leaves."""


PASS = Verdict(Severity.PASS)
