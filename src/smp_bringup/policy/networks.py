"""What every trainable network offers to training, to the engines and to the export; and the plain ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.encoder import Encoder
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.mixture import SparseMlp, SparseRouter

Orthonormaliser = Callable[[Tensor], Tensor]


class AbstractNetwork(nn.Module, ABC):
    """An encoder, and denoisers that can be called one by one."""

    config: PolicyConfig
    dof: int
    encoder: Encoder
    foresight: nn.Module

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        self.encoder = Encoder(config, dof, objects)
        ahead = len(config.foresight_s) * dof
        self.foresight = nn.Linear(config.encoder.feature, ahead) if ahead else nn.Identity()

    def code(
        self, inputs: Mapping[str, Tensor], orthonormaliser: Orthonormaliser = orthonormalise
    ) -> dict[str, Tensor]:
        """Return everything that deployment derives from an observation once; "feature" (B, F) is always there."""
        feature = self.encoder(inputs)
        return {"feature": feature, **self.heads(feature, inputs["state"], orthonormaliser)}

    @abstractmethod
    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """Return what `code` derives from the feature (B, F) and the normalised joint state (B, To, J)."""

    @abstractmethod
    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Return one denoiser's prediction for samples (B, T, N), gate weights (B, K) and step embeddings (B, 32)."""

    @abstractmethod
    def gated_parts(self) -> list[nn.Module]:
        """Return the modules of which only the active experts' share is run."""

    @abstractmethod
    def training_parts(self) -> list[nn.Module]:
        """Return the modules that deployment does without."""

    def idle_parameters(self) -> int:
        """Return how many of the deployed parameters, beside those of inactive experts, one inference does not read."""
        return 0

    def parameter_counts(self) -> tuple[int, int]:
        """Return how many parameters are deployed, and how many of them belong to one expert."""

        def size(modules: list[nn.Module]) -> int:
            return sum(p.numel() for module in modules for p in module.parameters())

        deployed = sum(p.numel() for p in self.parameters()) - size([self.foresight, *self.training_parts()])
        return deployed, size(self.gated_parts()) // self.config.experts


class DiffusionNet(AbstractNetwork):
    """Encoder and one denoiser of the whole chunk."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        size = config.encoder.feature + EMBEDDING
        self.denoiser = build_bank(1, size, config.horizon, (dof, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        return {}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        return self.denoiser.one(0, torch.cat([feature, embedding], dim=1), x)

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return []

    def training_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return []


class SparseNet(AbstractNetwork):
    """Encoder and one denoiser whose hidden layers are mixtures, top-k of which are weighed in per observation."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature = config.encoder.feature
        self.router = SparseRouter(feature, config.experts, config.gate.top_k or 2)
        size = feature + EMBEDDING
        self.denoiser = SparseMlp(config.experts, size, config.horizon, (dof, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        return {"gate": self.router.weigh(feature)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        out: Tensor = self.denoiser(torch.cat([feature, embedding], dim=1), x, mask, self.router.active)
        return out

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.denoiser.layers]

    def training_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return []
