"""Runs an exported policy in ONNX Runtime: one session for the encoder, one per expert."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from smp_bringup.errors import InstallError, ModelError, UnknownNameError, one_line
from smp_bringup.policy.base import AbstractEngine
from smp_bringup.types import FloatArray

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxEngine(AbstractEngine):
    """Sessions of one thread each that do not spin: several of them share two cores without fighting."""

    def __init__(self, encoder: bytes, denoisers: Sequence[bytes], device: str) -> None:
        """Open the models.

        Raises:
            UnknownNameError: there is no such device.
            InstallError: the device's provider is not there.
            ModelError: a model is corrupt.
        """
        self._encoder = _session(encoder, "encoder.onnx", device)
        self._denoisers = [_session(d, f"denoiser_{i}.onnx", device) for i, d in enumerate(denoisers)]
        self._outputs = [output.name for output in self._encoder.get_outputs()]

    def encode(self, inputs: Mapping[str, np.ndarray]) -> dict[str, FloatArray]:
        """See `AbstractEngine`."""
        values = self._encoder.run(self._outputs, {name: value[None] for name, value in inputs.items()})
        return {name: value[0] for name, value in zip(self._outputs, values, strict=True)}

    def input_length(self, name: str) -> int:
        """See `AbstractEngine`."""
        shapes = {i.name: i.shape for i in self._encoder.get_inputs()}
        last = shapes[name][-1] if shapes.get(name) else 0
        return last if isinstance(last, int) else 0

    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        session = self._denoisers[expert]
        given = {"feature": feature, "x": x, "mask": mask, "embedding": embedding}
        feed = {i.name: np.asarray(given[i.name], dtype=np.float32)[None] for i in session.get_inputs()}
        out: FloatArray = session.run(None, feed)[0][0].astype(np.float64)
        return out


def _session(model: bytes, name: str, device: str) -> ort.InferenceSession:
    if device not in _PROVIDERS:
        raise UnknownNameError("device", device, _PROVIDERS)
    provider = _PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise InstallError(
            f"{provider} requested, this ONNX Runtime has {ort.get_available_providers()}; "
            "install onnxruntime-gpu, or run on the CPU with device cpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # ONNX Runtime raises its own types for every kind of corruption
        raise ModelError(f"{name} cannot be loaded: {one_line(error)}") from error
    if provider not in session.get_providers():
        raise InstallError(f"{provider} requested, the session of {name} has {session.get_providers()}")
    return session
