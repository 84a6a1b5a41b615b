"""Runs a network in PyTorch: the reference for the exported engine, and the one for GPUs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.networks import DiffusionNet, Network, SmpNet
from smp_bringup.types import FloatArray, ImageArray


class TorchEngine(AbstractEngine):
    """A trained network, called one sample at a time."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        self._network = network.to(device).train(False)
        self._device = device

    @torch.inference_mode()
    def encode(self, images: Mapping[str, ImageArray], state: FloatArray) -> dict[str, FloatArray]:
        """See `AbstractEngine`."""
        tensors = {name: torch.from_numpy(image)[None].to(self._device) for name, image in images.items()}
        steps = self._tensor(state)
        if isinstance(self._network, SmpNet):
            coded = self._network.code(tensors, steps)
        else:
            coded = {"feature": self._network.encoder(tensors, steps)}
        return {name: value[0].cpu().numpy() for name, value in coded.items()}

    @torch.inference_mode()
    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        s, noisy, step = self._tensor(feature), self._tensor(x), self._tensor(embedding)
        if isinstance(self._network, DiffusionNet):
            clean = self._network.denoise(s, noisy, step)
        else:
            clean = self._network.experts.one(expert, s, noisy, self._tensor(mask), step)
        out: FloatArray = clean[0].cpu().numpy().astype(np.float64)
        return out

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.from_numpy(np.asarray(array, dtype=np.float32))[None].to(self._device)
