"""The live sync, policy and command nodes over a recorded bag, on the bag's clock; nothing drives the arms."""

from pathlib import Path

from smp_bringup.bag.files import find_files
from smp_bringup.graph import ReplayArguments, replay_graph
from smp_bringup.launch_actions import description


def _graph(**arguments):
    nodes = replay_graph(**arguments)
    find_files(Path(arguments["bag"]))  # one that is not there is named before anything starts
    return nodes


def generate_launch_description():
    """Return the arguments and the nodes; the end of the bag ends them."""
    return description(ReplayArguments, _graph)
