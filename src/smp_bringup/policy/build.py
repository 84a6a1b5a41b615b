"""From settings to an untrained network."""

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.dibm_net import DibmNet
from smp_bringup.policy.networks import AbstractNetwork, DiffusionNet, SparseNet
from smp_bringup.policy.smp_net import SmpNet
from smp_bringup.registry import Registry

NETWORKS: Registry[type[SmpNet] | type[DibmNet] | type[DiffusionNet] | type[SparseNet]] = Registry("policy")
NETWORKS.register("smp")(SmpNet)
NETWORKS.register("dibm")(DibmNet)
NETWORKS.register("diffusion")(DiffusionNet)
NETWORKS.register("sparse")(SparseNet)


def build_network(config: PolicyConfig, dof: int, objects: int = 0) -> AbstractNetwork:
    """Return the untrained network of a policy for `dof` joints and `objects` numbers of object poses."""
    return NETWORKS[config.kind](config, dof, objects)
