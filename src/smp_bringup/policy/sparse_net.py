"""The trainable network of the sparse mixture."""

import torch
from torch import Tensor, nn

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import distance
from smp_bringup.policy.mixture import BALANCE, SparseMlp, SparseRouter
from torch.distributions import Dirichlet, kl_divergence
from smp_bringup.policy.router import Concentration, mean_gate
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser
from smp_bringup.policy.sparse import SparsePolicyConfig


class SparseNet(AbstractNetwork):
    """Encoder and one denoiser whose hidden layers are mixtures, the heaviest of which are weighed in."""

    def __init__(self, config: SparsePolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature, sparse = config.encoder.feature, config.sparse
        if sparse.gate is None:
            self.router = SparseRouter(feature, sparse.experts, sparse.active)
        elif sparse.soft:
            self.router = SoftRouter(feature, sparse.gate.width or feature, sparse.experts)
        else:
            self.router = Concentration(feature, sparse.gate.width or feature, sparse.experts, sparse.gate.floor)
        size = feature + EMBEDDING
        self.denoiser = SparseMlp(sparse.experts, size, config.horizon, (dof, dof), config.denoiser)

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        if self.config.sparse.gate is not None:
            return {"gate": mean_gate(self.router(feature))}
        return {"gate": self.router.weigh(feature)}

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`."""
        active = getattr(self.router, "active", 0)
        out: Tensor = self.denoiser(torch.cat([feature, embedding], dim=1), x, mask, active)
        return out

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        noisy, embedding, target = noiser(batch.action, batch)
        if self.config.sparse.gate is not None:
            return self.sticky_losses(feature, batch, noisy, embedding, target)
        weight = self.router.weigh(feature)
        predicted = self.denoise(0, feature, noisy, weight, embedding)
        balance = BALANCE * self.router.imbalance(feature, weight)
        return {"denoise": distance(predicted, target, self.config.distance).mean(), "balance": balance}

    def sticky_losses(self, feature, batch, noisy, embedding, target):
        sparse, gate = self.config.sparse, self.config.sparse.gate
        concentration = self.router(feature)
        mean = mean_gate(concentration)
        share = mean.detach().square()
        share = share / share.sum(1, keepdim=True)
        order = share.argsort(1, descending=True)
        before = share.gather(1, order).cumsum(1) - share.gather(1, order)
        target_share = (batch.cover * (1 - sparse.least) + sparse.least).unsqueeze(1)
        rank = torch.arange(share.shape[1])
        mask = torch.zeros_like(share).scatter(1, order, ((before < target_share) & (rank < sparse.active)).float())
        weight = mean * mask
        weight = weight / weight.sum(1, keepdim=True)
        predicted = self.denoise(0, feature, noisy, weight, embedding)
        half = len(mean) // 2
        if sparse.soft:
            log = mean.clamp_min(1e-6).log()
            sticky = (mean[half:] * (log[half:] - log[:half].detach())).sum(1).mean()
        else:
            base = gate.kappa * mean[:half].detach() + gate.alpha0 / sparse.experts + 1e-3
            sticky = kl_divergence(Dirichlet(concentration[half:]), Dirichlet(base)).mean()
        usage = mean.mean(0)
        spread = (usage * (usage * sparse.experts).clamp_min(1e-6).log()).sum()
        entropy = -(mean * mean.clamp_min(1e-6).log()).sum(1).mean()
        return {"denoise": distance(predicted, target, self.config.distance).mean(),
                "sticky": sparse.sticky * sticky, "spread": sparse.spread * spread, "decide": sparse.decide * entropy}

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.denoiser.layers]


class SoftRouter(nn.Module):
    def __init__(self, size, hidden, experts):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, experts))

    def forward(self, x):
        return torch.softmax(self.net(x), dim=1)
