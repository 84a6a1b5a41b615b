"""The losses of each policy on one batch, by name; their sum is minimised."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from smp_bringup.policy.dibm_net import DibmNet
from smp_bringup.policy.mixture import BALANCE
from smp_bringup.policy.networks import AbstractNetwork, DiffusionNet, SparseNet
from smp_bringup.policy.smp_net import SmpNet
from smp_bringup.training.batch import Batch, Noiser
from smp_bringup.training.distance import PRECISE, distance
from smp_bringup.training.losses_dibm import dibm_losses
from smp_bringup.training.losses_smp import smp_losses


class Objective(nn.Module):
    """A network with its losses as one module: what is trained, in one process or several."""

    def __init__(self, network: AbstractNetwork, half: bool = False) -> None:
        """Join a network with its losses; `half` runs the cameras' networks in bfloat16 in training."""
        super().__init__()
        self.network, self._half = network, half
        self._noiser = Noiser(network.config)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        network, weight = self.network, self.network.config.loss
        half = self._half and self.training and bool(batch.shifts)
        with torch.autocast(batch.action.device.type, torch.bfloat16, enabled=half):
            feature = network.encoder(batch.inputs, batch.shifts)
        feature = feature.float()
        out = _LOSSES[type(network)](network, feature, batch, self._noiser)
        if weight.foresight and network.config.foresight_s:
            ahead = network.foresight(feature).view_as(batch.foresight)
            out["foresight"] = weight.foresight * smooth_l1_loss(ahead, batch.foresight, beta=PRECISE)
        return out


def _diffusion(network: AbstractNetwork, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    noisy, embedding, target = noiser(batch.action, batch)
    predicted = network.denoise(0, feature, noisy, feature.new_ones(len(feature), 1), embedding)
    return {"denoise": distance(predicted, target, network.config.loss.distance).mean()}


def _sparse(network: SparseNet, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    noisy, embedding, target = noiser(batch.action, batch)
    weight = network.router.weigh(feature)
    predicted = network.denoise(0, feature, noisy, weight, embedding)
    balance = BALANCE * network.router.imbalance(feature, weight)
    return {"denoise": distance(predicted, target, network.config.loss.distance).mean(), "balance": balance}


_LOSSES: dict[type, Callable[..., dict[str, Tensor]]] = {
    DiffusionNet: _diffusion,
    SparseNet: _sparse,
    SmpNet: smp_losses,
    DibmNet: dibm_losses,
}
