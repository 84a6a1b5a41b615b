"""A network with its losses as one module: what is trained, in one process or several."""

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.distance import PRECISE
from smp_bringup.policy.networks import AbstractNetwork


class Objective(nn.Module):
    """The losses of a network on one batch, by name; their sum is minimised."""

    def __init__(self, network: AbstractNetwork, half: bool = False) -> None:
        """Join a network with its losses; `half` runs the cameras' networks in bfloat16 in training."""
        super().__init__()
        self.network, self._half = network, half
        self._noiser = Noiser(network.config)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        network, weight = self.network, self.network.config.foresight_weight
        half = self._half and self.training and bool(batch.shifts)
        with torch.autocast(batch.action.device.type, torch.bfloat16, enabled=half):
            feature = network.encoder(batch.inputs, batch.shifts)
        feature = feature.float()
        losses = network.losses(feature, batch, self._noiser)
        if weight and network.config.foresight_s:
            ahead = network.foresight(feature).view_as(batch.foresight)
            losses["foresight"] = weight * smooth_l1_loss(ahead, batch.foresight, beta=PRECISE)
        return losses
