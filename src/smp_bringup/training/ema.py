"""Exponential moving average of the weights: what is evaluated and shipped."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


class Ema(Generic[N]):
    """A smoothed copy of a network; buffers are copied as they are."""

    def __init__(self, network: N, decay: float) -> None:
        self.network: N = copy.deepcopy(network).train(False).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: N, step: int) -> None:
        """Move towards `network`; early steps are averaged over fewer of them."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
