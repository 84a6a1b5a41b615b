"""SMP as published: its trainable network and objective (arXiv 2601.21251, equations 2 to 6)."""

from collections.abc import Callable

import torch
from torch import Tensor

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import distance
from smp_bringup.policy.networks import Orthonormaliser
from smp_bringup.policy.router import mean_gate
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_net import AbstractSmpNet, over_processes, side_by_side

_RUNNING = 0.01
_LEAST_SCALE = 1e-4


class PaperSmpNet(AbstractSmpNet):
    """Expert i denoises z_i alone, from the feature and its own noisy coefficient."""

    def __init__(self, config: SmpPolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        self.add_skills(condition=config.encoder.feature + EMBEDDING, columns=1)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(config.experts))
        """(K,) running RMS of each coefficient: denoisers see coefficients of unit size."""

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`: the router's mean gate, the basis, and the scale of the coefficients."""
        gate, basis = mean_gate(self.router(feature)), orthonormaliser(self.basis(feature))
        return {"gate": gate, "basis": basis, "scale": self.scale.expand(len(feature), -1)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`; returns (B, T) for noisy coefficients (B, T, K)."""
        own = x[:, :, expert : expert + 1]
        return self.experts.one(expert, torch.cat([feature, embedding], dim=1), own).squeeze(2)

    def columns_of(self, experts: Tensor, feature: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AbstractNetwork`: each sees its own column."""
        run = self.experts.gathered(experts)

        def columns(x: Tensor, embedding: Tensor) -> Tensor:
            condition = torch.cat([feature, embedding], dim=1).expand(len(experts), -1, -1)
            return side_by_side(run(condition, x[:, :, experts].permute(2, 0, 1).unsqueeze(3)))

        return columns

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """Return L_coeff + L_recon + L_gate + L_align; every expert learns from every sample."""
        mean, _, losses = self.gate_losses(feature, batch)
        basis = orthonormalise(self.basis(feature))
        z = self._rescaled(batch.action @ basis.detach() / (mean.detach().unsqueeze(1) + self.config.smp.gate.epsilon))
        noisy, embedding, target = noiser(z, batch)
        condition = torch.cat([feature, embedding], dim=1).expand(self.config.experts, -1, -1)
        predicted = self.experts(condition, noisy.permute(2, 0, 1).unsqueeze(3)).squeeze(3).permute(1, 2, 0)
        coeff = distance(predicted, target, self.config.distance).mean()
        losses["coeff"] = self.config.smp.loss.coefficient * coeff
        return losses | self.recon_loss(batch.action, basis, mean)

    def _rescaled(self, z: Tensor) -> Tensor:
        """Return coefficients (2B, T, K) in units of their running RMS."""
        if self.learns_skills:
            self.scale.lerp_(over_processes(z.square().mean((0, 1))).sqrt(), _RUNNING)
        return z / self.scale.clamp_min(_LEAST_SCALE)
