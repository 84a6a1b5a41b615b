"""The live sync, policy and command nodes over a recorded bag, on the bag's clock; nothing drives the arms."""

from smp_bringup.graph import ReplayArguments, replay_graph
from smp_bringup.launch_actions import description


def generate_launch_description():
    """Return the arguments and the nodes; the end of the bag ends them."""
    return description(ReplayArguments, replay_graph)
