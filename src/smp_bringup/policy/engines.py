"""The engines: which one runs a checkpoint on which device. What is asked for is there, or is refused in one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf

from smp_bringup.errors import ConfigError, InstallError, UnknownNameError
from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import PolicyConfig

DEVICES = ("cpu", "cuda", "cpu_torch")
"""ONNX Runtime on the CPU; PyTorch on a GPU; and the engine of the GPU on the CPU, to try it where there is none."""
PRECISIONS = ("fp32", "int8")
"""In which ONNX models compute; int8: the large products of experts, see `quantized`."""


@dataclass(frozen=True)
class Model:
    """One ONNX model that is read when it is needed."""

    size: int
    """[bytes]."""
    read: Callable[[], bytes]
    always: bool = False
    """Whether every chunk runs it, as a shared expert: it stays in memory."""
    precision: str = PRECISIONS[0]

    @property
    def weight_bytes(self) -> int:
        """About what its weights take in memory: in half precision they are stored, and computed with in single."""
        return self.size if self.precision == "int8" else 2 * self.size

    @classmethod
    def of(cls, content: bytes) -> "Model":
        """Return a model that is in memory."""
        return cls(len(content), lambda: content)


@dataclass(frozen=True)
class Stored:
    """What of a checkpoint engines are made of."""

    encoder: bytes
    """ONNX."""
    denoisers: Sequence[Model]
    weights: Callable[[], bytes] | None
    """Reads those of the whole network, safetensors; some old checkpoints have none."""
    precision: str = PRECISIONS[0]
    """Of the denoisers."""


def require_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UnknownNameError: there is no device of that name.
        InstallError: it is not there, or what drives it is not installed.
    """
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    if device == "cpu":
        return
    if find_spec("torch") is None:
        raise InstallError(f"device {device} needs PyTorch, which is not installed: pip install torch, or device cpu")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InstallError(
            f"device cuda was asked for, PyTorch {torch.__version__} finds no GPU: install a PyTorch built for CUDA "
            "and the driver (docs/engines.md), or run on the CPU with device cpu"
        )


def open_engine(stored: Stored, policy: PolicyConfig, dof: int, device: str, experts_mb: float = 0.0) -> AbstractEngine:
    """Return the engine of a checkpoint on a device, which holds experts of up to `experts_mb` [MB]; 0: all of them.

    Raises:
        UnknownNameError: see `require_device`.
        InstallError: see `require_device`.
        ConfigError: there is nothing to leave out, or no room for one expert.
        ModelError: a model or the weights are corrupt, or the checkpoint has no weights for this engine.
    """
    require_device(device)
    budget = _budget(experts_mb, stored.denoisers, device)
    if device == "cpu":
        from smp_bringup.policy.engine_onnx import OnnxEngine

        return OnnxEngine(stored.encoder, stored.denoisers, budget, stored.precision, alone=not policy.splits)
    from smp_bringup.policy.engine_device import open_device_engine

    return open_device_engine(stored.weights and stored.weights(), policy, dof, "cuda" if device == "cuda" else "cpu")


def _budget(experts_mb: float, denoisers: Sequence[Model], device: str) -> float:
    """Return how much memory the weights of experts may take [bytes]."""
    if not experts_mb:
        return inf
    if device != "cpu":
        raise ConfigError(f"experts_mb {experts_mb:g}: device {device} holds all experts; leave it out, or run on cpu")
    if len(denoisers) < 2:  # also a mixture in one network
        raise ConfigError(f"experts_mb {experts_mb:g}: every chunk of this policy needs all its weights; leave it out")
    sizes_mb = [model.weight_bytes / 1e6 for model in denoisers if not model.always]
    largest, every = max(sizes_mb), sum(sizes_mb)
    if experts_mb < largest:
        raise ConfigError(
            f"experts_mb {experts_mb:g}: one expert takes {largest:.2f} MB, all of them {every:.2f}; allow one or more"
        )
    return experts_mb * 1e6
