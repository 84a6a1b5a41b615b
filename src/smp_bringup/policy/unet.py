"""A 1-D convolutional U-Net over the horizon, modulated by the condition (Diffusion Policy, arXiv 2303.04137)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from smp_bringup.policy.config import DenoiserConfig

_KERNEL = 5


class _Block(nn.Module):
    """Two convolutions with a residual; scale and shift per channel come from the condition (FiLM)."""

    def __init__(self, inner: int, outer: int, condition: int) -> None:
        super().__init__()
        groups = next(n for n in (8, 4, 2, 1) if outer % n == 0)
        self.first = nn.Conv1d(inner, outer, _KERNEL, padding=_KERNEL // 2)
        self.second = nn.Conv1d(outer, outer, _KERNEL, padding=_KERNEL // 2)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, outer) for _ in range(2))
        self.film = nn.Linear(condition, 2 * outer)
        self.skip = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(silu(condition)).unsqueeze(-1).chunk(2, dim=1)
        h = silu(self.norms[0](self.first(x))) * (1 + scale) + shift
        out: Tensor = silu(self.norms[1](self.second(h))) + self.skip(x)
        return out


class ConvUnet(nn.Module):
    """`depth` resolutions, each of twice the width and half the length of the one before."""

    def __init__(self, condition: int, columns: int, out: int, config: DenoiserConfig) -> None:
        super().__init__()
        widths = [config.width * 2**i for i in range(config.depth)]
        self.enter = nn.Conv1d(columns, widths[0], 1)
        self.down = nn.ModuleList(_Block(a, b, condition) for a, b in zip([widths[0], *widths], widths, strict=False))
        self.halve = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.up = nn.ModuleList(_Block(b + a, a, condition) for a, b in reversed(list(pairwise(widths))))
        self.leave = nn.Conv1d(widths[0], out, 1)

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """Return (B, T, M) for a condition (B, C) and a sample (B, T, N)."""
        h = self.enter(x.transpose(1, 2))
        kept = []
        for i, block in enumerate(self.down):
            h = block(h, condition)
            if i < len(self.halve):
                kept.append(h)
                h = self.halve[i](h)
        for block in self.up:
            skip = kept.pop()
            h = block(torch.cat([interpolate(h, scale_factor=2.0), skip], dim=1), condition)
        out: Tensor = self.leave(h)
        return out.transpose(1, 2)
