"""What changed between two checkpoints: differences bag by bag, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from smp_bringup.replay.metrics import Samples, summarise

COMPARED = (
    "joint_rmse",
    "joint_p99",
    "gripper_rmse",
    "gripper_share_rmse",
    "slide_rmse",
    "rate_rmse",
    "gripper_timing_s_mean",
    "gripper_missed",
    "gripper_spurious",
    "seam_rad_p99",
    "velocity_ratio_p99",
    "acceleration_ratio_p99",
    "jerk_ratio_p99",
    "limited_rad_p99",
    "limited_m_p99",
    "interventions",
    "held_cycles",
    "refused_chunks",
    "active_experts_mean",
    "gate_flip_mean",
    "kept_mass_mean",
    "inference_ms_p50",
)
_NEITHER = ("active_experts_mean", "gate_flip_mean", "kept_mass_mean")
"""Figures of which neither more nor less is better."""
_DRAWS = 2000


class Difference(NamedTuple):
    """One figure of two checkpoints over the same bags."""

    name: str
    first: float
    second: float
    change: float
    """Mean of second minus first."""
    low: float
    high: float
    """95 % interval of the change."""

    @property
    def word(self) -> str:
        """What the interval says."""
        if self.low <= 0 <= self.high:
            return "no difference"
        if self.name in _NEITHER:
            return "differs"
        return "better" if self.high < 0 else "worse"


def differences(first: Sequence[Samples], second: Sequence[Samples]) -> list[Difference]:
    """Return the differences over the same bags in the same order; bags that lack a figure are left out of it."""
    one, two = ([summarise(bag) for bag in side] for side in (first, second))
    rows = []
    for name in COMPARED:
        pairs = np.array([(a[name], b[name]) for a, b in zip(one, two, strict=True) if name in a and name in b])
        if len(pairs):
            change = pairs[:, 1] - pairs[:, 0]
            low, high = interval(change)
            means = pairs.mean(axis=0)
            rows.append(Difference(name, float(means[0]), float(means[1]), float(change.mean()), low, high))
    return rows


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean (percentiles; the same draws every time)."""
    draws = np.random.default_rng(0).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def as_json(rows: Sequence[Difference]) -> dict[str, Mapping[str, object]]:
    """Return the differences by name."""
    return {row.name: {**row._asdict(), "word": row.word} for row in rows}
