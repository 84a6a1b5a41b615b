"""The active experts of one inference of SMP, and their coefficients."""

import numpy as np

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.denoise import sample
from smp_bringup.policy.select import Selection
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.types import FloatArray


class ActiveExperts:
    """Runs the selected experts and no other."""

    def __init__(self, engine: AbstractEngine, config: SmpPolicyConfig, feature: FloatArray, chosen: Selection) -> None:
        """Prepare the experts of a selection for the feature (F,) of an observation."""
        self._engine, self._config, self._feature, self._active = engine, config, feature, chosen.active
        self.mask = chosen.mask
        self.calls = np.zeros(config.experts, dtype=np.int64)
        """(K,) how often each was run."""

    def predict(self, x: FloatArray, embedding: FloatArray) -> FloatArray:
        """Return what they predict (T, K) for a noisy sample (T, N), zero for the others."""
        out = np.zeros((len(x), len(self.mask)))
        for expert in self._active:
            out[:, expert] = self._engine.denoise(expert, self._feature, x, self.mask, embedding)
            self.calls[expert] += 1
        return out

    def sample(self, seed: int, known: FloatArray | None) -> FloatArray:
        """Return their denoised coefficients (T, K), zero for the others; the first rows `known` (d, K) are held."""
        rng, config = np.random.default_rng(seed), self._config
        noise = rng.normal(size=(config.horizon, config.experts)) * config.noise * self.mask
        held = None if known is None else known * self.mask
        return sample(lambda x, embedding: self.predict(x * self.mask, embedding), noise, config, rng, held)
