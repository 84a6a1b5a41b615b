"""A simulated robot alone: cameras, joint states, and arms that follow setpoints."""

from dataclasses import dataclass, field

from smp_bringup.config import spec
from smp_bringup.graph import NodeSpec
from smp_bringup.launch_actions import description
from smp_bringup.names import full_namespace
from smp_bringup.nodes.params import SimParams


@dataclass(frozen=True)
class Arguments(SimParams):
    """The parameters of the node, and where it is."""

    namespace: str = field(default="", metadata=spec(help="of the node and of all relative names, e.g. robot1"))


def _graph(namespace, **parameters):
    return (NodeSpec("sim", parameters, namespace=full_namespace(namespace)),)


def generate_launch_description():
    """Return the arguments and the node they describe."""
    return description(Arguments, _graph)
