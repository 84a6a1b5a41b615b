"""`smp up`: the same graph as bimanual.launch.py, with the same arguments, where launch_ros is not installed."""

import signal
import time

from smp_bringup.cli.options import options_of
from smp_bringup.cli.show import console
from smp_bringup.graph import Argument, GraphArguments
from smp_bringup.record.stops import STOPS


@options_of(GraphArguments, blackbox=STOPS)
def up(**arguments: Argument) -> None:
    """Start all nodes and stop them together; ends with an error when one of them dies."""
    from smp_bringup.graph import build_graph, remarks, require_startable
    from smp_bringup.launcher import Graph

    graph = build_graph(**arguments)
    require_startable(graph)  # a wrong model is named before anything starts
    for line in remarks(**arguments):
        console.print(line, soft_wrap=True)
    stop = False

    def asked(*_: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, asked)
    with Graph(graph) as running:
        where = "" if graph[0].namespace == "/" else f" --namespace {graph[0].namespace}"
        names = ", ".join(running.processes)
        console.print(f"running {names}; arm with: smp arm{where}; stop with Ctrl-C", soft_wrap=True)
        while not stop:
            running.check()
            time.sleep(0.1)
