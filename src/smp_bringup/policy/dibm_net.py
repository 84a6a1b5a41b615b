"""Di-BM's trainable network: one energy per expert, one denoiser for all, and their losses (arXiv 2601.12397)."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.dibm import DibmPolicyConfig
from smp_bringup.policy.distance import distance
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser
from smp_bringup.policy.shared_banks import build_shared_bank

_LEAST_DENSITY = 1e-12
"""Added where samples are drawn: as many can be drawn as are asked for, however sharp the density is."""


class DibmNet(AbstractNetwork):
    """A gate gives each expert the log of an unnormalised density of observations, log p(o|e) + log Z_e."""

    config: DibmPolicyConfig

    def __init__(self, config: DibmPolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature, k = config.encoder.feature, config.experts
        hidden = [m for a, b in pairwise((feature, *config.dibm.gate)) for m in (nn.Linear(a, b), nn.ReLU())]
        self.energy = nn.Sequential(*hidden, nn.Linear(config.dibm.gate[-1], k))
        self.experts = build_shared_bank(k, feature + EMBEDDING, config.horizon, (dof, dof), config.denoiser)
        self.log_z: Tensor
        self.register_buffer("log_z", torch.zeros(k))

    def logits(self, feature: Tensor) -> Tensor:
        """Return log p(o|e) + log Z_e (B, K)."""
        out: Tensor = self.energy(feature)
        return out

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`; the gate is p(e|o) with Z_e summed over the data set."""
        return {"gate": torch.softmax(self.logits(feature) - self.log_z, dim=1)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        return self.experts.one(expert, torch.cat([feature, embedding], dim=1), x)

    def denoising_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts]

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """Return the expert and gate losses for features (2B, F).

        p(o|e) is a softmax over the batch, from which each expert draws the samples that train it.
        All experts are measured at the same diffusion step and noise, so that the gate compares
        experts and not luck.
        """
        noisy, embedding, target = noiser(batch.action, batch)
        condition = torch.cat([feature, embedding], dim=1)
        log_density = torch.log_softmax(self.logits(feature).T, dim=1)  # (K, 2B) log p(o|e)
        dibm, kind = self.config.dibm, self.config.distance
        with torch.no_grad():
            every = self.experts(condition.expand(dibm.experts, -1, -1), noisy.expand(dibm.experts, -1, -1, -1))
            error = distance(every, target.expand_as(every), kind).mean((2, 3))  # (K, 2B)
            count = max(1, round(len(feature) * dibm.draw))
            drawn = torch.multinomial(log_density.exp() + _LEAST_DENSITY, count)  # (K, n), none twice
        own = self.experts(condition[drawn], noisy[drawn])
        return {
            "denoise": distance(own, target[drawn], kind).mean(),
            "energy": dibm.energy * gate_loss(log_density, error, dibm.beta),
        }

    @torch.no_grad()
    def conclude(self, features: Callable[[], Tensor]) -> None:
        """Sum Z_e over the whole data set: p(e|o) is ready when the checkpoint is loaded."""
        self.log_z.copy_(torch.logsumexp(self.logits(features()), dim=0))

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts.own]


def gate_loss(log_density: Tensor, error: Tensor, beta: float) -> Tensor:
    """Return the mean over samples and experts of p(o|e) (l_e - beta log p(e|o) + beta log p(o|e)).

    The expectation over p(o|e) is the sum over samples; the authors' code takes the mean, so that gamma means what it
    does there.

    Args:
        log_density: (K, B) log p(o|e) over the batch.
        error: (K, B) denoising error l_e of every expert, held fixed.
        beta: entropy weight; log p(e|o) (equal p(e)) is held fixed too.
    """
    responsibility = torch.log_softmax(log_density.detach(), dim=0)
    inside = error - beta * responsibility + beta * log_density
    return (log_density.exp() * inside).mean()
