"""Denoising a whole action chunk (T, J), as the policies do whose experts do not share it out among a basis."""

from collections.abc import Mapping

import numpy as np

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine, inpainted
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import sample
from smp_bringup.types import FloatArray


def denoise_action(
    engine: AbstractEngine,
    expert: int,
    coded: Mapping[str, FloatArray],
    mask: FloatArray,
    config: PolicyConfig,
    normalizer: Normalizer,
    prefix: FloatArray | None,
    seed: int,
) -> FloatArray:
    """Return the normalised actions (T, J) that one denoiser gives, continuing the committed ones (d, J) if any."""

    def predict(x: FloatArray, embedding: FloatArray) -> FloatArray:
        return engine.denoise(expert, coded["feature"], x, mask, embedding)

    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(config.horizon, len(normalizer.center))) * config.noise
    held = inpainted(prefix, config)
    known = None if held is None else normalizer.normalise(held)
    return sample(predict, noise, config, rng, known)
