"""SMP deployed: encode, route, select by mass, denoise the active experts only, decode."""

import numpy as np

from smp_bringup.policy.base import DeployedPolicy, Stopwatch, inpainted
from smp_bringup.policy.denoise import sample
from smp_bringup.policy.select import mass, select
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

_LEAST_GAIN = 1e-4
"""Coefficients are divided by no less than this."""


class SmpPolicy(DeployedPolicy):
    """Skill mixture-of-experts policy (arXiv 2601.21251)."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; only experts in `GateReport.active` were run."""
        watch = Stopwatch()
        coded = self.encode(observation, prefix)
        weight = coded["gate"]
        share = mass(weight, self.config.gate.mass)
        active = select(share, self.config.gate)
        watch.lap("encode")
        gain = coded["scale"] * (weight if self.config.coefficients == "literal" else 1.0)
        offset = coded.get("offset", np.zeros((self.config.horizon, self.config.experts)))
        known = None
        held = inpainted(prefix, self.config)
        if held is not None:  # the committed actions as coefficients: what the experts would have predicted
            residual = self._normalizer.normalise(held) - coded["reference"][: len(held)]
            known = (residual @ coded["basis"] + offset[: len(held)]) / np.maximum(gain, _LEAST_GAIN)
        z, calls = self._denoise(coded, active, seed, known)
        watch.lap("denoise")
        change = (z * gain - offset)[:, list(active)]
        action = coded["reference"] + change @ coded["basis"][:, list(active)].T
        position = self._normalizer.denormalise(action)
        watch.lap("decode")
        kept = float(share[list(active)].sum())
        report = GateReport(observation.stamp_ns, weight, share, active, kept, calls, watch.stage_ms)
        return ActionChunk(observation.stamp_ns, self._period_s, position), report

    def _denoise(
        self, coded: dict[str, FloatArray], active: tuple[int, ...], seed: int, known: FloatArray | None
    ) -> tuple[FloatArray, "np.ndarray"]:
        """Return what the experts predict (T, K), zero for inactive ones, and the denoiser calls (K,)."""
        config = self.config
        calls = np.zeros(config.experts, dtype=np.int64)
        mask = np.zeros(config.experts)
        mask[list(active)] = 1.0

        def predict(x: FloatArray, embedding: FloatArray) -> FloatArray:
            out = np.zeros_like(x)
            for expert in active:
                out[:, expert] = self._engine.denoise(expert, coded["feature"], x * mask, mask, embedding)
                calls[expert] += 1
            return out

        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(config.horizon, config.experts)) * config.noise * mask
        given = None if known is None else known * mask
        return sample(predict, noise, config, rng, given) * mask, calls
