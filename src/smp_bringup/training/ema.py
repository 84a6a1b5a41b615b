"""Exponential moving average of the weights: what is evaluated and shipped."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


class Ema(Generic[N]):
    """A smoothed copy of a network; buffers are copied as they are."""

    def __init__(self, network: N, decay: float, average: N | None = None) -> None:
        """Begin as a copy of `network`, on its device, or go on with an `average` of it."""
        self.network: N = smoothed_copy(network) if average is None else average
        self._decay = decay
        self._mine: list[Tensor] = list(self.network.parameters())
        self._theirs: list[Tensor] = list(network.parameters())
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network; early steps are averaged over fewer of them."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mine, self._theirs, 1 - decay)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)


def smoothed_copy(network: N) -> N:
    """Return a copy of a network that is not trained itself."""
    return copy.deepcopy(network).train(False).requires_grad_(False)
