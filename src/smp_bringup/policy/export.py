"""From a trained network to ONNX models, checked against each other before they are trusted."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from smp_bringup.errors import ModelError
from smp_bringup.observation.senses import UNMEASURED
from smp_bringup.policy.base import VECTORS, image_key
from smp_bringup.policy.basis import gram_schmidt
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.engines import Model
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.robot import Robot
from smp_bringup.words.encoder import SIZE as WORDS_SIZE

OPSET = 20
_TOLERANCE = 1e-4
_UNMEASURED = 0.2
"""Share of a random depth image where nothing is measured."""
_LARGE = 256
"""Weights with fewer numbers stay in single precision."""


class _Encode(nn.Module):
    """The encoder and all heads with positional inputs, and a basis that exports."""

    def __init__(self, network: AbstractNetwork, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.code(dict(zip(self.names, inputs, strict=True)), gram_schmidt).values())


class _Denoise(nn.Module):
    """One denoiser."""

    def __init__(self, network: AbstractNetwork, expert: int) -> None:
        super().__init__()
        self.network, self.expert = network, expert

    def forward(self, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        return self.network.denoise(self.expert, feature, x, mask, embedding)


def export(network: AbstractNetwork, robot: Robot) -> tuple[bytes, list[bytes]]:
    """Return the encoder and the denoisers as ONNX models, and round the network's weights to what they hold.

    Weights travel in half precision and are computed with in single precision: half the size,
    and PyTorch and ONNX Runtime still agree.

    Raises:
        ModelError: ONNX Runtime and PyTorch disagree.
    """
    network = network.train(False)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(value.half())
    rng = np.random.default_rng(0)
    inputs = _random_inputs(network, robot, rng)
    tensors = {name: torch.from_numpy(value)[None] for name, value in inputs.items()}
    with torch.inference_mode():
        outputs = list(network.code(tensors))
    encoder = _to_onnx(_Encode(network, list(inputs)), tuple(tensors.values()), list(inputs), outputs)
    config = network.config
    sample = (
        torch.randn(1, config.encoder.feature),
        torch.randn(1, config.horizon, config.columns(network.dof)),
        torch.ones(1, config.experts),
        torch.randn(1, EMBEDDING),
    )
    names = ["feature", "x", "mask", "embedding"]
    denoisers = [_to_onnx(_Denoise(network, i), sample, names, ["clean"]) for i in range(config.denoisers)]
    _check(network, encoder, denoisers, inputs, rng)
    return encoder, denoisers


def _random_inputs(network: AbstractNetwork, robot: Robot, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return inputs of the encoder that look like an observation."""
    config = network.config
    steps = config.observation_steps
    inputs: dict[str, np.ndarray] = {}
    for name in config.cameras:
        camera = robot.camera(name)
        shape = (steps, camera.observation_height, camera.observation_width, 3)
        inputs[image_key(name)] = rng.integers(0, 256, shape, dtype=np.uint8)
    for name in config.depth:
        camera = robot.camera(name)
        share = rng.random((steps, camera.observation_height, camera.observation_width, 1), np.float32)
        inputs[image_key(name)] = np.where(share < _UNMEASURED, np.float32(UNMEASURED), share)
    inputs["state"] = (rng.normal(size=(steps, robot.dof)) * 0.3).astype(np.float32)
    if config.vectors:
        inputs[VECTORS] = (rng.normal(size=(steps, network.encoder.objects)) * 0.3).astype(np.float32)
    if config.track == "state":
        inputs["objects"] = (rng.normal(size=(steps, network.encoder.objects)) * 0.3).astype(np.float32)
    if config.words:
        inputs["words"] = rng.normal(size=WORDS_SIZE).astype(np.float32) / np.float32(np.sqrt(WORDS_SIZE))
    if config.prefix_steps:
        inputs["prefix"] = (rng.normal(size=(config.prefix_steps, robot.dof + 1)) * 0.3).astype(np.float32)
    return inputs


def _to_onnx(module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter warns that it is not the newest
        torch.onnx.export(
            module,
            inputs,
            buffer,  # type: ignore[arg-type]
            input_names=names,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )
    return bytes(_store_half(onnx.load_from_string(buffer.getvalue())).SerializeToString())


def _store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep large weights in half precision, each with a cast that ONNX Runtime folds away when it loads the model.

    What half precision does not hold stays as it is: weights into which the exporter worked a normalisation.
    """
    for i, tensor in enumerate(model.graph.initializer):
        value = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            exact = value.dtype == np.float32 and bool((value.astype(np.float16) == value).all())
        if exact and value.size >= _LARGE:
            half = f"{tensor.name}.half"
            cast = helper.make_node("Cast", [half], [tensor.name], to=onnx.TensorProto.FLOAT)
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), half))
            model.graph.node.insert(i, cast)
    return model


def _check(
    network: AbstractNetwork,
    encoder: bytes,
    denoisers: list[bytes],
    inputs: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Run both engines on random inputs and compare."""
    ours, theirs = TorchEngine(network), OnnxEngine(encoder, [Model.of(model) for model in denoisers])
    a, b = ours.encode(inputs), theirs.encode(inputs)
    gaps = {name: float(np.abs(a[name] - b[name]).max()) for name in b}
    x = rng.normal(size=(network.config.horizon, network.config.columns(network.dof)))
    mask = np.linspace(
        1.0, 0.5, network.config.experts
    )  # no two alike: a tie between the best experts has no one answer
    embedding = rng.normal(size=EMBEDDING)
    for i in range(len(denoisers)):
        pair = [engine.denoise(i, a["feature"], x, mask, embedding) for engine in (ours, theirs)]
        gaps[f"denoiser_{i}"] = float(np.abs(pair[0] - pair[1]).max())
    worst = max(gaps, key=lambda name: gaps[name])
    if not gaps[worst] <= _TOLERANCE:
        raise ModelError(f"exported '{worst}' differs from PyTorch by {gaps[worst]:.2e}, allowed {_TOLERANCE:.0e}")
