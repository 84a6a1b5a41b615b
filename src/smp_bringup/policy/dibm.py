"""Di-BM deployed: encode, take the most responsible expert, denoise with it alone."""

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
class DibmConfig:
    """Experts and their gate (arXiv 2601.12397)."""

    experts: int = field(default=5, metadata=spec(ge=1, le=64))
    """K."""
    beta: float = field(default=0.01, metadata=spec(ge=0))
    """Entropy weight of the gate."""
    energy: float = field(default=100.0, metadata=spec(ge=0))
    """gamma: weight of the gate's loss."""
    draw: float = field(default=0.125, metadata=spec(gt=0, le=1))
    """Share of a batch that each expert draws to train on, no sample twice (the paper: 4 of 32)."""
    gate: tuple[int, ...] = (256,)
    """Units of the gate's hidden layers (the paper's code: 1024, 512, 256)."""

    def __post_init__(self) -> None:
        if not self.gate or min(self.gate) < 1:
            raise ConfigError(f"gate must be one positive number or more, got {list(self.gate)}")


@dataclass(frozen=True)
class DibmPolicyConfig(PolicyConfig):
    """A Di-BM policy."""

    dibm: DibmConfig = DibmConfig()

    @property
    def experts(self) -> int:
        """K."""
        return self.dibm.experts

    @property
    def denoisers(self) -> int:
        """One an expert."""
        return self.experts


class DibmPolicy(DeployedPolicy):
    """Diverse behaviours by energy-based experts (arXiv 2601.12397); the gate is p(e|o)."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk of the most responsible expert, and the responsibilities."""
        watch, config = Stopwatch(), self.config
        coded = self.encode(observation, prefix)
        weight = coded["gate"]
        watch.lap("encode")
        expert = int(np.argmax(weight))
        mask = np.zeros(config.experts)
        mask[expert] = 1.0
        watch.lap("route")
        action = self.denoise_action(Denoising(coded, mask, whole=expert), observation, prefix, seed)
        watch.lap("denoise")
        calls = (mask * config.denoise_steps).astype(np.int64)
        return self.answer(observation, action, weight, Selection(weight, (expert,)), calls, watch, prefix)
