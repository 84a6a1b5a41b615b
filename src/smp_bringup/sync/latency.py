"""The latency of a camera against the joints, from a recording in which one joint of each arm swings.

How much the image changes between two frames goes with how far the arms moved between
their exposures. The latency at which the motion of the arms explains that of the image
best (least squares over the arms, so that it need not be known which of them a camera
sees) is the camera's; leaving out one stretch of the recording at a time says how sure
that is. One joint per arm, because the joints of an arm lag their servos differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import BagError
from smp_bringup.types import FloatArray, ImageArray

SEARCH_S = (-0.05, 0.4)
"""Latencies tried [s]."""
_COARSE_S, _FINE_S, _NEAR_S = 0.01, 0.001, 0.02
_STRETCHES = 8
_LEAST_FRAMES = 60
_LEAST_TRAVEL = 0.05
"""An arm that moved less [rad] over the whole recording explains nothing."""
LEAST_AGREEMENT = 0.5
"""Share of the image motion that the joints must explain."""
MOST_ERROR_S = 0.01
"""Largest 95 % error at which a latency is believed."""


@dataclass(frozen=True)
class LatencyEstimate:
    """The latency of one camera, and how far to trust it."""

    latency_s: float
    error_s: float
    """Half the width of the 95 % interval [s], by jackknife."""
    agreement: float
    """Share of the image motion that joint motion explains, in [0, 1]."""

    @property
    def doubt(self) -> str:
        """Return why the estimate must not be used, or nothing."""
        if not self.agreement >= LEAST_AGREEMENT:
            return f"the arms explain only {100 * self.agreement:.0f} % of the image motion"
        if not self.error_s <= MOST_ERROR_S:
            return f"it is uncertain by {1e3 * self.error_s:.0f} ms"
        if not SEARCH_S[0] + _NEAR_S < self.latency_s < SEARCH_S[1] - _NEAR_S:
            return "the best latency lies at the edge of what was tried"
        return ""


def image_motion(before: ImageArray, after: ImageArray) -> float:
    """Return the mean absolute change between two images (H, W, 3)."""
    return float(np.abs(after.astype(np.int16) - before).mean())


def estimate(
    frame_ns: np.ndarray, motion: FloatArray, joint_ns: np.ndarray, arms: Sequence[FloatArray]
) -> LatencyEstimate:
    """Return the latency of a camera.

    Args:
        frame_ns: stamps (N,) of its frames [ns].
        motion: change (N - 1,) of the image from each frame to the next, see `image_motion`.
        joint_ns: stamps (M,) of the joint states [ns].
        arms: per arm, positions (M, n) [rad] of its joints without grippers.

    Raises:
        BagError: there are too few frames, or nothing moved.
    """
    if len(frame_ns) < _LEAST_FRAMES:
        raise BagError(f"{len(frame_ns)} frames, at least {_LEAST_FRAMES} are needed: record a longer swing")
    tracks = [arm for arm in arms if np.abs(np.diff(arm, axis=0)).sum() > _LEAST_TRAVEL]
    if not tracks:
        raise BagError("no joint moved: swing one joint of each arm in view of the cameras while recording")
    origin = joint_ns[0]
    frames, at = (frame_ns - origin) / 1e9, (joint_ns - origin) / 1e9
    inside = (frames[:-1] - SEARCH_S[1] > at[0]) & (frames[1:] - SEARCH_S[0] < at[-1])
    latency, agreement = _best(frames, motion, at, tracks, inside)
    stretch = np.arange(len(motion)) * _STRETCHES // len(motion)
    left_out = [_best(frames, motion, at, tracks, inside & (stretch != k))[0] for k in range(_STRETCHES)]
    spread = np.sqrt((_STRETCHES - 1) * np.var(left_out))
    return LatencyEstimate(latency, float(1.96 * spread), agreement)


def _best(
    frames: FloatArray, motion: FloatArray, at: FloatArray, tracks: Sequence[FloatArray], used: np.ndarray
) -> tuple[float, float]:
    """Return the latency [s] at which the arms explain the motion of the used frames best, and the share explained."""

    def agreement(latency: float) -> float:
        travels = []
        for track in tracks:
            pose = np.stack([np.interp(frames - latency, at, column) for column in track.T], axis=1)
            travels.append(np.linalg.norm(np.diff(pose, axis=0), axis=1)[used])
        travel = np.stack(travels, axis=1)
        features = np.column_stack([travel, travel**2, np.ones(len(travel))])
        target = motion[used]
        left = target - features @ np.linalg.lstsq(features, target, rcond=None)[0]
        return float(1 - left.var() / max(target.var(), 1e-12))

    coarse = np.arange(SEARCH_S[0], SEARCH_S[1] + 1e-9, _COARSE_S)
    start = coarse[int(np.argmax([agreement(x) for x in coarse]))]
    fine = np.arange(start - _NEAR_S, start + _NEAR_S + 1e-9, _FINE_S)
    values = [agreement(x) for x in fine]
    k = int(np.argmax(values))
    return float(fine[k]), values[k]
