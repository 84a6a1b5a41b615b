"""The black box beside the running graph: a stop that somebody presses, and a command node that dies."""

import os
import signal

import pytest
from diagnostic_msgs.msg import DiagnosticArray

from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.client.last_stop import last_stop
from smp_bringup.graph import NodeSpec, build_graph
from smp_bringup.launcher import Graph, NodeDied
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.record.stops import stop_folders
from smp_bringup.record.story import tell
from smp_bringup.record.story_page import PAGE
from smp_bringup.replay.run import ReplaySettings, replay


def test_a_stop_while_the_policy_drives_is_kept_told_and_can_be_replayed(tmp_path):
    said = {}
    graph = build_graph(sim=True, blackbox=str(tmp_path / "stops"))
    with Graph(graph, tmp_path / "log") as running, graph_client() as client:
        client.create_subscription(
            DiagnosticArray, "blackbox/state", lambda message: said.update(status_values(message)), qos.STATE
        )
        client.start_episode("transfer_cube", 0, "policy", running.check)
        client.spin_for(1.5, running.check)
        client.set_bool("command/estop", True)
        client.wait(lambda: said.get("written") == "1", START_S, "the stop to be written", running.check)
        assert last_stop(client) == said["last"]
        client.wait((tmp_path / "stops" / said["last"] / PAGE).is_file, START_S, "its page", running.check)
    (folder,) = stop_folders(tmp_path / "stops")
    bag = open_bag(folder)
    bag.verify()
    assert (bag.episode["stopped"], bag.episode["stopped_mode"]) == ("estop", "policy")
    robot = bag.robot()
    story = tell(bag, robot).told
    assert all(camera["at_s"] for camera in story["cameras"])
    assert all(any(value is not None for value in row) for row in story["joints"]["commanded"])
    result = replay(bag, build_policy(find_model("smp_aloha"), robot), robot, ReplaySettings(allow_missing=True))
    assert len(result.chunks) > 5


def test_a_command_node_that_dies_armed_is_told_at_the_end_of_the_graph(tmp_path):
    graph = build_graph(sim=True, model="none", blackbox=str(tmp_path / "stops"))
    with Graph(graph, tmp_path / "log") as running, graph_client() as client:
        client.wait(lambda: client.count_publishers("blackbox/state") > 0, START_S, "the black box", running.check)
        client.wait(lambda: client.accepts("arm"), START_S, "the arms", running.check)
        client.wait(lambda: client.command_state["mode"] == "hold", START_S, "the mode", running.check)
        client.spin_for(0.5, running.check)
        os.kill(running.processes["command"].pid, signal.SIGKILL)
        running.processes["command"].wait()
        client.spin_for(0.5)
        with pytest.raises(NodeDied, match="command"):
            running.check()
    (folder,) = stop_folders(tmp_path / "stops")
    assert open_bag(folder).episode["stopped"] == "silent"


def test_a_graph_goes_on_without_a_black_box_that_cannot_start(tmp_path, capsys):
    broken = NodeSpec("blackbox", {"robot": "no such robot"}, respawn=True, needed=False)
    with Graph([*build_graph(sim=True, model="none"), broken], tmp_path / "log") as running, graph_client() as client:
        client.wait(lambda: running.processes["blackbox"].poll() is not None, START_S, "its end", running.check)
        running.check()
        client.wait(lambda: bool(client.command_state), START_S, "the command node", running.check)
    assert "the graph goes on without it" in capsys.readouterr().out
