"""From images and joint state to one feature: convolutions, spatial softmax, a small trunk."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from smp_bringup.policy.config import EncoderConfig

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
    """All cameras and observed steps into one feature s."""

    def __init__(self, config: EncoderConfig, cameras: Sequence[str], steps: int, dof: int) -> None:
        super().__init__()
        self.cameras = tuple(cameras)
        self.eyes = nn.ModuleDict({name: Keypoints(config) for name in cameras})
        size = steps * (dof + len(self.cameras) * 2 * config.keypoints)
        self.trunk = nn.Sequential(
            nn.Linear(size, config.feature), nn.GELU(), nn.Linear(config.feature, config.feature), nn.GELU()
        )

    def forward(
        self, images: Mapping[str, Tensor], state: Tensor, shifts: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Return s (B, F).

        Args:
            images: per camera (B, To, h, w, 3), 0 to 255.
            state: (B, To, J), normalised.
            shifts: per camera (B, 2), how far its images were moved by augmentation in units of
                keypoints (x, y); taken off again, so that geometry stays absolute.
        """
        batch, steps = state.shape[:2]
        parts = [state.flatten(1)]
        for name in self.cameras:
            flat = images[name].flatten(0, 1).permute(0, 3, 1, 2)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
                points = self.eyes[name](flat.float() / 127.5 - 1.0)
            if shifts is not None:
                moved = shifts[name].repeat_interleave(steps, 0)
                points = (points.view(len(points), -1, 2) - moved[:, None]).flatten(1)
            parts.append(points.view(batch, -1))
        out: Tensor = self.trunk(torch.cat(parts, dim=1))
        return out
