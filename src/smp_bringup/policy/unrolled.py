"""The whole sampler of one denoiser as one ONNX graph: all its steps in a row, composed when a policy is loaded.

What depends on the observation alone (which experts' weights are read) is the same in every step, and ONNX Runtime
computes what is the same once. A loop operator would compute it in every step.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import X0_LIMIT, schedule

OUTPUT = "sample"
_GIVEN = ("feature", "mask")
"""Inputs of a denoiser that stay the same from step to step."""


def can_unroll(config: PolicyConfig) -> bool:
    """Return whether a policy's sampler draws nothing on its way: DDPM draws new noise, which is the host's to seed."""
    return config.sampler == "ddim"


def unrolled(denoiser: bytes, config: PolicyConfig) -> bytes:
    """Return the model of the whole sampler, with DDIM, of a model of one denoiser that predicts the whole sample.

    Its inputs are what the denoiser takes of "feature" (1, F) and "mask" (1, K), and "noise" (1, T, N), "held"
    (1, T, 1), whether a row is known, and "noised" (S, 1, T, N), the known rows as each step meets them. What it says
    of known rows is to be left aside.
    """
    graph = _Unrolled(onnx.load_from_string(denoiser), config)
    return graph.model()


class _Unrolled:
    """Writes the graph; names of the denoiser hold a slash, and ours do not."""

    def __init__(self, denoiser: onnx.ModelProto, config: PolicyConfig) -> None:
        self._denoiser, self._config = denoiser, config
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._once: dict[str, str] = {}
        """Values of the denoiser that do not depend on its inputs, and their names here."""
        self._body: list[onnx.NodeProto] = []
        self._take_weights(denoiser.graph)

    def model(self) -> bytes:
        """Return the whole model."""
        inputs = {value.name: value for value in self._denoiser.graph.input}
        shape = [d.dim_value for d in inputs["x"].type.tensor_type.shape.dim]
        steps = self._config.denoise_steps
        self._steps(steps)
        given = [
            _value("noise", shape),
            _value("noised", [steps, *shape]),
            helper.make_tensor_value_info("held", TensorProto.BOOL, [1, shape[1], 1]),
            *(inputs[name] for name in _GIVEN if name in inputs),
        ]
        graph = helper.make_graph(self._nodes, "sampler", given, [_value(OUTPUT, shape)], self._weights)
        model = helper.make_model(graph, opset_imports=self._denoiser.opset_import)
        model.ir_version = self._denoiser.ir_version
        content: bytes = model.SerializeToString()
        return content

    def _take_weights(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = self._once[tensor.name] = f"weights/{tensor.name}"
            self._weights.append(copy)
        for node in graph.node:
            if all(not name or name in self._once for name in node.input):
                self._once |= {name: f"weights/{name}" for name in node.output if name}
                self._nodes.append(_renamed(node, self._once, ""))
            else:
                self._body.append(node)

    def _steps(self, steps: int) -> None:
        plan, x = schedule(self._config), "noise"
        limits = [self._constant("lowest", -X0_LIMIT), self._constant("highest", X0_LIMIT)]
        for step in range(steps):
            row = self._constant(f"row{step}", step, np.int64)
            self._add("Gather", ["noised", row], f"noised{step}", axis=0)
            met = self._add("Where", ["held", f"noised{step}", x], f"met{step}")
            out = self._denoised(step, met, plan.embedding[step])
            if self._config.prediction == "eps":
                scaled = self._add("Mul", [met, self._constant(f"s{step}", 1 / plan.signal[step])], f"scaled{step}")
                noise = self._constant(f"n{step}", plan.noise[step] / plan.signal[step])
                out = self._add("Sub", [scaled, self._add("Mul", [out, noise], f"taken{step}")], f"cleaned{step}")
            clean = self._add("Clip", [out, *limits], OUTPUT if step + 1 == steps else f"clean{step}")
            if step + 1 == steps:
                return
            kept = plan.residual[step] / plan.noise[step]
            share = self._constant(f"a{step}", plan.signal[step + 1] - kept * plan.signal[step])
            forward = self._add("Mul", [clean, share], f"forward{step}")
            back = self._add("Mul", [met, self._constant(f"b{step}", kept)], f"back{step}")
            x = self._add("Add", [forward, back], f"x{step + 1}")

    def _denoised(self, step: int, x: str, embedding: NDArray[np.float64]) -> str:
        """Add the denoiser once, and return the name of what it predicts."""
        told = self._constant(f"embedding{step}", embedding[None])
        names = self._once | {"x": x, "embedding": told} | {name: name for name in _GIVEN}
        self._nodes += [_renamed(node, names, f"step{step}/") for node in self._body]
        return f"step{step}/{self._denoiser.graph.output[0].name}"

    def _constant(self, name: str, value: object, kind: type = np.float32) -> str:
        self._weights.append(numpy_helper.from_array(np.asarray(value, dtype=kind), name))
        return name

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def _renamed(node: onnx.NodeProto, names: dict[str, str], prefix: str) -> onnx.NodeProto:
    """Return a copy of a node whose values have the names given, and `prefix` before others."""

    def new(values: Iterable[str]) -> list[str]:
        return [names.get(value, f"{prefix}{value}") if value else "" for value in values]

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    inputs, outputs = new(node.input), new(node.output)
    del copy.input[:], copy.output[:]
    copy.input.extend(inputs)
    copy.output.extend(outputs)
    copy.name = ""
    return copy


def _value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
