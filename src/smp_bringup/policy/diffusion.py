"""The plain diffusion policy deployed."""

import numpy as np

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.select import Selection
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class DiffusionPolicy(DeployedPolicy):
    """Diffusion over the whole action chunk (arXiv 2303.04137); its gate is that of a single expert."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk, and the gate of one expert that always runs."""
        watch, weight = Stopwatch(), np.ones(1)
        coded = self.encode(observation, prefix)
        watch.lap("encode")
        action = self.denoise_action(Denoising(coded, weight, whole=0), observation, prefix, seed)
        watch.lap("denoise")
        calls = np.array([self.config.denoise_steps])
        return self.answer(observation, action, weight, Selection(weight, (0,)), calls, watch, prefix)
