"""ResNet-18 (arXiv 1512.03385) with torchvision's parameter names, so that its weights load from safetensors."""

from typing import ClassVar

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
            if stride != 1 or inner != outer
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.bn1(self.conv1(x)))
        skip = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn2(self.conv2(h)) + skip)


class ResNet18(nn.Module):
    """Images (B, C, h, w) to features (B, 512); the classifier of the original is left out."""

    out: ClassVar[int] = 512

    def __init__(self, channels: int = 3) -> None:
        """Build for images of so many channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inner = 64
        for i, outer in enumerate((64, 128, 256, 512), 1):
            blocks = nn.Sequential(_Block(inner, outer, 1 if i == 1 else 2), _Block(outer, outer, 1))
            self.add_module(f"layer{i}", blocks)
            inner = outer

    def forward(self, image: Tensor) -> Tensor:
        """Return the pooled features."""
        h = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        for i in range(1, 5):
            h = self.get_submodule(f"layer{i}")(h)
        out: Tensor = h.mean((2, 3))
        return out
