"""Diffusion policies deployed: the plain one, and the one whose hidden layers are a sparse mixture."""

import numpy as np

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class DiffusionPolicy(DeployedPolicy):
    """Diffusion over the whole action chunk (arXiv 2303.04137); the gate of the plain one is a single expert."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk, and which experts of the mixture were weighed in."""
        watch, config = Stopwatch(), self.config
        coded = self.encode(observation, prefix)
        weight = coded.get("gate", np.ones(1))
        watch.lap("encode")
        action = self.denoise_action(self.denoiser(0, coded["feature"], weight), prefix, seed)
        watch.lap("denoise")
        position = self._normalizer.denormalise(action)
        watch.lap("decode")
        active = tuple(int(i) for i in np.argsort(-weight, kind="stable") if weight[i] > 0)
        calls = np.where(weight > 0, config.denoise_steps, 0)
        report = GateReport(observation.stamp_ns, weight, weight, active, 1.0, calls, watch.stage_ms)
        return ActionChunk(observation.stamp_ns, self._period_s, position), report
