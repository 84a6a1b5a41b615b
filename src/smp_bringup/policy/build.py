"""From settings to an untrained network, and from settings and weights to a trained one."""

from safetensors import SafetensorError
from safetensors.torch import load

from smp_bringup.errors import ModelError, one_line
from smp_bringup.policy import POLICIES
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.networks import AbstractNetwork

SCALE = "encoder.object_scale"
"""The weight that tells how many numbers of objects or vectors a network sees."""


def build_network(config: PolicyConfig, dof: int, objects: int = 0) -> AbstractNetwork:
    """Return the untrained network of a policy for `dof` joints and `objects` numbers of object poses or vectors."""
    network: AbstractNetwork = POLICIES[config.kind].build(config, dof, objects)
    return network


def trained_network(weights: bytes, config: PolicyConfig, dof: int, where: str) -> AbstractNetwork:
    """Return the network of a checkpoint's settings with its weights (safetensors), in single precision.

    Raises:
        ModelError: they are broken, or fit other settings; `where` names them.
    """
    try:
        tensors = load(weights)
        network = build_network(config, dof, len(tensors[SCALE]))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"{where} are no weights of ours: {one_line(error)}") from None
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"{where} does not fit its config: {str(error).splitlines()[0]}") from None
    return network
