"""Di-BM's objective (arXiv 2601.12397): experts trained on what they are responsible for, and their gate."""

import torch
from torch import Tensor

from smp_bringup.policy.dibm_net import DibmNet
from smp_bringup.training.batch import Batch, Noiser
from smp_bringup.training.distance import distance


def dibm_losses(network: DibmNet, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    """Return the expert and gate losses for features (2B, F).

    p(o|e) is a softmax over the batch, from which each expert draws the samples that train it.
    All experts are measured at the same diffusion step and noise, so that the gate compares
    experts and not luck.
    """
    noisy, embedding, target = noiser(batch.action, batch)
    condition = torch.cat([feature, embedding], dim=1)
    log_density = torch.log_softmax(network.logits(feature).T, dim=1)  # (E, 2B) log p(o|e)
    experts, kind = network.config.experts, network.config.loss.distance
    with torch.no_grad():
        every = network.experts(condition.expand(experts, -1, -1), noisy.expand(experts, -1, -1, -1))
        loss = distance(every, target.expand_as(every), kind).mean((2, 3))  # (E, 2B)
        count = max(1, round(len(feature) * network.config.loss.draw))
        drawn = torch.multinomial(log_density.exp(), count, replacement=True)  # (E, n)
    own = network.experts(condition[drawn], noisy[drawn])
    return {
        "denoise": distance(own, target[drawn], kind).mean(),
        "energy": network.config.loss.energy * _gate_loss(log_density, loss, network.config.gate.beta),
    }


def _gate_loss(log_density: Tensor, loss: Tensor, beta: float) -> Tensor:
    """Return sum_e E_{p(o|e)}[l_e - beta log p(e|o) + beta log p(o|e)], with l_e and p(e|o) held fixed."""
    responsibility = torch.log_softmax(log_density.detach(), dim=0)  # log p(e|o), p(e) uniform
    inside = loss - beta * responsibility + beta * log_density
    return (log_density.exp() * inside).sum(1).mean()


@torch.no_grad()
def log_partition(network: DibmNet, features: Tensor) -> Tensor:
    """Return log Z_e (E,) summed over the features (N, F) of a whole data set."""
    return torch.logsumexp(network.logits(features), dim=0)
