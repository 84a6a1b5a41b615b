"""From images, joint state and object poses to one feature."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from smp_bringup.policy.base import VECTORS, image_key, points_key
from smp_bringup.policy.config import EncoderConfig, PolicyConfig
from smp_bringup.policy.pretrained import Pretrained
from smp_bringup.policy.resnet import ResNet18
from smp_bringup.words.encoder import SIZE as WORDS_SIZE

_LEAST_TRUST = 1e-3
"""Where so little of a keypoint is measured, its distance goes to zero."""
_SHARPNESS = 5.0
"""Of the softmax at the start: on scores of unit spread it is peaked from the first step."""

_LEAST_SPREAD = 1e-3
"""Of embeddings: where only one sentence is ever said, it is not magnified beyond this."""
_WORDS_FEATURE = 32
"""Numbers into which what is said goes: a feature that saw all 384 would learn the training's sentences by heart."""

_SHARED_EYE, _SHARED_DEPTH_EYE = "all", "all_depth"


class Keypoints(nn.Module):
    """Where in an image each learned feature is (spatial softmax; Levine et al., 2016), on scores of unit spread.

    Of a depth image also how far away it is: the mean of what is measured there. What is before the last convolution
    may be a network that was trained on photographs.
    """

    def __init__(self, config: EncoderConfig, depth: bool = False) -> None:
        """Build for images in colour, or of depth."""
        super().__init__()
        self._depth, self._stride = depth, 2 ** min(2, len(config.channels))
        if config.pretrained and not depth:
            body = Pretrained(config.pretrained)
            self.stack = nn.Sequential(body, nn.Conv2d(body.channels, config.keypoints, 1))
        else:
            layers = _convolutions(1 if depth else 3, config.channels)
            self.stack = nn.Sequential(*layers, nn.Conv2d(config.channels[-1], config.keypoints, 1))
        self.sharpness = nn.Parameter(torch.full((config.keypoints, 1), _SHARPNESS))

    @property
    def pretrained(self) -> Pretrained | None:
        """The network that was trained on photographs, if this has one."""
        first = self.stack[0]
        return first if isinstance(first, Pretrained) else None

    def forward(self, image: Tensor) -> Tensor:
        """Return points (B, 2 * keypoints) in [-1, 1] of an image (B, C, h, w), of depth with distances behind them.

        Distances (B, keypoints) are in the unit of the image, which is below zero where nothing is measured.
        """
        return self._located(self.stack(image).float(), image)

    def found_in(self, maps: Tensor) -> Tensor:
        """Return the points of what the pretrained network made (B, C, h, w) of images in colour."""
        return self._located(self.stack[1:](maps.float()), maps)

    def _located(self, score: Tensor, image: Tensor) -> Tensor:
        height, width = score.shape[-2:]
        flat = layer_norm(score.flatten(2), (height * width,), eps=1e-6)
        weight = torch.softmax(flat * self.sharpness, dim=-1)
        y, x = (torch.linspace(-1, 1, size, device=score.device) for size in (height, width))
        places = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
        points = (weight @ places).flatten(1)
        if not self._depth:
            return points
        far = image[:, :, :: self._stride, :: self._stride].float()
        trust = weight.view(*score.shape) * (far >= 0).float()
        return torch.cat([points, (trust * far).sum((2, 3)) / (trust.sum((2, 3)) + _LEAST_TRUST)], dim=1)

    def moved_back(self, points: Tensor, moved: Tensor) -> Tensor:
        """Return what `forward` gives with the points' (B, 2) shift taken off."""
        count = 2 * self.sharpness.shape[0]
        there = (points[:, :count].reshape(len(points), -1, 2) - moved[:, None]).flatten(1)
        return torch.cat([there, points[:, count:]], dim=1) if self._depth else there


def _convolutions(inputs: int, channels: Sequence[int]) -> list[nn.Module]:
    """Return convolutions of so many channels, of which the first two halve the image."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise((inputs, *channels))):
        layers += [
            nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2 if i < 2 else 1, padding=2 if i == 0 else 1),
            nn.ReLU(),
        ]
    return layers


class Words(nn.Module):
    """What is said, made small; embeddings are nearly alike, so they are taken about their middle."""

    def __init__(self) -> None:
        super().__init__()
        self.center: Tensor
        self.register_buffer("center", torch.zeros(WORDS_SIZE))
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(1))
        self.linear = nn.Linear(WORDS_SIZE, _WORDS_FEATURE)

    def fit(self, embeddings: Tensor) -> None:
        """Take the middle and the spread of the embeddings (n, 384) that training tells."""
        self.center.copy_(embeddings.mean(0))
        self.scale.copy_(1 / (embeddings - self.center).square().mean().sqrt().clamp(min=_LEAST_SPREAD))

    def forward(self, embedding: Tensor) -> Tensor:
        """Return what the trunk sees of embeddings (B, 384)."""
        out: Tensor = self.linear((embedding - self.center) * self.scale)
        return out


class Encoder(nn.Module):
    """All that is observed into one feature s: joints, and per track cameras and vectors, or object poses."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        """Build for `dof` joints and `objects` numbers of object poses, which only the state track has, or of vectors.

        Vectors come normalised, and are taken as they are.
        """
        super().__init__()
        self.cameras, self.depth, self.objects = config.cameras, config.depth, objects
        self._numbers = "objects" if config.track == "state" else VECTORS
        shared = config.encoder.shared
        self._eye_of = {name: _SHARED_EYE if shared else name for name in config.cameras}
        self._eye_of |= {name: _SHARED_DEPTH_EYE if shared else name for name in config.depth}
        size = 0
        self.eyes = nn.ModuleDict()  # each once: weights are saved by name
        for name, key in self._eye_of.items():
            eye, points = build_eye(config.encoder, name in config.depth)
            size += points
            if key not in self.eyes:
                self.eyes[key] = eye()
        self.object_center: Tensor
        self.register_buffer("object_center", torch.zeros(objects))
        self.object_scale: Tensor
        self.register_buffer("object_scale", torch.ones(objects))
        width = config.encoder.feature
        self.prefix_steps = config.prefix_steps
        inputs = config.observation_steps * (dof + objects + size)
        inputs += config.prefix_steps * (dof + 1)
        self.words: Words | None = None
        if config.words:
            self.words = Words()
            inputs += _WORDS_FEATURE
        self.trunk = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU())

    def forward(self, inputs: Mapping[str, Tensor], shifts: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return s (B, F).

        Args:
            inputs: "state" (B, To, J), normalised; "image_NAME" (B, To, h, w, 3), 0 to 255, of depth (B, To, h, w, 1),
                normalised; "objects" (B, To, D); "vectors" (B, To, V), normalised; "prefix" (B, P, J + 1);
                "words" (B, 384). Instead of a camera's images there may be what `looked` made of them: "points_NAME"
                (B, To, ...).
            shifts: per camera (B, 2), how far its images were moved by augmentation in units of
                keypoints (x, y); taken off again, so that geometry stays absolute.
        """
        batch, steps = inputs["state"].shape[:2]
        parts = [inputs["state"].flatten(1)]
        if self.objects:
            parts.append(((inputs[self._numbers] - self.object_center) * self.object_scale).flatten(1))
        if self.prefix_steps:
            parts.append(inputs["prefix"].flatten(1))
        if self.words is not None:
            parts.append(self.words(inputs["words"]))
        points = self._points(inputs, steps, shifts or {})
        parts += [points[name].reshape(batch, -1) for name in (*self.cameras, *self.depth)]
        out: Tensor = self.trunk(torch.cat(parts, dim=1))
        return out

    def _points(self, inputs: Mapping[str, Tensor], steps: int, shifts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what is found in each camera's images (B * To, P); arguments as of `forward`."""
        found: dict[str, Tensor] = {}
        # cameras of one network and one size of images: its weights are read once for all of them
        together: defaultdict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
        for name, key in self._eye_of.items():
            eye, looked = self.eyes[key], inputs.get(points_key(name))
            if looked is None:
                together[key, tuple(map(int, inputs[image_key(name)].shape))].append(name)
            elif isinstance(eye, Keypoints) and eye.pretrained is not None:
                found[name] = eye.found_in(looked.flatten(0, 1))
            else:
                found[name] = looked
        for (key, _), names in together.items():
            images = [self._scaled(name, inputs[image_key(name)].flatten(0, 1)) for name in names]
            points: Tensor = self.eyes[key](torch.cat(images)).float()
            found |= zip(names, points.chunk(len(names)), strict=True)
        for name, moved in shifts.items():
            eye = self.eyes[self._eye_of[name]]
            if points_key(name) not in inputs and isinstance(eye, Keypoints):
                found[name] = eye.moved_back(found[name], moved.repeat_interleave(steps, 0))
        return found

    def looked(self, name: str, images: Tensor) -> Tensor:
        """Return what the kept part of a camera's network makes of its images (B, h, w, C).

        That is points (B, P); or of a pretrained network maps (B, C, h / 8, w / 8), in half precision for their size.
        """
        eye, scaled = self.eyes[self._eye_of[name]], self._scaled(name, images)
        if isinstance(eye, Keypoints) and eye.pretrained is not None:
            maps: Tensor = eye.pretrained(scaled)
            return maps.half()
        points: Tensor = eye(scaled)
        return points.float()

    def _scaled(self, name: str, images: Tensor) -> Tensor:
        """Return images (B, h, w, C) as a camera's network takes them (B, C, h, w)."""
        flat = images.permute(0, 3, 1, 2).float()
        return flat if name in self.depth else flat / 127.5 - 1.0


def build_eye(config: EncoderConfig, depth: bool) -> tuple[Callable[[], nn.Module], int]:
    """Return what builds the network of one camera, in colour or of depth, and how many numbers that network gives."""
    if config.backbone == "resnet18":
        return lambda: ResNet18(1 if depth else 3), ResNet18.out
    return lambda: Keypoints(config, depth), (3 if depth else 2) * config.keypoints
