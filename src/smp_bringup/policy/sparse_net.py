"""The trainable network of the sparse mixture."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import distance
from smp_bringup.policy.mixture import BALANCE, SparseMlp, SparseRouter
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser
from smp_bringup.policy.sparse import SparsePolicyConfig


class SparseNet(AbstractNetwork):
    """Encoder and one denoiser whose hidden layers are mixtures, the heaviest of which are weighed in."""

    def __init__(self, config: SparsePolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature, sparse = config.encoder.feature, config.sparse
        self.router = SparseRouter(feature, sparse.experts, sparse.active)
        size = feature + EMBEDDING
        self.denoiser = SparseMlp(sparse.experts, size, config.horizon, (dof, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        return {"gate": self.router.weigh(feature)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        out: Tensor = self.denoiser(torch.cat([feature, embedding], dim=1), x, mask, self.router.active)
        return out

    def denoiser_of(self, expert: int, feature: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AbstractNetwork`: the heaviest experts' weights are gathered once."""
        run = self.denoiser.gathered(mask, self.router.active)
        return lambda x, embedding: run(torch.cat([feature, embedding], dim=1), x)

    def denoising_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.denoiser]

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        noisy, embedding, target = noiser(batch.action, batch)
        weight = self.router.weigh(feature)
        predicted = self.denoise(0, feature, noisy, weight, embedding)
        balance = BALANCE * self.router.imbalance(feature, weight)
        return {"denoise": distance(predicted, target, self.config.distance).mean(), "balance": balance}

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.denoiser.layers]
