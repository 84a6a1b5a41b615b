"""Eyes that were trained before: kept as they are, they look at each frame once, and training sees what they saw.

What comes behind them then trains as quickly as from object poses.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.manifest import read_checked
from smp_bringup.observation.senses import Senses
from smp_bringup.policy.build import trained_network
from smp_bringup.policy.checkpoint import WEIGHTS, read_config, require_views
from smp_bringup.policy.config import EncoderConfig
from smp_bringup.policy.encoder import Encoder
from smp_bringup.robot import Robot
from smp_bringup.training.augment import AugmentConfig
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.types import FloatArray

_AT_ONCE = 256
"""Frames."""


@dataclass(frozen=True)
class Eyes:
    """The cameras' networks of a checkpoint."""

    config: EncoderConfig
    weights: dict[str, Tensor]

    def used_by(self, run: RunConfig) -> RunConfig:
        """Return a run whose policy has such eyes; the feature behind them stays its own."""
        encoder = replace(self.config, feature=run.policy.encoder.feature)
        return replace(run, policy=replace(run.policy, encoder=encoder))

    def open_in(self, encoder: Encoder) -> None:
        """Let an encoder see by these networks; they are not trained on."""
        encoder.eyes.load_state_dict({name: self.weights[name] for name in encoder.eyes.state_dict()})
        encoder.eyes.requires_grad_(False)


def eyes_of(folder: Path, run: RunConfig, robot: Robot) -> Eyes:
    """Return the eyes of a checkpoint for a run.

    Raises:
        ConfigError: the run has no eyes, or would show them changed images.
        ModelError: the checkpoint is broken, has no weights, or has seen other images than the run's cameras give.
    """
    if run.policy.track == "state":
        raise ConfigError("--eyes: this run sees poses of objects, no cameras: leave --eyes out")
    if run.training.augment != AugmentConfig():
        raise ConfigError("--eyes: they look at each frame once, as it is: leave training.augment out")
    files = read_checked(folder)
    policy = read_config(files)
    require_views(files, run.policy.sights, robot)
    if WEIGHTS not in files:
        raise ModelError(f"--eyes: '{folder}' was shipped without {WEIGHTS}: name another checkpoint")
    network = trained_network(files[WEIGHTS], policy, robot.dof, f"'{folder}/{WEIGHTS}'")
    return Eyes(policy.encoder, network.encoder.eyes.state_dict())


@torch.no_grad()
def looked_at(data: Dataset, encoder: Encoder, senses: Senses, progress: Callable[[int, int], None]) -> Dataset:
    """Return demonstrations with what an encoder's eyes make of every frame; `progress` gets frames done and total."""
    names, total = (*encoder.cameras, *encoder.depth), len(data.stamps)
    points: dict[str, list[FloatArray]] = {name: [] for name in names}
    for first in range(0, total, _AT_ONCE):
        frames = np.arange(first, min(first + _AT_ONCE, total))
        for name in names:
            images = data.images[name][frames]
            seen = senses.depth_input(name, images) if name in encoder.depth else images
            points[name].append(encoder.points(name, torch.from_numpy(seen)).numpy())
        progress(int(frames[-1]) + 1, total)
    return replace(data, points={name: np.concatenate(parts) for name, parts in points.items()})
