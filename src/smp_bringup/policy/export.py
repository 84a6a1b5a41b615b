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
from smp_bringup.policy.basis import gram_schmidt
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.experts import EMBEDDING
from smp_bringup.policy.networks import DiffusionNet, Network, SmpNet
from smp_bringup.robot import Robot

OPSET = 20
_TOLERANCE = 1e-4
_LARGE = 256
"""Weights with fewer numbers stay in single precision."""


class _Encode(nn.Module):
    """The encoder and all heads with positional inputs, and a basis that exports."""

    def __init__(self, network: Network, cameras: Sequence[str]) -> None:
        super().__init__()
        self.network, self.cameras = network, tuple(cameras)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        images, state = dict(zip(self.cameras, inputs[:-1], strict=True)), inputs[-1]
        network = self.network
        feature = network.encoder(images, state)
        if isinstance(network, DiffusionNet):
            return (feature,)
        basis = gram_schmidt(network.basis(feature))
        scale = network.scale.expand(1, -1)
        return feature, network.route(feature), basis, network.reference(feature, state), scale


class _Denoise(nn.Module):
    """One expert, or the denoiser of the diffusion policy."""

    def __init__(self, network: Network, expert: int) -> None:
        super().__init__()
        self.network, self.expert = network, expert

    def forward(self, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        if isinstance(self.network, DiffusionNet):
            return self.network.denoise(feature, x, embedding)
        return self.network.experts.one(self.expert, feature, x, mask, embedding)


def export(network: Network, robot: Robot) -> tuple[bytes, list[bytes]]:
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
    config = network.config
    sizes = [robot.camera(name) for name in config.cameras]
    images = [
        torch.randint(
            0,
            256,
            (1, config.observation_steps, c.observation_height, c.observation_width, 3),
            dtype=torch.uint8,
        )
        for c in sizes
    ]
    state = torch.randn(1, config.observation_steps, robot.dof)
    outputs = ["feature"] if isinstance(network, DiffusionNet) else ["feature", "gate", "basis", "reference", "scale"]
    names = [f"image_{name}" for name in config.cameras] + ["state"]
    encoder = _to_onnx(_Encode(network, config.cameras), (*images, state), names, outputs)
    columns = robot.dof if isinstance(network, DiffusionNet) else config.experts
    count = 1 if isinstance(network, DiffusionNet) else config.experts
    sample = (
        torch.randn(1, config.encoder.feature),
        torch.randn(1, config.horizon, columns),
        torch.ones(1, count),
        torch.randn(1, EMBEDDING),
    )
    inputs = ["feature", "x", "mask", "embedding"]
    denoisers = [_to_onnx(_Denoise(network, i), sample, inputs, ["clean"]) for i in range(count)]
    _check(network, encoder, denoisers, robot)
    return encoder, denoisers


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
    """Keep large weights in half precision, each with a cast that ONNX Runtime folds away when it loads the model."""
    for i, tensor in enumerate(model.graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size >= _LARGE:
            half = f"{tensor.name}.half"
            cast = helper.make_node("Cast", [half], [tensor.name], to=onnx.TensorProto.FLOAT)
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), half))
            model.graph.node.insert(i, cast)
    return model


def _check(network: Network, encoder: bytes, denoisers: list[bytes], robot: Robot) -> None:
    """Run both engines on random inputs and compare."""
    rng = np.random.default_rng(0)
    config = network.config
    ours, theirs = TorchEngine(network), OnnxEngine(encoder, denoisers, "cpu")
    images = {
        name: rng.integers(
            0, 256,
            (config.observation_steps, robot.camera(name).observation_height, robot.camera(name).observation_width, 3),
            dtype=np.uint8,
        )
        for name in config.cameras
    }  # fmt: skip
    state = rng.normal(size=(config.observation_steps, robot.dof)) * 0.3
    a, b = ours.encode(images, state), theirs.encode(images, state)
    gaps = {name: float(np.abs(a[name] - b[name]).max()) for name in b}
    columns = config.experts if isinstance(network, SmpNet) else robot.dof
    x = rng.normal(size=(config.horizon, columns))
    mask, embedding = np.ones(len(denoisers)), rng.normal(size=EMBEDDING)
    for i in range(len(denoisers)):
        pair = [engine.denoise(i, a["feature"], x, mask, embedding) for engine in (ours, theirs)]
        gaps[f"denoiser_{i}"] = float(np.abs(pair[0] - pair[1]).max())
    worst = max(gaps, key=lambda name: gaps[name])
    if not gaps[worst] <= _TOLERANCE:
        raise ModelError(f"exported '{worst}' differs from PyTorch by {gaps[worst]:.2e}, allowed {_TOLERANCE:.0e}")
