"""Sync, policy and command for two arms; with sim:=true, a simulated robot stands in for the drivers."""

from smp_bringup.graph import GraphArguments, build_graph, remarks
from smp_bringup.launch_actions import description
from smp_bringup.record.stops import STOPS


def generate_launch_description():
    """Return the arguments and the nodes they describe."""
    return description(GraphArguments, build_graph, remarks, blackbox=STOPS)
