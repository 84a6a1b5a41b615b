"""The trainable network of the plain diffusion policy (arXiv 2303.04137)."""

import torch
from torch import Tensor, nn

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import distance
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser


class DiffusionNet(AbstractNetwork):
    """Encoder and one denoiser of the whole chunk."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        size = config.encoder.feature + EMBEDDING
        self.denoiser = build_bank(1, size, config.horizon, (dof, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`: nothing beside the feature."""
        return {}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        return self.denoiser.one(0, torch.cat([feature, embedding], dim=1), x)

    def denoising_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.denoiser]

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        noisy, embedding, target = noiser(batch.action, batch)
        predicted = self.denoise(0, feature, noisy, feature.new_ones(len(feature), 1), embedding)
        return {"denoise": distance(predicted, target, self.config.distance).mean()}
