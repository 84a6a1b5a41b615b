"""What a training begins with: an untrained network that knows the scales of the data, or a trained one."""

from dataclasses import dataclass

import numpy as np
import torch

from smp_bringup.observation.actions import action_code
from smp_bringup.observation.normalizer import CodedActions, Normalizer
from smp_bringup.observation.senses import Senses
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.robot import Robot
from smp_bringup.training.dataset import Dataset
from smp_bringup.words.phrasebook import Phrasebook

_MIN_SPREAD = 0.02
"""An object coordinate that hardly varies in the data is not magnified beyond this [m, or unit of a rotation]; one
that never varies, as what belongs to tasks still to come, is not magnified at all."""


@dataclass(frozen=True)
class Start:
    """A trained network to go on from, and the normaliser that it knows."""

    network: AbstractNetwork
    normalizer: Normalizer


def from_scratch(policy: PolicyConfig, data: Dataset, robot: Robot, book: Phrasebook) -> Start:
    """Return an untrained network with what it takes from the data: scales of joints, vectors, objects and words."""
    seen = {name: data.vectors[name] for name in policy.vectors}
    ranges = {name: robot.camera(name).depth for name in policy.depth}
    senses = Senses.from_data(seen, {name: (depth.min, depth.max) for name, depth in ranges.items() if depth})
    action, state = data.action.astype(np.float64), data.state.astype(np.float64)
    code = action_code(policy.actions, robot)
    actions = None if code is None else CodedActions.from_data(code, action, state)
    normalizer = Normalizer.from_data(action.reshape(-1, robot.dof), senses, actions)
    numbers = sum(values.shape[1] for values in seen.values())
    network = build_network(policy, robot.dof, data.objects.shape[1] + numbers)
    if data.objects.shape[1]:
        low, high = data.objects.min(axis=0), data.objects.max(axis=0)
        network.encoder.object_center.copy_(torch.from_numpy((low + high) / 2))
        spread = np.where(high > low, np.maximum(high - low, _MIN_SPREAD), 2.0)
        network.encoder.object_scale.copy_(torch.from_numpy(2 / spread))
    if network.encoder.words is not None:
        network.encoder.words.fit(torch.from_numpy(book.embeddings))
    network.prepare(torch.from_numpy(normalizer.normalise_action(action[:, :1], state)[:, 0].astype(np.float32)))
    return Start(network, normalizer)
