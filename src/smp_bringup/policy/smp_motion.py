"""SMP whose experts carry the motion from the present joint state, completed by a mean head."""

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.select import choose
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_experts import calls, coefficients
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class MotionSmpPolicy(DeployedPolicy):
    """a = q + B_A z_A + (I - B_A B_A^T) (mu(s) - q), q the present joint state and mu(s) the mean head's action."""

    config: SmpPolicyConfig

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; only experts in `GateReport.active` were run."""
        watch = Stopwatch()
        coded = self.encode(observation, prefix)
        gate, basis, mean, offset = coded["gate"], coded["basis"], coded["reference"], coded["offset"]
        watch.lap("encode")
        chosen = choose(gate, self.config.smp.gate)
        watch.lap("route")
        held = self.inpainted(observation, prefix)
        known = None if held is None else (held - mean[: len(held)]) @ basis + offset[: len(held)]
        z = coefficients(self.engine, self.config, coded, chosen, seed, known)
        watch.lap("denoise")
        action = mean + (z - offset) * chosen.mask @ basis.T  # offset: the mean head's own coefficients, B^T (mu - q)
        return self.answer(observation, action, gate, chosen, calls(self.config, chosen), watch, prefix)
