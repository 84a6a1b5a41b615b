"""The few statistics that reports quote."""

from collections.abc import Sequence
from math import sqrt

import numpy as np


def wilson(successes: int, episodes: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a success rate (95 % by default)."""
    if episodes == 0:
        return 0.0, 1.0
    rate, spread = successes / episodes, z * z / episodes
    center = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(rate * (1 - rate) / episodes + spread / (4 * episodes))
    return max(0.0, center - half), min(1.0, center + half)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and max of some values; zeros where there are none."""
    if not len(values):
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(max(values)), 3)}
