"""Diffusion Policy deployed: the reference that SMP is compared with, over the same encoder and sampler."""

from time import perf_counter

import numpy as np

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine, AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import ddim
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class DiffusionPolicy(AbstractPolicy):
    """Plain diffusion over the whole action chunk (arXiv 2303.04137); its gate report has one expert."""

    def __init__(self, config: PolicyConfig, engine: AbstractEngine, normalizer: Normalizer, period_s: float) -> None:
        self.config, self._engine, self._normalizer, self._period_s = config, engine, normalizer, period_s

    def infer(self, observation: Observation, seed: int) -> tuple[ActionChunk, GateReport]:
        """Return the chunk, and a report in which the only expert is active."""
        start = perf_counter()
        images = {name: observation.images[name] for name in self.config.cameras}
        state = self._normalizer.normalise(observation.position)
        feature = self._engine.encode(images, state)["feature"]
        encoded = perf_counter()
        one = np.ones(1)

        def predict(x: FloatArray, embedding: FloatArray) -> FloatArray:
            return self._engine.denoise(0, feature, x, one, embedding)

        shape = (self.config.horizon, len(self._normalizer.center))
        noise = np.random.default_rng(seed).normal(size=shape) * self.config.noise
        action = ddim(predict, noise, self.config.diffusion_steps, self.config.denoise_steps)
        denoised = perf_counter()
        report = GateReport(
            observation.stamp_ns, one, one, (0,), 1.0, np.array([self.config.denoise_steps]),
            {"encode": (encoded - start) * 1e3, "denoise": (denoised - encoded) * 1e3, "decode": 0.0},
        )  # fmt: skip
        return ActionChunk(observation.stamp_ns, self._period_s, self._normalizer.denormalise(action)), report
