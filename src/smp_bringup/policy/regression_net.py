"""The trainable network of the regression."""

from torch import Tensor

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.distance import distance
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser
from smp_bringup.policy.regression import RegressionPolicyConfig


class RegressionNet(AbstractNetwork):
    """Encoder and a head that says the whole chunk."""

    def __init__(self, config: RegressionPolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        self.head = build_bank(1, config.encoder.feature, config.horizon, (0, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`: the normalised actions (B, T, J)."""
        return {"action": self.head.one(0, feature, feature.new_zeros(len(feature), self.config.horizon, 0))}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Raise NotImplementedError: nothing is denoised."""
        raise NotImplementedError("a regression has no denoiser")

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        action = self.heads(feature, batch.inputs["state"], lambda matrix: matrix)["action"]
        return {"regression": distance(action, batch.action, self.config.distance).mean()}
