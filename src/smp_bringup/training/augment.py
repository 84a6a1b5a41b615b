"""What another lamp, another camera and strange things do to an image, made up in training."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from smp_bringup.config import spec
from smp_bringup.types import FloatArray, ImageArray

_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""Luma and two axes of chroma of RGB (ITU-R BT.601, NTSC 1953): hue is an angle between the two."""
_PATCH = (0.05, 0.2)
"""Sides of a patch as shares of the image's."""


@dataclass(frozen=True)
class AugmentConfig:
    """How far an image in colour is changed, every sample otherwise; 0 leaves it alone.

    Unlike the few pixels by which images are always moved (and which the encoder is told), the policy is not told of
    these: the same actions belong to what a camera elsewhere would see.
    """

    shift: float = field(default=0.0, metadata=spec(ge=0, le=0.2))
    """At most so far in each direction, as a share of the image's side."""
    turn: float = field(default=0.0, metadata=spec(ge=0, le=0.5, unit="rad"))
    """At most so far about the image's middle."""
    scale: float = field(default=0.0, metadata=spec(ge=0, le=0.5))
    """At most so much larger or smaller."""
    brightness: float = field(default=0.0, metadata=spec(ge=0, lt=1))
    """At most so much of the light is added or taken."""
    contrast: float = field(default=0.0, metadata=spec(ge=0, lt=1))
    saturation: float = field(default=0.0, metadata=spec(ge=0, le=1))
    hue: float = field(default=0.0, metadata=spec(ge=0, le=3.1416, unit="rad"))
    """At most so far round the circle of colours."""
    noise: float = field(default=0.0, metadata=spec(ge=0, le=0.5))
    """Standard deviation of a camera's noise, as a share of white; drawn up to this."""
    patches: int = field(default=0, metadata=spec(ge=0, le=16))
    """At most so many rectangles of one colour each lie over the image."""
    dropout: float = field(default=0.0, metadata=spec(ge=0, lt=1))
    """How often a camera shows nothing."""

    @property
    def moves(self) -> bool:
        """Whether anything changes place."""
        return bool(self.shift or self.turn or self.scale)

    @property
    def colours(self) -> bool:
        """Whether colours change."""
        return bool(self.brightness or self.contrast or self.saturation or self.hue)


def augmented(images: ImageArray, config: AugmentConfig, rng: np.random.Generator) -> ImageArray:
    """Return images (N, To, h, w, 3) as other cameras in other light might show them, one change a sample."""
    if config == AugmentConfig():
        return images
    count, steps, height, width, _ = images.shape
    flat = torch.from_numpy(images.reshape(-1, height, width, 3)).permute(0, 3, 1, 2).float()
    if config.moves:
        flat = _moved(flat, _each(_places(config, count, width / height, rng), steps))
    if config.colours:
        matrix, offset = _colours(config, count, rng)
        turned = _each(matrix, steps) @ flat.flatten(2) + _each(offset, steps)
        flat = turned.reshape(flat.shape)
    if config.noise:
        size = _each(rng.uniform(0, 255 * config.noise, (count, 1, 1, 1)), steps)
        flat = flat + size * torch.from_numpy(rng.standard_normal(flat.shape, dtype=np.float32))
    out = flat.round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).numpy().reshape(images.shape)
    for sample in out:
        _cover(sample, config, rng)
    return out


def _each(values: FloatArray, steps: int) -> Tensor:
    """Return what is drawn for each sample (N, ...) for each of its images (N * To, ...)."""
    return torch.from_numpy(values.astype(np.float32)).repeat_interleave(steps, 0)


def _places(config: AugmentConfig, count: int, aspect: float, rng: np.random.Generator) -> FloatArray:
    """Return where in the old image each pixel of the new one is found: (N, 2, 3), in units of half a side."""
    turn = rng.uniform(-config.turn, config.turn, count)
    size = 1 + rng.uniform(-config.scale, config.scale, count)
    cos, sin = size * np.cos(turn), size * np.sin(turn)
    shift = 2 * rng.uniform(-config.shift, config.shift, (count, 2))
    rows = [[cos, -sin / aspect, shift[:, 0]], [sin * aspect, cos, shift[:, 1]]]
    return np.array(rows).transpose(2, 0, 1)


def _moved(images: Tensor, places: Tensor) -> Tensor:
    """Return images (M, C, h, w) seen through (M, 2, 3), edges repeated."""
    grid = affine_grid(places, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _colours(config: AugmentConfig, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return matrices (N, 3, 3) over RGB and what is added [0 to 255] (N, 3, 1)."""
    hue = rng.uniform(-config.hue, config.hue, count)
    saturation = 1 + rng.uniform(-config.saturation, config.saturation, count)
    contrast = 1 + rng.uniform(-config.contrast, config.contrast, count)
    light = 1 + rng.uniform(-config.brightness, config.brightness, count)
    chroma = np.zeros((count, 3, 3))
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * np.cos(hue)
    chroma[:, 2, 1] = saturation * np.sin(hue)
    chroma[:, 1, 2] = -chroma[:, 2, 1]
    matrix = (light * contrast)[:, None, None] * (np.linalg.inv(_YIQ) @ chroma @ _YIQ)
    offset = np.repeat((127.5 * light * (1 - contrast))[:, None, None], 3, axis=1)
    return matrix, offset


def _cover(images: ImageArray, config: AugmentConfig, rng: np.random.Generator) -> None:
    """Lay patches over the images (To, h, w, 3) of one sample, or black them out."""
    if config.dropout and rng.random() < config.dropout:
        images[:] = 0
        return
    height, width = images.shape[1:3]
    for _ in range(rng.integers(0, config.patches + 1)):
        tall, wide = (int(side * rng.uniform(*_PATCH)) for side in (height, width))
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        images[:, top : top + tall, left : left + wide] = rng.integers(0, 256, 3)
