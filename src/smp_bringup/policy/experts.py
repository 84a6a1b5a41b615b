"""Banks of denoisers: all experts in one call in training, one by one when deployed."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import gelu, layer_norm

from smp_bringup.policy.config import DenoiserConfig
from smp_bringup.policy.unet import ConvUnet, by_products

_Affine = Callable[[Tensor, Tensor, Tensor], Tensor]
"""bias + input @ weight."""


class AbstractBank(nn.Module, ABC):
    """E networks of one shape; each maps a condition (C,) and a sample (T, N) to (T, M)."""

    @abstractmethod
    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """Return (E, B, T, M) for conditions (E, B, C) and samples (E, B, T, N)."""

    @abstractmethod
    def each(self, conditions: Sequence[Tensor], samples: Sequence[Tensor]) -> list[Tensor]:
        """Return (B_e, T, M) per expert e for its own conditions (B_e, C) and samples (B_e, T, N)."""

    @abstractmethod
    def one(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """Return (B, T, M) of one expert for (B, C) and (B, T, N); its weights are views, never copies."""

    def gathered(self, experts: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return `forward` of some experts (k,) alone, whose weights are read here: (k, B, C), (k, B, T, N)."""
        raise NotImplementedError


class MlpBank(AbstractBank):
    """Residual MLPs (linear in, normalised residual layers, linear out) as grouped matrix products."""

    def __init__(self, experts: int, condition: int, horizon: int, columns: tuple[int, int], config: DenoiserConfig):
        """Build `experts` networks; `columns` are N and M."""
        super().__init__()
        size, width = condition + horizon * columns[0], config.width
        self.horizon = horizon
        self.weights = nn.ParameterList(
            grouped_weight(experts, a, b)
            for a, b in [(size, width), *[(width, width)] * config.depth, (width, horizon * columns[1])]
        )
        self.biases = nn.ParameterList(torch.zeros(experts, 1, w.shape[2]) for w in self.weights)

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        return self._run(torch.baddbmm, self.weights, self.biases, condition, x)

    def each(self, conditions: Sequence[Tensor], samples: Sequence[Tensor]) -> list[Tensor]:
        """See `AbstractBank`; the weights are unbound once, so that their gradients are gathered once."""
        weights = zip(*(w.unbind() for w in self.weights), strict=True)
        biases = zip(*(b.unbind() for b in self.biases), strict=True)
        return [self._run(torch.addmm, *parts) for parts in zip(weights, biases, conditions, samples, strict=True)]

    def one(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        weights, biases = [w[expert] for w in self.weights], [b[expert] for b in self.biases]
        return self._run(torch.addmm, weights, biases, condition, x)

    def gathered(self, experts: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AbstractBank`."""
        weights, biases = [w[experts] for w in self.weights], [b[experts] for b in self.biases]
        return lambda condition, x: self._run(torch.baddbmm, weights, biases, condition, x)

    def _run(
        self, affine: _Affine, weights: Iterable[Tensor], biases: Iterable[Tensor], condition: Tensor, x: Tensor
    ) -> Tensor:
        """Return (..., T, M) of one network by `addmm`, or of all with `baddbmm`."""
        (first, first_bias), *hidden, (last, last_bias) = zip(weights, biases, strict=True)
        h = affine(first_bias, torch.cat([condition, x.flatten(-2)], dim=-1), first)
        for weight, bias in hidden:
            h = h + gelu(affine(bias, layer_norm(h, h.shape[-1:]), weight))
        out = affine(last_bias, h, last)
        return out.view(*h.shape[:-1], self.horizon, out.shape[-1] // self.horizon)


class UnetBank(AbstractBank):
    """1-D convolutional U-Nets over the horizon."""

    def __init__(self, experts: int, condition: int, columns: tuple[int, int], config: DenoiserConfig):
        """Build `experts` networks; `columns` are N and M."""
        super().__init__()
        self.nets = nn.ModuleList(ConvUnet(condition, *columns, config) for _ in range(experts))
        self._stacked: tuple[nn.Module, dict[str, Tensor]] | None = None

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        return torch.stack(self.each(condition, x))

    def each(self, conditions: Sequence[Tensor] | Tensor, samples: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """See `AbstractBank`."""
        return [net(c, y) for net, c, y in zip(self.nets, conditions, samples, strict=True)]

    def one(self, expert: int, condition: Tensor, x: Tensor) -> Tensor:
        """See `AbstractBank`."""
        out: Tensor = self.nets[expert](condition, x)
        return out

    def gathered(self, experts: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AbstractBank`; a second copy of all weights, stacked, is made at the first call."""
        if self._stacked is None:
            skeleton = by_products(copy.deepcopy(self.nets[0])).to("meta")
            self._stacked = skeleton, stack_module_state(list(self.nets))[0]
        skeleton, stacked = self._stacked
        chosen = {name: value.detach()[experts] for name, value in stacked.items()}

        def one(weights: dict[str, Tensor], condition: Tensor, x: Tensor) -> Tensor:
            out: Tensor = functional_call(skeleton, weights, (condition, x))
            return out

        return lambda condition, x: vmap(one)(chosen, condition, x)


def build_bank(
    experts: int, condition: int, horizon: int, columns: tuple[int, int], config: DenoiserConfig
) -> AbstractBank:
    """Return the bank that `config` describes."""
    if config.kind == "unet":
        return UnetBank(experts, condition, columns, config)
    return MlpBank(experts, condition, horizon, columns, config)


def grouped_weight(experts: int, size: int, out: int) -> nn.Parameter:
    """Return the weights (E, I, O) of one linear layer of E experts, each drawn at the usual scale."""
    return nn.Parameter(torch.randn(experts, size, out) / size**0.5)
