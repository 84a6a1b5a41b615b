"""SMP beside a shared expert: its trainable network and objective (docs/adr/0005)."""

import torch
from torch import Tensor, nn

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import distance
from smp_bringup.policy.experts import AbstractBank, build_bank
from smp_bringup.policy.mixture import BALANCE, SparseHead
from smp_bringup.policy.networks import Orthonormaliser
from smp_bringup.policy.router import mean_gate
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_net import AbstractSmpNet, active_sets

_SHARED_ACTIVE = 2
"""So many experts in each layer of a mixed shared expert are weighed in."""


class SharedSmpNet(AbstractSmpNet):
    """All experts see the whole noisy action and who is active; the shared one, the last, denoises all of it."""

    def __init__(self, config: SmpPolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature = config.encoder.feature
        self.shared = self._build_shared(feature, dof)
        self.add_skills(condition=feature + config.experts + EMBEDDING, columns=dof)

    def _build_shared(self, feature: int, dof: int) -> AbstractBank | SparseHead:
        shared, horizon = self.config.smp.shared, self.config.horizon
        assert shared is not None
        if shared.experts > 1:
            sizes = (feature, EMBEDDING)
            return SparseHead(shared.experts, _SHARED_ACTIVE, sizes, horizon, (dof, dof), shared.denoiser)
        return build_bank(1, feature + EMBEDDING, horizon, (dof, dof), shared.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`: the router's mean gate and the basis."""
        return {"gate": mean_gate(self.router(feature)), "basis": orthonormaliser(self.basis(feature))}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`; returns (B, T), or of the shared expert, the last, (B, T, J)."""
        if expert == self.config.experts:
            return self.denoise_shared(feature, x, embedding)
        return super().denoise(expert, feature, x, mask, embedding)

    def denoise_shared(self, feature: Tensor, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the shared expert's prediction (B, T, J) for noisy actions (B, T, J)."""
        if isinstance(self.shared, SparseHead):
            out: Tensor = self.shared(feature, embedding, x)
            return out
        return self.shared.one(0, torch.cat([feature, embedding], dim=1), x)

    def denoising_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts, self.shared]

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """Return the losses: the shared expert and the active ones, each along its column, denoise the action together.

        All see the same noisy action, so that they are of one mind where demonstrations part ways. Each is trained by
        the error of the sum: trained on what the shared one leaves, the others only learn its errors by heart.
        """
        smp, state = self.config.smp, batch.inputs["state"]
        mean, router, losses = self.gate_losses(feature, batch)
        basis = orthonormalise(self.basis(feature))
        mask = active_sets(mean, router, batch.cover, smp.gate)
        noisy, embedding, target = noiser(batch.action, batch)
        added = self.denoise_active(feature, noisy, mask, embedding) @ basis.detach().transpose(1, 2)
        predicted = self.denoise_shared(feature, noisy, embedding) + added
        losses["denoise"] = smp.loss.coefficient * distance(predicted, target, self.config.distance).mean()
        losses |= self.recon_loss(batch.action - state[:, -1:], basis, mean)
        if isinstance(self.shared, SparseHead):
            losses["balance"] = BALANCE * self.shared.imbalance(feature)
        return losses

    def idle_parameters(self) -> int:
        """See `AbstractNetwork`: those of the shared expert's mixtures that are not weighed in."""
        return self.shared.idle_parameters() if isinstance(self.shared, SparseHead) else 0
