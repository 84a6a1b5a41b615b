"""What an ONNX model may not do: leave its bytes, run without end, use foreign operators, or have other dimensions."""

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper, shape_inference

from smp_bringup.errors import ModelError, one_line
from smp_bringup.policy.base import VECTORS
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.robot import Robot
from smp_bringup.words.encoder import SIZE as WORDS_SIZE

_DOMAINS = {"", "ai.onnx"}
_LARGEST_VALUE = 1 << 28
"""Numbers in one value that is computed: a GiB."""
_LARGEST_SHAPE = 64
"""Numbers in a tensor that could be a shape."""


def check_model(content: bytes, name: str, robot: Robot, policy: PolicyConfig) -> None:
    """Refuse a model before any session is made from it.

    Raises:
        ModelError: it is corrupt, refers to external data, holds NaN, uses a custom operator or one with a graph of
            its own (a loop need not end), computes something huge, or has inputs of the wrong size.
    """
    try:
        model = onnx.load_from_string(content)
        _check_parts(model, name)
        _check_inputs(model, name, robot, policy)
        _check_sizes(model, name)
    except ModelError:
        raise
    except (DecodeError, ValueError, TypeError, RuntimeError) as error:  # of broken tensors and shapes
        raise ModelError(f"{name} is not an ONNX model: {one_line(error)[:200]}") from None


def _check_parts(model: onnx.ModelProto, name: str) -> None:
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{name} is not an ONNX model: it has no graph")
    if model.functions or model.training_info:
        raise ModelError(f"{name}: functions and training graphs are not allowed: export the plain graph")
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            raise ModelError(f"{name}: operator domain '{one_line(node.domain)}' is not allowed")
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise ModelError(
                f"{name}: operator {one_line(node.op_type)} holds a graph of its own, which is not allowed"
            )
    for tensor in _tensors(model.graph):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            where = one_line(tensor.external_data[0].value) if tensor.external_data else one_line(tensor.name)
            raise ModelError(f"{name}: external data '{where}' leaves the model folder")
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise ModelError(f"{name}: weight '{one_line(tensor.name)}' holds NaN: train it anew")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a graph, wherever it stands."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors] if attribute.HasField("t") else attribute.tensors
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            sparse += attribute.sparse_tensors
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _check_inputs(model: onnx.ModelProto, name: str, robot: Robot, policy: PolicyConfig) -> None:
    steps, numbers = policy.observation_steps, sum(robot.vector(one).length for one in policy.vectors)
    wanted = {"state": [1, steps, robot.dof], "x": [1, policy.horizon, policy.columns(robot.dof)]}
    wanted |= {VECTORS: [1, steps, numbers], "words": [1, WORDS_SIZE]}
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.name in wanted and shape != wanted[value.name]:
            raise ModelError(f"{name}: input '{value.name}' is {shape}, robot and config give {wanted[value.name]}")


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose large tensors are inputs instead: shapes say as much, and are copied in no time."""
    slim, graph = onnx.ModelProto(), model.graph
    slim.ir_version = model.ir_version
    slim.opset_import.extend(model.opset_import)
    slim.graph.node.extend(graph.node)
    slim.graph.input.extend(graph.input)
    slim.graph.output.extend(graph.output)
    slim.graph.sparse_initializer.extend(graph.sparse_initializer)
    given = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _LARGEST_SHAPE:
            slim.graph.initializer.append(tensor)
        elif tensor.name not in given:
            slim.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return slim


def _check_sizes(model: onnx.ModelProto, name: str) -> None:
    """Refuse what would be computed larger than any memory; no number in the graph is read as a size unchecked."""
    graph = shape_inference.infer_shapes(_without_weights(model), data_prop=True).graph
    for value in (*graph.value_info, *graph.output):
        size = prod(max(1, d.dim_value) for d in value.type.tensor_type.shape.dim)
        if size > _LARGEST_VALUE:
            raise ModelError(f"{name}: '{one_line(value.name)}' would hold {size} numbers, at most {_LARGEST_VALUE}")
