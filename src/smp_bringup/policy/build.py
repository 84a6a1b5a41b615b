"""From settings to an untrained network."""

from smp_bringup.policy import POLICIES
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.networks import AbstractNetwork


def build_network(config: PolicyConfig, dof: int, objects: int = 0) -> AbstractNetwork:
    """Return the untrained network of a policy for `dof` joints and `objects` numbers of object poses or vectors."""
    network: AbstractNetwork = POLICIES[config.kind].build(config, dof, objects)
    return network
