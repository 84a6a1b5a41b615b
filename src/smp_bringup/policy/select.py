"""Which experts run: the heaviest few, by the mass of the router's mean gate (SMP, Algorithm 2)."""

import numpy as np

from smp_bringup.policy.config import GateConfig
from smp_bringup.types import FloatArray


def mass(weight: FloatArray, kind: str) -> FloatArray:
    """Return each expert's share (K,) of the total mass of a gate (K,): its square, or the gate itself."""
    raw = weight**2 if kind == "quadratic" else weight
    return np.asarray(raw / raw.sum())


def select(share: FloatArray, config: GateConfig) -> tuple[int, ...]:
    """Return the experts to denoise, heaviest first: top-k, or the shortest prefix that covers `coverage`."""
    order = np.argsort(-share, kind="stable")
    if config.top_k:
        return tuple(int(i) for i in order[: config.top_k])
    covered = np.cumsum([0.0, *share[order]])
    count = int(np.searchsorted(covered, config.coverage - 1e-9))
    return tuple(int(i) for i in order[: min(count, len(share))])
