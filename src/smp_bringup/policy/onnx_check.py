"""What an ONNX model may not do: leave its bytes, use foreign operators, or have other dimensions."""

import onnx
from google.protobuf.message import DecodeError

from smp_bringup.errors import ModelError
from smp_bringup.policy.config import PolicyConfig

_DOMAINS = {"", "ai.onnx"}


def check_model(content: bytes, name: str, dof: int, policy: PolicyConfig) -> None:
    """Refuse a model before any session is made from it.

    Raises:
        ModelError: it is corrupt, refers to external data, uses a custom operator, or has
            inputs of the wrong size.
    """
    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{name} is not an ONNX model: {error}") from None
    for tensor in model.graph.initializer:
        if tensor.external_data:
            raise ModelError(f"{name}: external data '{tensor.external_data[0].value}' leaves the model folder")
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            raise ModelError(f"{name}: operator domain '{node.domain}' is not allowed")
    wanted = {"state": [1, policy.observation_steps, dof], "x": [1, policy.horizon, policy.columns(dof)]}
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.name in wanted and shape != wanted[value.name]:
            raise ModelError(f"{name}: input '{value.name}' is {shape}, robot and config give {wanted[value.name]}")
