"""One batch of training: samples and all the randomness that the losses need, so that they are pure functions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import alphas_cumprod, step_embedding


@dataclass(frozen=True)
class Batch:
    """Pairs of samples one action period apart, stacked: the first half precedes the second."""

    inputs: dict[str, Tensor]
    """What the encoder takes, (2B, To, ...) each."""
    shifts: dict[str, Tensor]
    """Per camera (2B, 2)."""
    action: Tensor
    """(2B, T, J), normalised."""
    foresight: Tensor
    """(2B, F, J), normalised."""
    begins: Tensor
    """(2B,) whether a sample is the first observation of its episode."""
    step: Tensor
    """(2B,) diffusion step."""
    noise: Tensor
    """(2B, T, N), N at least as large as any sample that is noised."""
    cover: Tensor
    """(2B,) uniform in [0, 1): which random share of the gate's mass is active."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        values: dict[str, Any] = {
            name: {k: v.to(device) for k, v in value.items()} if isinstance(value, dict) else value.to(device)
            for name, value in vars(self).items()
        }
        return Batch(**values)


class Noiser:
    """Noises clean samples at the steps of a batch."""

    def __init__(self, config: PolicyConfig) -> None:
        self._prediction, steps = config.prediction, config.diffusion_steps
        self._bar = torch.tensor(alphas_cumprod(steps), dtype=torch.float32)
        rows = [step_embedding(i, steps) for i in range(steps)]
        self._embedding = torch.tensor(np.array(rows), dtype=torch.float32)

    def __call__(self, clean: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy samples like `clean` (B, T, N), step embeddings (B, 32), and what is to be predicted."""
        bar = self._bar.to(clean.device)[batch.step].view(-1, 1, 1)
        noise = batch.noise[:, :, : clean.shape[2]]
        noisy = bar.sqrt() * clean + (1 - bar).sqrt() * noise
        target = clean if self._prediction == "x0" else noise
        return noisy, self._embedding.to(clean.device)[batch.step], target
