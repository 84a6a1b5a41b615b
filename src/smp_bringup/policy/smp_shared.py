"""SMP beside a shared expert (docs/adr/0005): all denoise the same noisy action together."""

from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.select import choose
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_experts import calls
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class SharedSmpPolicy(DeployedPolicy):
    """a = a_0(s, x) + B_A(s) z_A(s, x): each active expert moves the action x along its column alone."""

    config: SmpPolicyConfig

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk and the gate; beside the shared expert only those in `GateReport.active` were run."""
        watch = Stopwatch()
        coded = self.encode(observation, prefix)
        gate = coded["gate"]
        watch.lap("encode")
        chosen = choose(gate, self.config.smp.gate)
        watch.lap("route")
        task = Denoising(coded, chosen.mask, columns=chosen.active, whole=self.config.experts)
        action = self.denoise_action(task, observation, prefix, seed)
        watch.lap("denoise")
        return self.answer(observation, action, gate, chosen, calls(self.config, chosen), watch, prefix)
