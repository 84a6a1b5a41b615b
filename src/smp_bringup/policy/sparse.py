"""The diffusion policy whose denoiser's hidden layers are a sparse mixture, deployed."""

from dataclasses import dataclass, field

import numpy as np

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.select import Selection
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


@dataclass(frozen=True)
class SparseConfig:
    """Feed-forward experts in each hidden layer of the denoiser (as in Sparse Diffusion Policy, arXiv 2407.01531)."""

    experts: int = field(default=8, metadata=spec(ge=1, le=64))
    """K."""
    active: int = field(default=2, metadata=spec(ge=1, le=64))
    """So many experts are weighed in for an observation."""


@dataclass(frozen=True)
class SparsePolicyConfig(PolicyConfig):
    """A sparse mixture."""

    sparse: SparseConfig = SparseConfig()

    @property
    def experts(self) -> int:
        """K."""
        return self.sparse.experts

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.denoiser.kind != "mlp":
            raise ConfigError(f"a sparse mixture has layers of an mlp, not of a {self.denoiser.kind}")
        if self.sparse.active > self.sparse.experts:
            raise ConfigError(f"active {self.sparse.active} of {self.sparse.experts} experts: it must not exceed them")


class SparsePolicy(DeployedPolicy):
    """Diffusion over the whole action chunk by the experts that weigh most."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk, and which experts of the mixture were weighed in."""
        watch, steps = Stopwatch(), self.config.denoise_steps
        coded = self.encode(observation, prefix)
        weight = coded["gate"]
        watch.lap("encode")
        active = tuple(int(i) for i in np.argsort(-weight, kind="stable") if weight[i] > 0)
        watch.lap("route")
        action = self.denoise_action(Denoising(coded, weight, whole=0), observation, prefix, seed)
        watch.lap("denoise")
        return self.answer(
            observation, action, weight, Selection(weight, active), np.where(weight > 0, steps, 0), watch, prefix
        )
