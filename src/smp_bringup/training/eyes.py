"""Eyes that were trained before, of a checkpoint or on photographs: kept as they are, or tuned.

Kept ones look at each frame once, and training sees what they saw: what comes behind them then trains as quickly as
from object poses.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from smp_bringup.errors import ConfigError, ModelError, one_line
from smp_bringup.manifest import is_safetensors, read_checked
from smp_bringup.observation.senses import Senses
from smp_bringup.policy.build import trained_network
from smp_bringup.policy.checkpoint import WEIGHTS, called, read_config, require_views
from smp_bringup.policy.config import EncoderConfig
from smp_bringup.policy.encoder import Encoder
from smp_bringup.policy.pretrained import Pretrained
from smp_bringup.robot import Robot
from smp_bringup.training.augment import AugmentConfig
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.types import FloatArray

_AT_ONCE = 256
"""Frames."""
_SHARE = 0.1


@dataclass(frozen=True)
class Eyes:
    """Networks of cameras, or the first part of them, with their weights."""

    source: str
    """What they are, for the card."""
    tuned: bool
    """Whether they are trained on."""
    config: EncoderConfig
    weights: dict[str, Tensor]
    """Of the encoder's eyes, or of the network that was trained on photographs."""

    def used_by(self, run: RunConfig) -> RunConfig:
        """Return a run whose policy has such eyes; the feature behind them stays its own."""
        encoder = replace(self.config, feature=run.policy.encoder.feature)
        return replace(run, policy=replace(run.policy, encoder=encoder))

    def open_in(self, encoder: Encoder) -> None:
        """Let an encoder see by these networks."""
        encoder.eyes.load_state_dict({name: self.weights[name] for name in encoder.eyes.state_dict()})
        encoder.eyes.requires_grad_(self.tuned)


@dataclass(frozen=True)
class PretrainedEyes(Eyes):
    """A network that was trained on photographs, before what finds places in its maps, which is trained in any case."""

    def open_in(self, encoder: Encoder) -> None:
        """See `Eyes.open_in`."""
        for part in encoder.eyes.modules():
            if isinstance(part, Pretrained):
                part.load_state_dict(self.weights)
                part.requires_grad_(self.tuned)


def eyes_of(source: Path, run: RunConfig, robot: Robot, tuned: bool) -> Eyes:
    """Return the eyes of a checkpoint, or of a file (safetensors) of a network of timm, for a run.

    Raises:
        ConfigError: the run has no eyes, or would show them changed images.
        ModelError: the checkpoint is broken, has no weights, or has seen other images than the run's cameras give; or
            the file is none such, is of another network, or has another hash than `training.eyes_sha256`.
        InstallError: timm is wanted and not installed.
    """
    if run.policy.track == "state":
        raise ConfigError("--eyes: this run sees poses of objects, no cameras: leave --eyes out")
    if run.training.augment != AugmentConfig() and not tuned:
        raise ConfigError(
            "--eyes: they look at each frame once, as it is: leave training.augment out, or add --tune-eyes"
        )
    return _of_photographs(source, run, tuned) if source.is_file() else _of_checkpoint(source, run, robot, tuned)


def _of_checkpoint(folder: Path, run: RunConfig, robot: Robot, tuned: bool) -> Eyes:
    files = read_checked(folder)
    policy = read_config(files)
    require_views(files, run.policy.sights, robot)
    if WEIGHTS not in files:
        raise ModelError(f"--eyes: '{folder}' was shipped without {WEIGHTS}: name another checkpoint")
    network = trained_network(files[WEIGHTS], policy, robot.dof, f"'{folder}/{WEIGHTS}'")
    return Eyes(f"those of {called(folder)}", tuned, policy.encoder, network.encoder.eyes.state_dict())


def _of_photographs(file: Path, run: RunConfig, tuned: bool) -> Eyes:
    encoder, content = run.policy.encoder, file.read_bytes()
    if not is_safetensors(content):
        raise ModelError(
            f"--eyes: '{file}' is no safetensors file (pickles, which .pth and .bin are, are refused): "
            "timm's networks come as model.safetensors, too"
        )
    if not encoder.pretrained:
        raise ConfigError(
            f"--eyes: '{file}' is of a network of timm: say which, e.g. --set policy.encoder.backbone=timm:resnet18"
        )
    if run.policy.depth:
        raise ConfigError("--eyes: a network that saw photographs sees no distances: leave policy.depth out")
    digest, wanted = hashlib.sha256(content).hexdigest(), run.training.eyes_sha256
    if wanted and digest != wanted:
        raise ModelError(f"--eyes: '{file}' has SHA-256 {digest}, training.eyes_sha256 is {wanted}")
    body = Pretrained(encoder.pretrained)
    try:
        body.take(load(content), f"--eyes: '{file}'")
    except SafetensorError as error:
        raise ModelError(f"--eyes: '{file}' cannot be read: {one_line(error)}") from None
    return PretrainedEyes(f"{file.name} ({encoder.backbone}), SHA-256 {digest}", tuned, encoder, body.state_dict())


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
            points[name].append(encoder.looked(name, torch.from_numpy(seen)).numpy())
        progress(int(frames[-1]) + 1, total)
    return replace(data, points={name: np.concatenate(points.pop(name)) for name in names})  # no part stays


def shares(network: nn.Module) -> list[dict[str, Any]]:
    """Return the groups of a network's trained weights, each with its share of the learning rate.

    What was trained on photographs is tuned with a tenth of it, so that the first steps do not undo that.
    """
    seen = {weight for part in network.modules() if isinstance(part, Pretrained) for weight in part.parameters()}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = (([w for w in trained if w not in seen], 1.0), ([w for w in trained if w in seen], _SHARE))
    return [{"params": weights, "share": share} for weights, share in groups if weights]
