"""Di-BM's trainable network: one energy and one denoiser per expert (arXiv 2601.12397)."""

import torch
from torch import Tensor, nn

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser


class DibmNet(AbstractNetwork):
    """A gate gives each expert the log of an unnormalised density of observations, log p(o|e) + log Z_e."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature, k = config.encoder.feature, config.experts
        self.energy = nn.Sequential(nn.Linear(feature, feature), nn.GELU(), nn.Linear(feature, k))
        self.experts = build_bank(k, feature + EMBEDDING, config.horizon, (dof, dof), config.denoiser)
        self.log_z: Tensor
        self.register_buffer("log_z", torch.zeros(k))

    def logits(self, feature: Tensor) -> Tensor:
        """Return log p(o|e) + log Z_e (B, K); the gate does not move the encoder."""
        out: Tensor = self.energy(feature.detach())
        return out

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`; the gate is p(e|o) with Z_e summed over the data set."""
        return {"gate": torch.softmax(self.logits(feature) - self.log_z, dim=1)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        return self.experts.one(expert, torch.cat([feature, embedding], dim=1), x)

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts]

    def training_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return []
