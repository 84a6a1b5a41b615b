"""The 1-D U-Net of Di-BM (arXiv 2601.12397): Diffusion Policy's, in which some convolutions exist once per expert."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import mish

from smp_bringup.policy.config import DenoiserConfig

_KERNEL = 5


class _Convolution(nn.Sequential):
    """Convolution, normalisation over groups of channels, Mish."""

    def __init__(self, inner: int, outer: int) -> None:
        groups = next(n for n in (8, 4, 2, 1) if outer % n == 0)
        convolution = nn.Conv1d(inner, outer, _KERNEL, padding=_KERNEL // 2)
        super().__init__(convolution, nn.GroupNorm(groups, outer), nn.Mish())


class _Block(nn.Module):
    """Two convolutions with a residual, scaled and shifted per channel by the condition (FiLM) in between.

    The second convolution is one for all, or each expert's own.
    """

    def __init__(self, inner: int, outer: int, condition: int, experts: int = 1) -> None:
        super().__init__()
        self.first = _Convolution(inner, outer)
        self.second = nn.ModuleList(_Convolution(outer, outer) for _ in range(experts))
        self.film = nn.Linear(condition, 2 * outer)
        self.skip = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, expert: int, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(mish(condition)).unsqueeze(-1).chunk(2, dim=1)
        h = self.first(x) * scale + shift
        out: Tensor = self.second[expert if len(self.second) > 1 else 0](h) + self.skip(x)
        return out


class ExpertUnet(nn.Module):
    """`depth` resolutions, each of twice the width and half the length of the one before, with two blocks each."""

    def __init__(self, experts: int, condition: int, columns: tuple[int, int], config: DenoiserConfig) -> None:
        """Build the network; `columns` are N and M."""
        super().__init__()
        widths = [config.width * 2**i for i in range(config.depth)]

        def pair(inner: int, outer: int) -> nn.ModuleList:
            return nn.ModuleList([_Block(inner, outer, condition), _Block(outer, outer, condition, experts)])

        self.down = nn.ModuleList(pair(a, b) for a, b in pairwise((columns[0], *widths)))
        self.halve = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        self.up = nn.ModuleList(pair(2 * b, a) for a, b in reversed(list(pairwise(widths))))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(w, w, 4, stride=2, padding=1) for w in reversed(widths[:-1]))
        self.leave = nn.Sequential(_Convolution(widths[0], widths[0]), nn.Conv1d(widths[0], columns[1], 1))

    def own_parts(self) -> Iterator[nn.Module]:
        """Yield the parts that exist once per expert."""
        for pair in (*self.down, self.middle, *self.up):
            yield pair[1].second  # type: ignore[index]

    def forward(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """Return (B, T, M) of one expert for a condition (B, C) and a sample (B, T, N)."""
        h, kept = x.transpose(1, 2), []
        for i, pair in enumerate(self.down):
            h = _through(pair, expert, h, condition)
            kept.append(h)
            if i < len(self.halve):
                h = self.halve[i](h)
        h = _through(self.middle, expert, h, condition)
        for pair, grow in zip(self.up, self.grow, strict=True):
            h = grow(_through(pair, expert, torch.cat([h, kept.pop()], dim=1), condition))
        out: Tensor = self.leave(h)
        return out.transpose(1, 2)


def _through(pair: nn.Module, expert: int, x: Tensor, condition: Tensor) -> Tensor:
    for block in pair:  # type: ignore[attr-defined]
        x = block(expert, x, condition)
    return x
