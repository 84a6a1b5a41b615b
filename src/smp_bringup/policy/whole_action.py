"""Denoising a whole action chunk (T, J): what every policy does but an SMP that samples coefficients."""

import numpy as np

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import inpainted
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import Denoiser, sample
from smp_bringup.types import FloatArray


def denoise_action(
    denoiser: Denoiser, config: PolicyConfig, normalizer: Normalizer, prefix: FloatArray | None, seed: int
) -> FloatArray:
    """Return the normalised actions (T, J) that a denoiser gives, continuing the committed ones (d, J) if any."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(config.horizon, len(normalizer.center))) * config.noise
    held = inpainted(prefix, config)
    known = None if held is None else normalizer.normalise(held)
    return sample(denoiser, noise, config, rng, known)
