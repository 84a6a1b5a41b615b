"""Denoisers whose large weights are 8-bit integers: a quarter of the bytes to read, and quicker products, on the CPU.

A weight is rounded once, with a scale of its own for each output. What it is multiplied with is rounded at each call,
to the range that it has then (ONNX operators DynamicQuantizeLinear and MatMulInteger).
"""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smp_bringup.errors import ModelError

_LARGE = 1 << 14
"""Products of fewer weights stay as they are: the first and the last layer, which see joints, among them."""
_STEPS = 63
"""Of a weight, on either side of zero: CPUs without VNNI add two products in 16 bits, and 127 would not always fit."""
_SWAPPED = (0, 2, 1)


def quantized(model: bytes, name: str) -> bytes:
    """Return a denoiser's ONNX model with the large weights of its products in 8-bit integers.

    Args:
        model: that was checked, see `onnx_check`.
        name: of its file, for errors.

    Raises:
        ModelError: it has none, or they are not finite.
    """
    rounding = _Rounding(onnx.load_from_string(model), name)
    content: bytes = rounding.model().SerializeToString()
    return content


class _Rounding:
    """Writes the graph anew, product by product; a convolution over time is one, of what its taps see."""

    def __init__(self, model: onnx.ModelProto, file: str) -> None:
        self._model, self._file = model, file
        self._weights = _constants(model.graph)
        self._made: list[onnx.TensorProto] = []
        self._count = 0

    def model(self) -> onnx.ModelProto:
        """Return the rounded model, without the weights that nothing reads any more."""
        graph = self._model.graph
        nodes = [one for node in graph.node for one in self._rounded(node)]
        if not self._count:
            raise ModelError(
                f"no product of this policy's experts has {_LARGE} weights or more: int8 gains nothing here"
            )
        read, kept = {value.name for value in graph.output}, list[onnx.NodeProto]()
        for node in reversed(nodes):
            if read.intersection(node.output):
                kept.append(node)
                read.update(node.input)
        weights = [tensor for tensor in (*graph.initializer, *self._made) if tensor.name in read]
        graph.ClearField("node")
        graph.node.extend(reversed(kept))
        graph.ClearField("initializer")
        graph.initializer.extend(weights)
        graph.ClearField("value_info")
        return self._model

    def _rounded(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield what computes a node from now on."""
        first, second = [*node.input, "", ""][:2]
        if node.op_type == "MatMul" and self._large(second):
            yield from self._product(first, self._weights[second], node.output[0])
        elif node.op_type == "Conv" and self._large(second, 3) and (taps := _taps(node)):
            yield from self._convolution(node, self._weights[second], *taps)
        elif node.op_type == "Gemm" and self._large(second) and len(node.input) == 3 and (kind := _linear(node)):
            product, weight = f"{self._name()}/product", self._weights[second]
            yield from self._product(first, weight.T if kind == "transposed" else weight, product)
            yield helper.make_node("Add", [product, node.input[2]], [node.output[0]])
        else:
            yield node

    def _large(self, name: str, dimensions: int = 2) -> bool:
        weight = self._weights.get(name)
        return weight is not None and weight.ndim == dimensions and weight.size >= _LARGE

    def _convolution(
        self, node: onnx.NodeProto, weight: NDArray[np.float32], stride: int, padding: int
    ) -> Iterator[onnx.NodeProto]:
        """Yield a convolution over time of (1, C, T), as one product with what each of its taps sees."""
        name, taps = self._name(), weight.shape[2]
        seen = f"{name}/turned"
        yield helper.make_node("Transpose", [node.input[0]], [seen], perm=_SWAPPED)
        if padding:
            width = self._number(f"{name}/pads", [0, padding, 0, 0, padding, 0])
            yield helper.make_node("Pad", [seen, width], [f"{name}/padded"])
            seen = f"{name}/padded"
        if taps > 1 or stride > 1:
            axis, step = self._number(f"{name}/axis", [1]), self._number(f"{name}/step", [stride])
            for i in range(taps):
                start = self._number(f"{name}/start{i}", [i])
                end = self._number(f"{name}/end{i}", [i + 1 - taps or np.iinfo(np.int64).max])
                yield helper.make_node("Slice", [seen, start, end, axis, step], [f"{name}/tap{i}"])
            yield helper.make_node("Concat", [f"{name}/tap{i}" for i in range(taps)], [f"{name}/seen"], axis=2)
            seen = f"{name}/seen"
        flat = weight.transpose(2, 1, 0).reshape(-1, len(weight))
        yield from self._product(seen, flat, f"{name}/product")
        yield helper.make_node("Transpose", [f"{name}/product"], [f"{name}/back"], perm=_SWAPPED)
        bias = self._weights[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        self._weight(f"{name}/bias", bias[:, None])
        yield helper.make_node("Add", [f"{name}/back", f"{name}/bias"], [node.output[0]])

    def _name(self) -> str:
        self._count += 1
        return f"int8/{self._count}"

    def _product(self, x: str, weight: NDArray[np.float32], out: str) -> Iterator[onnx.NodeProto]:
        """Yield the product of `x` (..., I) and a weight (I, O)."""
        name = self._name()
        if not np.isfinite(weight).all():
            raise ModelError(f"{self._file}: a weight is not finite: train or export it anew")
        scale = np.maximum(np.abs(weight).max(axis=0) / _STEPS, np.finfo(np.float32).tiny).astype(np.float32)
        self._weight(f"{name}/weight", np.rint(weight / scale).astype(np.int8))
        self._weight(f"{name}/scale", scale)
        of_x = [f"{name}/{part}" for part in ("x", "x_scale", "x_zero")]
        yield helper.make_node("DynamicQuantizeLinear", [x], of_x)
        yield helper.make_node("MatMulInteger", [of_x[0], f"{name}/weight", of_x[2]], [f"{name}/sum"])
        yield helper.make_node("Cast", [f"{name}/sum"], [f"{name}/whole"], to=TensorProto.FLOAT)
        yield helper.make_node("Mul", [of_x[1], f"{name}/scale"], [f"{name}/scales"])
        yield helper.make_node("Mul", [f"{name}/whole", f"{name}/scales"], [out])

    def _number(self, name: str, value: list[int]) -> str:
        self._weight(name, np.array(value, dtype=np.int64))
        return name

    def _weight(self, name: str, value: NDArray[np.generic]) -> None:
        self._made.append(numpy_helper.from_array(value, name))


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a graph in single precision, also those that it widens when it is loaded."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    named = {name: name for name in stored}
    named |= {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored
    }
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return {
        name: numpy_helper.to_array(stored[source]).astype(np.float32)
        for name, source in named.items()
        if stored[source].data_type in floats
    }


def _taps(node: onnx.NodeProto) -> tuple[int, int] | None:
    """Return stride and padding of a convolution over time such as networks here have; None of any other."""
    told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    stride, pads = told.get("strides", [1]), told.get("pads", [0, 0])
    plain = told.get("group", 1) == 1 and list(told.get("dilations", [1])) == [1] and pads[0] == pads[1]
    return (stride[0], pads[0]) if plain and not told.get("auto_pad") else None


def _linear(node: onnx.NodeProto) -> str:
    """Return how a Gemm takes its weight, as it is or transposed; "" where it does more than a linear layer."""
    told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if told.get("transA", 0) or (told.get("alpha", 1.0), told.get("beta", 1.0)) != (1.0, 1.0):
        return ""
    return "transposed" if told.get("transB", 0) else "plain"
