"""What every trainable network offers to training, to the engines and to the export."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.encoder import Encoder

Orthonormaliser = Callable[[Tensor], Tensor]


class AbstractNetwork(nn.Module, ABC):
    """An encoder, denoisers that can be called one by one, and the losses that train them."""

    config: PolicyConfig
    dof: int
    encoder: Encoder
    foresight: nn.Module
    frames: int = 1
    """How many frames it is trained on: what counts once a data set is shared out over them."""

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

    def denoiser_of(self, expert: int, feature: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return `denoise` for one observation: what no step changes, as the choice of weights, is done here once."""
        return lambda x, embedding: self.denoise(expert, feature, x, mask, embedding)

    def columns_of(self, experts: Tensor, feature: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what gives the columns (B, T, k) of some experts (k,) at a step; only of policies that split."""
        raise NotImplementedError

    def denoising_parts(self) -> list[nn.Module]:
        """Return the modules that are read at every step of the sampler."""
        return []

    @abstractmethod
    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """Return the weighted losses by name, whose sum is minimised, for features (2B, F) of a batch."""

    def prepare(self, actions: Tensor) -> None:
        """Hear the normalised actions (N, J) of all demonstrations before the first step."""

    def conclude(self, features: Callable[[], Tensor]) -> None:
        """Take what the averaged weights must know of the features (N, F) of all frames after the last step."""

    def gated_parts(self) -> list[nn.Module]:
        """Return the modules of which only the active experts' share is run."""
        return []

    def training_parts(self) -> list[nn.Module]:
        """Return the modules that deployment does without."""
        return []

    def router_parts(self) -> list[nn.Module]:
        """Return the modules that composition trains alone; none where there is nothing to route."""
        return []

    def idle_parameters(self) -> int:
        """Return how many of the deployed parameters, beside those of inactive experts, one inference does not read."""
        return 0

    def parameter_counts(self) -> tuple[int, int]:
        """Return how many parameters are deployed, and how many of them belong to one expert."""

        def size(modules: list[nn.Module]) -> int:
            return sum(p.numel() for module in modules for p in module.parameters())

        deployed = sum(p.numel() for p in self.parameters()) - size([self.foresight, *self.training_parts()])
        return deployed, size(self.gated_parts()) // self.config.experts
