"""`smp estop` where a user's machine is in a bad way: it stops the arms all the same, and says so if it can."""

import os
import subprocess
import sys

import pytest

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

ESTOP = f"{sys.executable} -m smp_bringup.cli.main estop"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Whoever looks on at a command node that runs alone."""
    nodes = [node for node in build_graph(sim=True, model="none") if node.name == "command"]
    with Graph(nodes, tmp_path_factory.mktemp("estop") / "log") as graph, graph_client() as client:
        client.wait(lambda: client.service_ready("/command/estop"), 60, "its emergency stop", graph.check)
        yield client


@pytest.mark.parametrize(
    ("line", "given", "said"),
    [
        (ESTOP, {}, "emergency stop\n"),
        (f"{ESTOP} >&-", {}, ""),
        (f"{ESTOP} 2>&-", {}, "emergency stop\n"),
        (f"{ESTOP} >/dev/full", {}, ""),
        (f"{ESTOP} | :; exit ${{PIPESTATUS[0]}}", {}, ""),
        (ESTOP, {"ROS_LOG_DIR": "/proc/no_folder"}, "emergency stop\n"),
    ],
)
def test_a_stop_needs_no_output_and_no_folder_for_logs(client, line, given, said):
    client.set_bool("/command/estop", False)  # it stays latched, and the button is pressed anew
    done = subprocess.run(["bash", "-c", line], env={**os.environ, **given}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    client.wait(lambda: client.command_state.get("mode") == "estop", 30, "the stop")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ROS_DOMAIN_ID": "abc"}, "error: ROS_DOMAIN_ID is 'abc': set it to a whole number from 0 to 232\n"),
        ({"ROS_DOMAIN_ID": "233"}, "error: ROS_DOMAIN_ID is '233': set it to a whole number from 0 to 232\n"),
        ({"ROS_LOG_DIR": "/proc/no_folder"}, "error: ROS cannot write its logs (Failed to create log directory"),
    ],
)
def test_what_keeps_a_verb_out_of_the_graph_is_one_line(given, said):
    words = [sys.executable, "-m", "smp_bringup.cli.main", "status"]
    done = subprocess.run(words, env={**os.environ, **given}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(said)
