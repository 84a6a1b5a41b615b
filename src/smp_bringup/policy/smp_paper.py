"""SMP as published (arXiv 2601.21251): experts decode through the basis alone."""

import numpy as np

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.select import choose
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_experts import calls, coefficients
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

_LEAST_GAIN = 1e-4
"""Coefficients of committed actions are divided by no less than this."""


class PaperSmpPolicy(DeployedPolicy):
    """Algorithm 2: a = B(s) (g * z)."""

    config: SmpPolicyConfig

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; only experts in `GateReport.active` were run."""
        watch = Stopwatch()
        coded = self.encode(observation, prefix)
        gate, basis = coded["gate"], coded["basis"]
        watch.lap("encode")
        chosen = choose(gate, self.config.smp.gate)
        watch.lap("route")
        known = self._committed(self.inpainted(observation, prefix), gate * coded["scale"], basis)
        z = coded["scale"] * coefficients(self.engine, self.config, coded, chosen, seed, known)
        watch.lap("denoise")
        action = (gate * z) @ basis.T
        return self.answer(observation, action, gate, chosen, calls(self.config, chosen), watch, prefix)

    def _committed(self, held: FloatArray | None, gain: FloatArray, basis: FloatArray) -> FloatArray | None:
        """Return what the experts would have to predict (d, K) for the committed actions (d, J), normalised."""
        return None if held is None else held @ basis / np.maximum(gain, _LEAST_GAIN)
