"""Denoisers: residual MLPs, one for the plain diffusion policy and a grouped set for SMP's experts."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

EMBEDDING = 32


class ResidualMlp(nn.Module):
    """Linear in, `depth` residual layers with normalisation, linear out."""

    def __init__(self, size: int, width: int, depth: int, out: int) -> None:
        super().__init__()
        self.first = nn.Linear(size, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()) for _ in range(depth)
        )
        self.last = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out) for (B, size)."""
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        out: Tensor = self.last(h)
        return out


class ExpertMlp(nn.Module):
    """The experts of SMP as one grouped network: all in one call in training, one by one when deployed.

    Every expert sees the feature, the noisy coefficients of all active experts and which
    they are, and predicts its own clean coefficient over the horizon.
    """

    def __init__(self, feature: int, horizon: int, experts: int, width: int, depth: int) -> None:
        super().__init__()
        self.experts, self.horizon, self.width = experts, horizon, width
        size = feature + horizon * experts + experts + EMBEDDING
        self.inner = nn.ParameterList(_weight(experts, a, width) for a in [size] + [width] * depth)
        self.inner_bias = nn.ParameterList(torch.zeros(experts, 1, width) for _ in range(depth + 1))
        self.outer = _weight(experts, width, horizon)
        self.outer_bias = nn.Parameter(torch.zeros(experts, 1, horizon))

    def forward(self, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Return clean coefficients (B, T, K) of all experts.

        Args:
            feature: (B, F).
            x: noisy coefficients (B, T, K), zero where inactive.
            mask: (B, K).
            embedding: (B, 32).
        """
        joined = torch.cat([feature, x.flatten(1), mask, embedding], dim=1)
        h = joined.expand(self.experts, *joined.shape)
        for i, (weight, bias) in enumerate(zip(self.inner, self.inner_bias, strict=True)):
            h = _layer(h, weight, bias, residual=i > 0)
        return torch.baddbmm(self.outer_bias, h, self.outer).permute(1, 2, 0)

    def one(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Return clean coefficients (B, T) of one expert; its weights are views, never copies."""
        h = torch.cat([feature, x.flatten(1), mask, embedding], dim=1)
        for i, (weight, bias) in enumerate(zip(self.inner, self.inner_bias, strict=True)):
            h = _layer_one(h, weight[expert], bias[expert], residual=i > 0)
        return h @ self.outer[expert] + self.outer_bias[expert]


def _weight(experts: int, size: int, out: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(experts, size, out) / size**0.5)


def _layer(h: Tensor, weight: Tensor, bias: Tensor, residual: bool) -> Tensor:
    out = gelu(torch.baddbmm(bias, h, weight))
    return h + out if residual else out


def _layer_one(h: Tensor, weight: Tensor, bias: Tensor, residual: bool) -> Tensor:
    out = gelu(h @ weight + bias)
    return h + out if residual else out
