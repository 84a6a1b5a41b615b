"""The engines: which one runs a checkpoint on which device. What is asked for is there, or is refused in one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from smp_bringup.errors import InstallError, UnknownNameError
from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import PolicyConfig

DEVICES = ("cpu", "cuda", "cpu_torch")
"""ONNX Runtime on the CPU; PyTorch on a GPU; and the engine of the GPU on the CPU, to try it where there is none."""


@dataclass(frozen=True)
class Model:
    """One ONNX model that is read when it is needed."""

    size: int
    """[bytes]."""
    read: Callable[[], bytes]

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


def open_engine(stored: Stored, policy: PolicyConfig, dof: int, device: str) -> AbstractEngine:
    """Return the engine of a checkpoint on a device.

    Raises:
        UnknownNameError: see `require_device`.
        InstallError: see `require_device`.
        ModelError: a model or the weights are corrupt, or the checkpoint has no weights for this engine.
    """
    require_device(device)
    if device == "cpu":
        from smp_bringup.policy.engine_onnx import OnnxEngine

        return OnnxEngine(stored.encoder, stored.denoisers)
    from smp_bringup.policy.engine_device import open_device_engine

    return open_device_engine(stored.weights and stored.weights(), policy, dof, "cuda" if device == "cuda" else "cpu")
