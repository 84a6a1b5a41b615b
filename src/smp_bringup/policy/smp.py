"""SMP deployed: encode, route, select by mass, denoise the active experts only, decode."""

from time import perf_counter

import numpy as np

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine, AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import ddim
from smp_bringup.policy.select import mass, select
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class SmpPolicy(AbstractPolicy):
    """Skill mixture-of-experts policy (arXiv 2601.21251)."""

    def __init__(self, config: PolicyConfig, engine: AbstractEngine, normalizer: Normalizer, period_s: float) -> None:
        self.config, self._engine, self._normalizer, self._period_s = config, engine, normalizer, period_s

    def infer(self, observation: Observation, seed: int) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; only experts in `GateReport.active` were run."""
        start = perf_counter()
        images = {name: observation.images[name] for name in self.config.cameras}
        state = self._normalizer.normalise(observation.position)
        coded = self._engine.encode(images, state)
        weight = coded["gate"]
        share = mass(weight, self.config.gate.mass)
        active = select(share, self.config.gate)
        encoded = perf_counter()
        coefficients, calls = self._denoise(coded, active, seed)
        denoised = perf_counter()
        action = coded["reference"] + coefficients @ coded["basis"].T
        position = self._normalizer.denormalise(action)
        done = perf_counter()
        report = GateReport(
            observation.stamp_ns, weight, share, active, float(share[list(active)].sum()), calls,
            {
                "encode": (encoded - start) * 1e3,
                "denoise": (denoised - encoded) * 1e3,
                "decode": (done - denoised) * 1e3,
            },
        )  # fmt: skip
        return ActionChunk(observation.stamp_ns, self._period_s, position), report

    def _denoise(
        self, coded: dict[str, FloatArray], active: tuple[int, ...], seed: int
    ) -> tuple[FloatArray, "np.ndarray"]:
        """Return coefficients (T, K), zero for inactive experts, and the denoiser calls (K,)."""
        config = self.config
        calls = np.zeros(config.experts, dtype=np.int64)
        mask = np.zeros(config.experts)
        mask[list(active)] = 1.0

        def predict(x: FloatArray, embedding: FloatArray) -> FloatArray:
            clean = np.zeros_like(x)
            for expert in active:
                clean[:, expert] = self._engine.denoise(expert, coded["feature"], x, mask, embedding)
                calls[expert] += 1
            return clean

        noise = np.random.default_rng(seed).normal(size=(config.horizon, config.experts)) * config.noise * mask
        clean = ddim(predict, noise, config.diffusion_steps, config.denoise_steps)
        return clean * coded["scale"], calls
