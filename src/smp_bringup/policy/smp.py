"""SMP deployed: encode, route, select by mass, denoise with the active experts only, decode."""

import numpy as np

from smp_bringup.policy.base import AbstractEngine, DeployedPolicy, Stopwatch, inpainted
from smp_bringup.policy.denoise import sample
from smp_bringup.policy.select import mass, select
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

_LEAST_GAIN = 1e-4
"""Coefficients are divided by no less than this."""


class _Active:
    """The active experts of one inference."""

    def __init__(self, engine: AbstractEngine, feature: FloatArray, experts: int, active: tuple[int, ...]) -> None:
        self._engine, self._feature, self._active = engine, feature, active
        self.mask = np.zeros(experts)
        self.mask[list(active)] = 1.0
        self.calls = np.zeros(experts, dtype=np.int64)
        """How often each was run."""

    def predict(self, x: FloatArray, embedding: FloatArray) -> FloatArray:
        """Return what they predict (T, K) for a noisy sample (T, N), zero for the others."""
        out = np.zeros((len(x), len(self.mask)))
        for expert in self._active:
            out[:, expert] = self._engine.denoise(expert, self._feature, x, self.mask, embedding)
            self.calls[expert] += 1
        return out


class SmpPolicy(DeployedPolicy):
    """Skill mixture-of-experts policy (arXiv 2601.21251)."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; only experts in `GateReport.active` were run."""
        watch, config = Stopwatch(), self.config
        coded = self.encode(observation, prefix)
        weight = coded["gate"]
        share = mass(weight, config.gate.mass)
        active = select(share, config.gate)
        experts = _Active(self._engine, coded["feature"], config.experts, active)
        watch.lap("encode")
        act = self._act_with_shared if config.reference == "shared" else self._act_by_coefficients
        action = act(coded, experts, prefix, seed)
        watch.lap("denoise")
        position = self._normalizer.denormalise(action)
        watch.lap("decode")
        kept = float(share[list(active)].sum())
        report = GateReport(observation.stamp_ns, weight, share, active, kept, experts.calls, watch.stage_ms)
        return ActionChunk(observation.stamp_ns, self._period_s, position), report

    def _act_with_shared(
        self, coded: dict[str, FloatArray], experts: _Active, prefix: FloatArray | None, seed: int
    ) -> FloatArray:
        """Return the normalised actions (T, J): all experts denoise them, each active one along its column alone."""
        shared, basis = self.denoiser(self.config.experts, coded["feature"], experts.mask), coded["basis"]
        return self.denoise_action(lambda x, e: shared(x, e) + experts.predict(x, e) @ basis.T, prefix, seed)

    def _act_by_coefficients(
        self, coded: dict[str, FloatArray], experts: _Active, prefix: FloatArray | None, seed: int
    ) -> FloatArray:
        """Return the normalised actions (T, J) of the coefficients that the active experts denoise."""
        config, basis, mask = self.config, coded["basis"], experts.mask
        gain = coded["scale"] * (coded["gate"] if config.coefficients == "literal" else 1.0)
        offset = coded.get("offset", np.zeros((config.horizon, config.experts)))
        known = None
        held = inpainted(prefix, config)
        if held is not None:  # the committed actions as coefficients: what the experts would have predicted
            residual = self._normalizer.normalise(held) - coded["reference"][: len(held)]
            known = (residual @ basis + offset[: len(held)]) / np.maximum(gain, _LEAST_GAIN) * mask
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(config.horizon, config.experts)) * config.noise * mask
        z = sample(lambda x, embedding: experts.predict(x * mask, embedding), noise, config, rng, known)
        return coded["reference"] + (z * gain - offset) * mask @ basis.T
