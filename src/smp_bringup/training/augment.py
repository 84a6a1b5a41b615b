"""What another lamp, another camera and strange things do to an image, made up in training."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from smp_bringup.config import spec
from smp_bringup.types import FloatArray, ImageArray

_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""Luma and two axes of chroma of RGB (ITU-R BT.601, NTSC 1953): hue is an angle between the two."""
_PATCH = (0.05, 0.2)
"""Sides of a patch as shares of the image's."""
_REACH = 3
"""So many standard deviations of a blurred point are drawn."""
_SHARP_PX = 0.1
"""A point that is spread less stays within its pixel."""


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
    blur: float = field(default=0.0, metadata=spec(ge=0, le=8, unit="px"))
    """Standard deviation of the spot that a lens out of focus makes of a point; drawn up to this."""
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
    return Changes.drawn(config, len(images), rng).made(images)


@dataclass(frozen=True)
class Changes:
    """What is done to each of N samples; a part of them is changed as it would be among all."""

    config: AugmentConfig
    turns: FloatArray
    """(N, 2) about the image's middle [rad], and how much larger the new image shows what it shows."""
    shifts: FloatArray
    """(N, 2) in units of half a side."""
    matrix: FloatArray
    """(N, 3, 3) over RGB."""
    offset: FloatArray
    """(N, 3, 1) what is added [0 to 255]."""
    blur: FloatArray
    """(N,) standard deviation [px]."""
    noise: FloatArray
    """(N,) standard deviation [0 to 255]."""
    seeds: np.ndarray
    """(N,) of the noise and of what covers the images."""

    @classmethod
    def drawn(cls, config: AugmentConfig, count: int, rng: np.random.Generator) -> "Changes":
        """Return changes of so many samples; nothing is drawn where nothing is changed."""
        if config == AugmentConfig():
            none = np.zeros(count)
            return cls(config, none, none, none, none, none, none, none)
        turn = rng.uniform(-config.turn, config.turn, count)
        size = 1 + rng.uniform(-config.scale, config.scale, count)
        shifts = 2 * rng.uniform(-config.shift, config.shift, (count, 2))
        matrix, offset = _colours(config, count, rng)
        blur = rng.uniform(0, config.blur, count)
        noise = rng.uniform(0, 255 * config.noise, count)
        seeds = rng.integers(0, 1 << 63, count)
        return cls(config, np.stack([turn, size], axis=1), shifts, matrix, offset, blur, noise, seeds)

    def of(self, samples: np.ndarray) -> "Changes":
        """Return the changes of some of the samples."""
        drawn = {name: value[samples] for name, value in vars(self).items() if name != "config"}
        return Changes(self.config, **drawn)

    def made(self, images: ImageArray) -> ImageArray:
        """Return images (N, To, h, w, 3) with the changes made, all instants of a sample alike."""
        config = self.config
        if config == AugmentConfig():
            return images
        steps, height, width = images.shape[1:4]
        flat = torch.from_numpy(images.reshape(-1, height, width, 3)).permute(0, 3, 1, 2).float()
        if config.moves:
            flat = _moved(flat, _each(self._places(width / height), steps))
        if config.colours:
            turned = _each(self.matrix, steps) @ flat.flatten(2) + _each(self.offset, steps)
            flat = turned.reshape(flat.shape)
        if config.blur:
            flat = _blurred(flat, _each(self.blur, steps), math.ceil(_REACH * config.blur))
        rngs = [np.random.default_rng(seed) for seed in self.seeds]
        if config.noise:
            grain = np.stack([rng.standard_normal((steps, *flat.shape[1:]), dtype=np.float32) for rng in rngs])
            size = _each(self.noise, steps)[:, None, None, None]
            flat = flat + size * torch.from_numpy(grain).reshape(flat.shape)
        out = flat.round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).numpy().reshape(images.shape)
        for sample, rng in zip(out, rngs, strict=True):
            _cover(sample, config, rng)
        return out

    def _places(self, aspect: float) -> FloatArray:
        """Return where in the old image each pixel of the new one is found: (N, 2, 3), in units of half a side."""
        turn, size = self.turns.T
        cos, sin = size * np.cos(turn), size * np.sin(turn)
        rows = [[cos, -sin / aspect, self.shifts[:, 0]], [sin * aspect, cos, self.shifts[:, 1]]]
        return np.array(rows).transpose(2, 0, 1)


def _each(values: FloatArray, steps: int) -> Tensor:
    """Return what is drawn for each sample (N, ...) for each of its images (N * To, ...)."""
    return torch.from_numpy(values.astype(np.float32)).repeat_interleave(steps, 0)


def _moved(images: Tensor, places: Tensor) -> Tensor:
    """Return images (M, C, h, w) seen through (M, 2, 3), edges repeated."""
    grid = affine_grid(places, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _blurred(images: Tensor, spread: Tensor, reach: int) -> Tensor:
    """Return images (M, C, h, w) with each point spread as a normal distribution (M,) [px], edges repeated."""
    steps = torch.arange(-reach, reach + 1)
    weight = torch.exp(-0.5 * (steps / spread[:, None].clamp(min=_SHARP_PX)) ** 2)
    weight = (weight / weight.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)[:, None]
    planes = pad(images.flatten(0, 1)[None], (reach,) * 4, mode="replicate")
    planes = conv2d(planes, weight[:, :, None], groups=len(weight))
    return conv2d(planes, weight[..., None], groups=len(weight)).reshape(images.shape)


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
