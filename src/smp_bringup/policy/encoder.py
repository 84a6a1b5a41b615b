"""From images, joint state and object poses to one feature."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from smp_bringup.policy.base import image_key
from smp_bringup.policy.config import EncoderConfig, PolicyConfig
from smp_bringup.policy.resnet import ResNet18

_SHARPNESS = 5.0
"""Of the softmax at the start: on scores of unit spread it is peaked from the first step."""


class Keypoints(nn.Module):
    """Where in an image each learned feature is (spatial softmax; Levine et al., 2016), on scores of unit spread."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        widths = (3, *config.channels)
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += [
                nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2 if i < 2 else 1, padding=2 if i == 0 else 1),
                nn.ReLU(),
            ]
        self.stack = nn.Sequential(*layers, nn.Conv2d(widths[-1], config.keypoints, 1))
        self.sharpness = nn.Parameter(torch.full((config.keypoints, 1), _SHARPNESS))

    def forward(self, image: Tensor) -> Tensor:
        """Return points (B, 2 * keypoints) in [-1, 1] of an image (B, 3, h, w)."""
        score = self.stack(image).float()
        height, width = score.shape[-2:]
        flat = score.flatten(2)
        flat = flat - flat.mean(-1, keepdim=True)
        flat = flat * torch.rsqrt(flat.square().mean(-1, keepdim=True) + 1e-6)
        weight = torch.softmax(flat * self.sharpness, dim=-1).view(*score.shape)
        x = (weight.sum(2) * torch.linspace(-1, 1, width, device=score.device)).sum(-1)
        y = (weight.sum(3) * torch.linspace(-1, 1, height, device=score.device)).sum(-1)
        return torch.stack([x, y], dim=-1).flatten(1)


class Encoder(nn.Module):
    """All that is observed into one feature s: joints, and per track cameras or object poses."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        """Build for `dof` joints and, on the state track, `objects` numbers of object poses."""
        super().__init__()
        self.cameras, self.objects = config.cameras, objects
        eye, size = build_eye(config.encoder)
        self._shared = config.encoder.shared
        names = ("all",) if self._shared and config.cameras else config.cameras
        self.eyes = nn.ModuleDict({name: eye() for name in names})  # each once: weights are saved by name
        self.object_center: Tensor
        self.register_buffer("object_center", torch.zeros(objects))
        self.object_scale: Tensor
        self.register_buffer("object_scale", torch.ones(objects))
        width = config.encoder.feature
        self.prefix_steps = config.prefix_steps
        inputs = config.observation_steps * (dof + objects + len(config.cameras) * size)
        inputs += config.prefix_steps * (dof + 1)
        self.trunk = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU())

    def forward(self, inputs: Mapping[str, Tensor], shifts: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return s (B, F).

        Args:
            inputs: "state" (B, To, J), normalised; "image_NAME" (B, To, h, w, 3), 0 to 255; "objects" (B, To, D);
                "prefix" (B, P, J + 1).
            shifts: per camera (B, 2), how far its images were moved by augmentation in units of
                keypoints (x, y); taken off again, so that geometry stays absolute.
        """
        batch, steps = inputs["state"].shape[:2]
        parts = [inputs["state"].flatten(1)]
        if self.objects:
            parts.append(((inputs["objects"] - self.object_center) * self.object_scale).flatten(1))
        if self.prefix_steps:
            parts.append(inputs["prefix"].flatten(1))
        for name in self.cameras:
            flat = inputs[image_key(name)].flatten(0, 1).permute(0, 3, 1, 2)
            eye = self.eyes["all" if self._shared else name]
            points = eye(flat.float() / 127.5 - 1.0).float()
            if shifts is not None and isinstance(eye, Keypoints):
                moved = shifts[name].repeat_interleave(steps, 0)
                points = (points.view(len(points), -1, 2) - moved[:, None]).flatten(1)
            parts.append(points.view(batch, -1))
        out: Tensor = self.trunk(torch.cat(parts, dim=1))
        return out


def build_eye(config: EncoderConfig) -> tuple[Callable[[], nn.Module], int]:
    """Return what builds one camera's network, and how many numbers that network gives."""
    if config.backbone == "resnet18":
        return ResNet18, ResNet18.out
    return lambda: Keypoints(config), 2 * config.keypoints
