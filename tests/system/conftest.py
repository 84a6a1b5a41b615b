"""Real processes on a private DDS domain of this machine; every wait has a condition and a deadline."""

from contextlib import contextmanager

import pytest

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph


@contextmanager
def running(log, **settings):
    """Run a graph and a client of it."""
    with Graph(build_graph(**settings), log) as graph, graph_client() as client:
        yield graph, client


@pytest.fixture(scope="session")
def launch():
    """Return `running`."""
    return running
