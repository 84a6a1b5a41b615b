"""What SMP's trainable networks have in common: basis, gate and experts, and the losses of gate and basis."""

from abc import ABC
from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn

from smp_bringup.policy.basis import Basis, principal_components
from smp_bringup.policy.batch import Batch
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.policy.router import Concentration, StickyPrior, align_loss, mean_gate
from smp_bringup.policy.smp_config import GateConfig, SmpPolicyConfig

_RUNNING = 0.01
"""Share of the newest batch in a running statistic."""
_RECON_SIGMA = 0.3
"""sigma_a of L_recon, in units of the residual's RMS."""
_LEAST_COVER = 0.4
"""Smallest share of the mass that a random active set covers."""


class AbstractSmpNet(AbstractNetwork, ABC):
    """Every expert denoises one coefficient over the horizon; the basis turns coefficients into actions."""

    config: SmpPolicyConfig

    def add_skills(self, condition: int, columns: int) -> None:
        """Build basis, gate and experts.

        Args:
            condition: length of what an expert is told.
            columns: N of the noisy samples (T, N) that an expert sees.

        Raises:
            ConfigError: there are more experts than joints.
        """
        config, smp = self.config, self.config.smp
        feature, k = config.encoder.feature, smp.experts
        config.require_joints(self.dof)
        hidden = (smp.basis_width or feature,) * smp.basis_depth
        self.basis = Basis(smp.basis, feature, hidden, self.dof, k)
        width = smp.gate.width or feature
        self.router = Concentration(feature, width, k, smp.gate.floor)
        self.posterior = Concentration(feature + config.horizon * self.dof, width, k, smp.gate.floor)
        self.prior = StickyPrior(smp.gate, k)
        self.experts = build_bank(k, condition, config.horizon, (columns, 1), config.denoiser)
        self.residual_rms: Tensor
        self.register_buffer("residual_rms", torch.ones(()))

    @property
    def learns_skills(self) -> bool:
        """Whether experts and basis are being trained; their running statistics stand still otherwise."""
        return self.training and any(p.requires_grad for p in self.experts.parameters())

    def gate_losses(self, feature: Tensor, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the mean gates (2B, K) of posterior and router, and L_gate and L_align."""
        weight = self.config.smp.loss
        posterior = self.posterior(torch.cat([feature, batch.action.flatten(1)], dim=1))
        mean, router = mean_gate(posterior), self.router(feature)
        sticky, usage = self.prior.losses(posterior, mean, batch.begins)
        losses = {
            "gate": weight.gate * (sticky + usage / self.frames),
            "align": weight.align * align_loss(posterior, router),
        }
        return mean, mean_gate(router), losses

    def recon_loss(self, residual: Tensor, basis: Tensor, mean: Tensor) -> dict[str, Tensor]:
        """Return L_recon with z_rec = B^T r / (g + eps): moves the basis, and makes the gate pay for what is left out.

        The residual is measured in units of its running RMS, which keeps the trade between reconstruction and the
        gate's prior the same whatever the residual's size. A basis of principal components is not learned.

        Args:
            residual: r (2B, T, J), what the experts are to carry.
            basis: B (2B, J, K), with its gradient.
            mean: g (2B, K), the posterior's mean gate.
        """
        smp = self.config.smp
        if smp.basis == "pca":
            return {}
        if self.learns_skills:
            self.residual_rms.lerp_(over_processes(residual.detach().square().mean()).sqrt(), _RUNNING)
        r = residual / self.residual_rms
        kept = (mean / (mean + smp.gate.epsilon)).unsqueeze(1) * (r @ basis)
        error = r - kept @ basis.transpose(1, 2)
        return {"recon": smp.loss.reconstruction * error.square().mean() / (2 * _RECON_SIGMA**2)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`; returns (B, T) of an expert that sees the whole sample and knows who is active."""
        return self.experts.one(expert, torch.cat([feature, mask, embedding], dim=1), x).squeeze(2)

    def columns_of(self, experts: Tensor, feature: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AbstractNetwork`: each sees the whole sample, and who is active."""
        run = self.experts.gathered(experts)

        def columns(x: Tensor, embedding: Tensor) -> Tensor:
            condition = torch.cat([feature, mask, embedding], dim=1)
            return side_by_side(run(*(v.expand(len(experts), *v.shape) for v in (condition, x))))

        return columns

    def denoising_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts]

    def denoise_active(self, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Return the experts' predictions (B, T, K) for noisy samples (B, T, N), zero where inactive.

        Each expert computes only the samples in which it is active by `mask` (B, K).
        """
        condition = torch.cat([feature, mask, embedding], dim=1)
        rows = [column.nonzero().squeeze(1) for column in mask.T]
        every = zip(rows, self.experts.each([condition[r] for r in rows], [x[r] for r in rows]), strict=True)
        return torch.stack([x.new_zeros(x.shape[:2]).index_copy(0, r, out.squeeze(2)) for r, out in every], dim=2)

    def prepare(self, actions: Tensor) -> None:
        """Take a basis of principal components from the demonstrations."""
        if self.config.smp.basis == "pca":
            self.basis.start.data.copy_(principal_components(actions, self.config.experts))

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts]

    def training_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.posterior, self.prior]

    def router_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.router]


def side_by_side(each: Tensor) -> Tensor:
    """Return the columns (B, T, k) of experts that gave (k, B, T, 1)."""
    return each.squeeze(3).permute(1, 2, 0)


def active_sets(posterior: Tensor, router: Tensor, cover: Tensor, gate: GateConfig) -> Tensor:
    """Return the experts (2B, K) that are active in each sample, drawn by the gate that `gate.train_by` names."""
    return random_active(posterior if gate.train_by == "posterior" else router, cover, gate)


def random_active(mean: Tensor, cover: Tensor, gate: GateConfig) -> Tensor:
    """Return active sets (2B, K): the prefix of the sorted masses that covers a random share of them, or all experts.

    `cover` (2B,) is uniform in [0, 1): below `gate.dense` all experts are active, above it says how
    large the prefix is.
    """
    share = mean.detach().square()
    share = share / share.sum(1, keepdim=True)
    order = share.argsort(1, descending=True)
    before = share.gather(1, order).cumsum(1) - share.gather(1, order)
    target = cover.unsqueeze(1) * (1 - _LEAST_COVER) + _LEAST_COVER
    prefix = torch.zeros_like(share).scatter(1, order, (before < target).float())
    return torch.where(cover.unsqueeze(1) < gate.dense, torch.ones_like(prefix), prefix)


def over_processes(value: Tensor) -> Tensor:
    """Return the mean of a value over all training processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
        value = value / distributed.get_world_size()
    return value
