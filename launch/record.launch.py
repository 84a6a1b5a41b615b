"""Teleoperation and the recorder: leaders drive the followers, episodes go to bags."""

from smp_bringup.graph import NO_MODEL, GraphArguments, build_graph, remarks
from smp_bringup.launch_actions import description
from smp_bringup.record.stops import STOPS


def generate_launch_description():
    """Return the arguments and the nodes they describe."""
    return description(
        GraphArguments, build_graph, remarks, model=NO_MODEL, teleop=True, record="data/demos", blackbox=STOPS
    )
