"""Di-BM deployed: encode, take the most responsible expert, denoise with it alone."""

import numpy as np

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class DibmPolicy(DeployedPolicy):
    """Diverse behaviours by energy-based experts (arXiv 2601.12397); the gate is p(e|o)."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk of the most responsible expert, and the responsibilities."""
        watch, config = Stopwatch(), self.config
        coded = self.encode(observation, prefix)
        weight = coded["gate"]
        expert = int(np.argmax(weight))
        mask = np.zeros(config.experts)
        mask[expert] = 1.0
        watch.lap("encode")
        action = self.denoise_action(self.denoiser(expert, coded["feature"], mask), prefix, seed)
        watch.lap("denoise")
        position = self._normalizer.denormalise(action)
        watch.lap("decode")
        calls = (mask * config.denoise_steps).astype(np.int64)
        report = GateReport(
            observation.stamp_ns, weight, weight, (expert,), float(weight[expert]), calls, watch.stage_ms
        )
        return ActionChunk(observation.stamp_ns, self._period_s, position), report
