"""Real processes on a private DDS domain of this machine; every wait has a condition and a deadline."""

import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

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


@contextmanager
def stock(script, *words):
    """Run a script with these words beside the graph, with Fast DDS as it is by default."""
    env = {key: value for key, value in os.environ.items() if "DEFAULT_PROFILES" not in key}
    process = subprocess.Popen([sys.executable, str(script), *words], env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # Fast DDS may hang in closing
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def stock_party():
    """Return `stock`."""
    return stock


@pytest.fixture(scope="session")
def control_msgs(request):
    """Return PYTHONPATH with the gripper actions on it: those of this ROS, or built from tests/interfaces once."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if find_spec("control_msgs") is None:
        root, out = Path(__file__).parents[2], request.config.cache.mkdir("interfaces")
        command = [sys.executable, root / "tools/build_interfaces.py", root / "tests/interfaces/control_msgs", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 2:
            pytest.skip(done.stderr.splitlines()[-1])
        assert done.returncode == 0, done.stderr
        paths.insert(0, str(out))
    return os.pathsep.join(filter(None, paths))
