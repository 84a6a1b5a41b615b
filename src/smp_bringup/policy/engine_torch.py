"""Runs a network in PyTorch step by step: what the exported models are checked against."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.types import FloatArray


class TorchEngine(AbstractEngine):
    """A trained network, called one sample at a time."""

    def __init__(self, network: AbstractNetwork, device: str = "cpu") -> None:
        self._network = network.to(device).train(False)
        self._device = device
        self.name = f"PyTorch {torch.__version__} on {device}, step by step, fp32"

    @torch.inference_mode()
    def encode(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, FloatArray]:
        """See `AbstractEngine`."""
        coded = self._network.code({name: torch.from_numpy(v)[None].to(self._device) for name, v in inputs.items()})
        return {name: value[0].cpu().numpy() for name, value in coded.items()}

    def input_length(self, name: str) -> int:
        """See `AbstractEngine`; told of the object poses alone."""
        return self._network.encoder.objects if name == "objects" and self._network.config.track == "state" else 0

    @torch.inference_mode()
    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        clean = self._network.denoise(expert, *(self._tensor(v) for v in (feature, x, mask, embedding)))
        out: FloatArray = clean[0].float().cpu().numpy().astype(np.float64)
        return out

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.from_numpy(np.asarray(array, dtype=np.float32))[None].to(self._device)
