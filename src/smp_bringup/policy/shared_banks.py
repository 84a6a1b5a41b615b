"""Experts that are one denoiser but for some of its layers, which exist once per expert (Di-BM, arXiv 2601.12397)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from smp_bringup.policy.config import DenoiserConfig
from smp_bringup.policy.expert_unet import ExpertUnet
from smp_bringup.policy.experts import AbstractBank, grouped_weight


class AbstractSharedBank(AbstractBank, ABC):
    """A bank that says which of its parameters are the experts' own."""

    @property
    @abstractmethod
    def own(self) -> nn.Module:
        """The parts that are experts' own, of all experts together."""


class SharedMlpBank(AbstractSharedBank):
    """A residual MLP; every second layer, the first residual one among them, exists once per expert."""

    def __init__(self, experts: int, condition: int, horizon: int, columns: tuple[int, int], config: DenoiserConfig):
        """Build the network; `columns` are N and M."""
        super().__init__()
        size, width = condition + horizon * columns[0], config.width
        self.horizon = horizon
        self.first, self.last = nn.Linear(size, width), nn.Linear(width, horizon * columns[1])
        self.common = nn.ModuleList(nn.Linear(width, width) for _ in range(config.depth // 2))
        each = config.depth - config.depth // 2
        self.weights = nn.ParameterList(grouped_weight(experts, width, width) for _ in range(each))
        self.biases = nn.ParameterList(torch.zeros(experts, 1, width) for _ in range(each))

    @property
    def own(self) -> nn.Module:
        """See `AbstractSharedBank`."""
        return nn.ModuleList([self.weights, self.biases])

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        return self._run(condition, x, [*zip(self.weights, self.biases, strict=True)])

    def each(self, conditions: Sequence[Tensor], samples: Sequence[Tensor]) -> list[Tensor]:
        """See `AbstractBank`."""
        return [self.one(e, c, x) for e, (c, x) in enumerate(zip(conditions, samples, strict=True))]

    def one(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        own = [(w[expert], b[expert]) for w, b in zip(self.weights, self.biases, strict=True)]
        return self._run(condition, x, own)

    def _run(self, condition: Tensor, x: Tensor, own: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return (..., T, M); with weights (E, W, W) the first dimension of everything is the expert's."""
        h = self.first(torch.cat([condition, x.flatten(-2)], dim=-1))
        for i, (weight, bias) in enumerate(own):
            h = h + gelu(layer_norm(h, h.shape[-1:]) @ weight + bias)
            if i < len(self.common):
                h = h + gelu(self.common[i](layer_norm(h, h.shape[-1:])))
        out: Tensor = self.last(h)
        return out.view(*h.shape[:-1], self.horizon, out.shape[-1] // self.horizon)


class SharedUnetBank(AbstractSharedBank):
    """One 1-D U-Net; the second convolution of every second block exists once per expert, as published."""

    def __init__(self, experts: int, condition: int, columns: tuple[int, int], config: DenoiserConfig):
        """Build the network; `columns` are N and M."""
        super().__init__()
        self.net = ExpertUnet(experts, condition, columns, config)

    @property
    def own(self) -> nn.Module:
        """See `AbstractSharedBank`."""
        return nn.ModuleList(self.net.own_parts())

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        return torch.stack(self.each(list(condition), list(x)))

    def each(self, conditions: Sequence[Tensor], samples: Sequence[Tensor]) -> list[Tensor]:
        """See `AbstractBank`."""
        return [self.one(e, c, x) for e, (c, x) in enumerate(zip(conditions, samples, strict=True))]

    def one(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        out: Tensor = self.net(expert, condition, x)
        return out


def build_shared_bank(
    experts: int, condition: int, horizon: int, columns: tuple[int, int], config: DenoiserConfig
) -> AbstractSharedBank:
    """Return the bank that `config` describes."""
    if config.kind == "unet":
        return SharedUnetBank(experts, condition, columns, config)
    return SharedMlpBank(experts, condition, horizon, columns, config)
