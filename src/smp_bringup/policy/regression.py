"""Regression of the whole chunk, deployed: what diffusion and experts have to beat."""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from smp_bringup.errors import ConfigError
from smp_bringup.policy.base import DeployedPolicy, Stopwatch
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.select import Selection
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

_OF_DIFFUSION = ("diffusion_steps", "denoise_steps", "sampler", "prediction", "noise")


@dataclass(frozen=True)
class RegressionPolicyConfig(PolicyConfig):
    """Encoder and head; `denoiser` is the head's size."""

    DEPLOYED: ClassVar[dict[str, str]] = {"replan_s": "replan_s"}

    @property
    def denoisers(self) -> int:
        """Nothing is denoised."""
        return 0

    def fewer_steps(self) -> PolicyConfig:
        """As of PolicyConfig: there is no sampler."""
        return self

    def __post_init__(self) -> None:
        super().__post_init__()
        defaults = {field.name: field.default for field in fields(self)}
        for name in _OF_DIFFUSION:
            if getattr(self, name) != defaults[name]:
                raise ConfigError(f"a regression denoises nothing: leave out '{name}'")
        if self.denoiser.kind != "mlp":
            raise ConfigError(f"the head of a regression is an mlp, not a {self.denoiser.kind}: it has no noisy chunk")


class RegressionPolicy(DeployedPolicy):
    """One pass of encoder and head; its gate is that of a single expert that never denoises."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk, which begins with the committed actions, and the gate of one expert."""
        watch, weight = Stopwatch(), np.ones(1)
        action = self.encode(observation, prefix)["action"]
        watch.lap("encode")
        known = self.inpainted(observation, prefix)
        if known is not None:
            action = np.concatenate([known, action[len(known) :]])
        watch.lap("denoise")
        chosen, calls = Selection(weight, (0,)), np.zeros(1, dtype=np.int64)
        return self.answer(observation, action, weight, chosen, calls, watch, prefix)
