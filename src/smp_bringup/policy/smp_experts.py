"""The active experts of one inference of SMP, and their coefficients."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.select import Selection
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.types import FloatArray


def coefficients(
    engine: AbstractEngine,
    config: SmpPolicyConfig,
    coded: Mapping[str, FloatArray],
    chosen: Selection,
    seed: int,
    known: FloatArray | None,
) -> FloatArray:
    """Return the denoised coefficients (T, K) of the selected experts, zero for the others; no other expert is run.

    Args:
        engine: that runs them.
        config: of the policy.
        coded: what the engine derived from the observation.
        chosen: the selection.
        seed: of the initial noise.
        known: coefficients (d, K) of committed actions, which are held.
    """
    rng, mask = np.random.default_rng(seed), chosen.mask
    noise = rng.normal(size=(config.horizon, config.experts)) * config.noise * mask
    held = None if known is None else known * mask
    return engine.sample(Denoising(coded, mask, columns=chosen.active), noise, config, rng, held)


def calls(config: SmpPolicyConfig, chosen: Selection) -> NDArray[np.int64]:
    """Return how often each expert was run (K,)."""
    return (chosen.mask * config.denoise_steps).astype(np.int64)
