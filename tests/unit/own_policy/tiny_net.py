"""The network of the policy outside the package, with its losses."""

import torch
from torch import nn

from smp_bringup.policy.networks import AbstractNetwork


class TinyNet(AbstractNetwork):
    """One pose, pulled towards the demonstrated actions."""

    def __init__(self, config, dof, objects):
        super().__init__(config, dof, objects)
        self.pose = nn.Parameter(torch.zeros(dof))

    def heads(self, feature, state, orthonormaliser):
        return {"pose": self.pose + 0.0 * feature[:, :1]}

    def denoise(self, expert, feature, x, mask, embedding):
        return x + 0.0 * (feature.sum() + mask.sum() + embedding.sum())

    def losses(self, feature, batch, noiser):
        return {"pose": self.config.tiny.pull * (batch.action - self.pose).square().mean()}
