"""The output law, judged from what was published alone."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.types import FloatArray

_SLACK = 1e-6
"""Rounding, as a share of each limit."""


@dataclass(frozen=True)
class Violation:
    """One setpoint that broke the law."""

    what: str
    cycle: int
    excess: float
    """Over the limit, as a share of it."""


def violations(arm: Arm, period_s: float, position: FloatArray, velocity: FloatArray) -> list[Violation]:
    """Return where the setpoints of one arm break its limits.

    Args:
        arm: whose limits count.
        period_s: between two setpoints [s].
        position: (K, n) consecutive setpoints [rad], grippers [m].
        velocity: (K, n) [rad/s].
    """
    limit = {key: np.array([getattr(joint, key) for joint in arm.joints]) for key in ("min", "max")}
    slopes = np.array([joint.slopes for joint in arm.joints]).T
    limit |= dict(zip(("velocity", "acceleration", "jerk"), slopes, strict=True))
    span = limit["max"] - limit["min"]
    mean = np.diff(velocity, axis=0) / period_s  # acceleration, averaged over a period
    travelled = (velocity[1:] + velocity[:-1]) / 2 * period_s
    bend = limit["jerk"] * period_s**3 / 12  # by which the way may differ from that, the jerk being limited
    excess = {
        "finite": np.where(np.isfinite(position) & np.isfinite(velocity), -1.0, np.inf),
        "min": (limit["min"] - position) / span,
        "max": (position - limit["max"]) / span,
        "velocity": np.abs(np.diff(position, axis=0)) / period_s / limit["velocity"] - 1,
        "acceleration": np.abs(mean) / limit["acceleration"] - 1,
        "jerk": np.abs(np.diff(mean, axis=0)) / period_s / limit["jerk"] - 1,
        "path": np.abs(np.diff(position, axis=0) - travelled) / bend - 1,
    }
    found = []
    for what, share in excess.items():
        broken = np.flatnonzero(~(share <= _SLACK).all(axis=1))
        found += [Violation(what, int(k), float(share[k].max())) for k in broken]
    return found
