"""A residual MLP whose hidden layers are mixtures of feed-forward experts, and the router that weighs them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from smp_bringup.policy.config import DenoiserConfig
from smp_bringup.policy.experts import grouped_weight

BALANCE = 0.01
"""Weight of a router's imbalance in the losses (arXiv 2101.03961)."""


class SparseRouter(nn.Linear):
    """Chooses the experts that are weighed in for a feature; its own output is their logits."""

    def __init__(self, feature: int, experts: int, active: int) -> None:
        """Build the router of `experts`, of which the `active` heaviest are weighed in."""
        super().__init__(feature, experts)
        self.active = min(active, experts)

    def weigh(self, feature: Tensor) -> Tensor:
        """Return the weights (B, E) for features (B, F): those of the heaviest sum to one, the others are zero."""
        weight = torch.softmax(self(feature), dim=1)
        least = weight.topk(self.active, dim=1).values[:, -1:]
        kept = torch.where(weight >= least, weight, torch.zeros_like(weight))
        return kept / kept.sum(1, keepdim=True)

    def imbalance(self, feature: Tensor, weight: Tensor) -> Tensor:
        """Return 1 where all experts are used alike, up to E / active where some never are (arXiv 2101.03961)."""
        chosen, wanted = (weight > 0).float().mean(0), torch.softmax(self(feature), dim=1).mean(0)
        return self.out_features * (chosen * wanted).sum() / (weight > 0).sum(1).float().mean()


class SparseMlp(nn.Module):
    """A residual MLP whose hidden layers are mixtures of feed-forward experts (Sparse-DP style)."""

    def __init__(
        self, experts: int, condition: int, horizon: int, columns: tuple[int, int], config: DenoiserConfig
    ) -> None:
        """Build the network; `columns` are N and M."""
        super().__init__()
        size, width = condition + horizon * columns[0], config.width
        self.horizon = horizon
        self.first, self.last = nn.Linear(size, width), nn.Linear(width, horizon * columns[1])
        self.layers = nn.ParameterList(grouped_weight(experts, width, width) for _ in range(config.depth))

    def forward(self, condition: Tensor, x: Tensor, weight: Tensor, active: int) -> Tensor:
        """Return (B, T, M) for (B, C), (B, T, N) and the routing weights (B, E), zero where an expert is off.

        For a batch of one, as deployed, only the weights of the `active` heaviest experts are read.
        """
        return self.gathered(weight, active)(condition, x)

    def gathered(self, weight: Tensor, active: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return `forward` for the routing weights (B, E); of a batch of one, the experts' weights are read here."""
        layers = list(self.layers)
        if len(weight) == 1 and active < weight.shape[1]:
            heaviest = weight[0].topk(active).indices
            weight, layers = weight[:, heaviest], [layer[heaviest] for layer in layers]

        def run(condition: Tensor, x: Tensor) -> Tensor:
            h = self.first(torch.cat([condition, x.flatten(1)], dim=1))
            for layer in layers:
                each = gelu(torch.matmul(layer_norm(h, h.shape[-1:]), layer))  # (E, B, W)
                h = h + (weight @ each.squeeze(1) if len(weight) == 1 else torch.einsum("be,ebw->bw", weight, each))
            out: Tensor = self.last(h)
            return out.view(len(out), self.horizon, -1)

        return run


class SparseHead(nn.Module):
    """A mixture with its own router that maps a feature (F,), and what else it is told, to (T, M)."""

    def __init__(
        self,
        experts: int,
        active: int,
        sizes: tuple[int, int],
        horizon: int,
        columns: tuple[int, int],
        config: DenoiserConfig,
    ) -> None:
        """Build the head; `sizes` are F and C, `columns` N and M, and `active` of `experts` are weighed in."""
        super().__init__()
        self.router = SparseRouter(sizes[0], experts, active)
        self.net = SparseMlp(experts, sum(sizes), horizon, columns, config)

    def forward(self, feature: Tensor, told: Tensor, x: Tensor) -> Tensor:
        """Return (B, T, M) for features (B, F), conditions (B, C) and samples (B, T, N)."""
        condition = torch.cat([feature, told], dim=1)
        out: Tensor = self.net(condition, x, self.router.weigh(feature), self.router.active)
        return out

    def imbalance(self, feature: Tensor) -> Tensor:
        """See `SparseRouter.imbalance`."""
        return self.router.imbalance(feature, self.router.weigh(feature))

    def idle_parameters(self) -> int:
        """Return how many parameters one inference does not read."""
        experts = self.router.out_features
        return sum(p.numel() for p in self.net.layers.parameters()) // experts * (experts - self.router.active)
