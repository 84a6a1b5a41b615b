"""Networks that others trained on photographs: the first part of a camera's eye (timm, the extra `backbones`)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from smp_bringup.errors import ConfigError, InstallError, ModelError, one_line

INSTALL = "pip install 'smp_bringup[backbones]', with torchvision from where PyTorch is from"
_STRIDE = 8
"""Pixels of an image beside each other that make one of the map."""
_COUNT = "num_batches_tracked"
"""Ends the names of what no inference reads, and half precision cannot hold."""


class Pretrained(nn.Module):
    """Images (B, 3, h, w) in [-1, 1] to maps (B, C, h / 8, w / 8): a network's stages that still tell places apart.

    Normalisation keeps the statistics of pretraining, also while the weights are tuned: those of a small batch would be
    worse, and averaged weights would need others. So there is no GroupNorm either, which knows none.
    """

    def __init__(self, name: str) -> None:
        """Build the network that timm calls `name`, without weights.

        Raises:
            InstallError: timm is not installed, or cannot be imported.
            ConfigError: timm has no such network, or it makes no such map.
        """
        super().__init__()
        timm = _timm()
        if not (timm.is_model(name) if "." not in name else name in timm.list_pretrained()):
            raise ConfigError(f"encoder.backbone: timm {timm.__version__} has no network '{one_line(name)}'")
        self.model: Any = timm.create_model(name, pretrained=False, num_classes=0)
        stages = self.model.feature_info if hasattr(self.model, "forward_intermediates") else []
        fine = [i for i, stage in enumerate(stages) if stage["reduction"] <= _STRIDE]
        if not fine:
            raise ConfigError(
                f"encoder.backbone: '{name}' makes no map of a point for {_STRIDE} pixels: take a convolutional network"
            )
        self.model.prune_intermediate_layers([fine[-1]], prune_norm=True)
        self._stage, self.channels = fine[-1], int(stages[fine[-1]]["num_chs"])
        self.mean, self.spread = (nn.Buffer(_per_channel(self.model.pretrained_cfg[key])) for key in ("mean", "std"))
        self.train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps."""
        seen = ((image + 1) / 2 - self.mean) / self.spread
        maps: Tensor = self.model.forward_intermediates(seen, indices=[self._stage], intermediates_only=True)[0]
        return maps.view([int(size) for size in maps.shape])  # of known size where padding depends on it: ONNX

    def train(self, mode: bool = True) -> "Pretrained":
        """Stay as in inference, whatever is asked."""
        return super().train(False)

    def take(self, weights: Mapping[str, Tensor], where: str) -> None:
        """Take the weights of the whole network; what this part has no use for is left out.

        Raises:
            ModelError: they are of another network, or checkpoints cannot hold them; `where` names them.
        """
        mine = {name: value for name, value in self.model.state_dict().items() if not name.endswith(_COUNT)}
        for name, value in mine.items():
            found = weights.get(name)
            if found is None or found.shape != value.shape:
                shape = "nothing" if found is None else list(found.shape)
                raise ModelError(f"{where} is of another network: it has {shape} for {name} {list(value.shape)}")
            if not found.half().isfinite().all():
                raise ModelError(f"{where}: {name} is beyond half precision, in which checkpoints hold weights")
        self.model.load_state_dict({name: weights[name].float() for name in mine}, strict=False)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision of another build than PyTorch
        raise InstallError(f"pretrained networks need timm ({one_line(error)}): {INSTALL}") from None
    return timm
