"""Which experts run: the heaviest few, by the mass of the router's mean gate (SMP, Algorithm 2)."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.policy.smp_config import GateConfig
from smp_bringup.types import FloatArray


@dataclass(frozen=True)
class Selection:
    """The experts that one inference runs."""

    share: FloatArray
    """(K,) of the total mass."""
    active: tuple[int, ...]
    """Heaviest first."""

    @property
    def mask(self) -> FloatArray:
        """(K,): one where an expert is active."""
        mask = np.zeros(len(self.share))
        mask[list(self.active)] = 1.0
        return mask

    @property
    def kept(self) -> float:
        """Share of the mass that is active."""
        return float(self.share[list(self.active)].sum())


def choose(gate: FloatArray, config: GateConfig) -> Selection:
    """Return the experts that a gate (K,) selects."""
    share = mass(gate, config.mass)
    return Selection(share, select(share, config))


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
