"""A 1-D convolutional U-Net over the horizon, modulated by the condition (Diffusion Policy, arXiv 2303.04137)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, silu

from smp_bringup.policy.config import DenoiserConfig

_KERNEL = 5


class _ProductConv(nn.Module):
    """A 1-D convolution as one product of matrices: what reads its weights fastest for one short sample."""

    def __init__(self, like: nn.Conv1d) -> None:
        super().__init__()
        self.weight, self.bias = like.weight, like.bias
        self._kernel, self._stride = like.kernel_size[0], like.stride[0]
        self._padding = self._kernel // 2  # as every convolution here

    def forward(self, x: Tensor) -> Tensor:
        length = (x.shape[-1] + 2 * self._padding - self._kernel) // self._stride + 1
        padded = pad(x, (self._padding, self._padding))
        last = self._stride * (length - 1) + 1
        seen = torch.stack([padded[..., i : i + last : self._stride] for i in range(self._kernel)], dim=-2)
        assert self.bias is not None
        return self.weight.flatten(1) @ seen.flatten(-3, -2) + self.bias.unsqueeze(-1)


def by_products(net: nn.Module) -> nn.Module:
    """Return the network with every 1-D convolution computed as a product of matrices, on the same weights."""
    for name, part in net.named_children():
        setattr(net, name, _ProductConv(part) if isinstance(part, nn.Conv1d) else by_products(part))
    return net


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
