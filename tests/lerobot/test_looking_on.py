"""LeRobot's own recorder looks on while others lead the arms, and sees a graph end."""

import sys
from pathlib import Path

import numpy as np

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.robot import load_robot

sys.path.insert(0, str(Path(__file__).parent))
from tools_of_lerobot import LOOKS_ON, ROBOT, SCRIPTED, WAIT_S, dataset, kept, tool


def test_lerobot_records_what_leads_a_running_graph(lerobot_python, tmp_path):
    nodes = build_graph(sim=True, robot="aloha_64", model="none", teleop=True)
    with Graph(nodes, tmp_path / "graph") as graph, graph_client() as client:
        client.start_episode("press_two_buttons", 3, "teleop", graph.check)
        words = (*ROBOT, *LOOKS_ON, *dataset(tmp_path / "dataset"))
        with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
            client.wait(lambda: "Recording episode" in recorder.said, WAIT_S, "LeRobot's recording", graph.check)
            client.trigger("sim/operate")
            client.wait(recorder.ended, WAIT_S, "the end of the recording", graph.check)
            assert recorder.process.returncode == 0, recorder.said[-3000:]
        leads = (*ROBOT[:2], "--robot.wait_s=5", *SCRIPTED, *dataset(tmp_path / "other"))
        with tool(lerobot_python, "lerobot-record", tmp_path, *leads) as second:
            client.wait(second.ended, WAIT_S, "LeRobot not to lead", graph.check)
            assert "somebody else leads the arms on /leader_left/joint_states, " in second.error
        assert client.command_state["mode"] == "teleop"
        words = (*ROBOT, *LOOKS_ON, *dataset(tmp_path / "stopped", seconds=600))
        with tool(lerobot_python, "lerobot-record", tmp_path, *words) as stopped:
            client.wait(lambda: "Recording episode" in stopped.said, WAIT_S, "LeRobot's recording", graph.check)
            client.set_bool("command/estop", True)
            client.wait(stopped.ended, WAIT_S, "its end", graph.check)
            assert "the arms are stopped: estop" in stopped.error
    ((measured, told),) = kept(tmp_path / "dataset", tmp_path / "bags", load_robot("aloha_64"))
    assert np.ptp(measured, axis=0).max() > 0.1
    assert np.ptp(told, axis=0).max() > 0.1


def test_a_graph_in_a_namespace_that_ends_ends_the_recording(lerobot_python, tmp_path):
    nodes = build_graph(sim=True, robot="aloha_64", model="none", teleop=True, operator="none", namespace="robot1")
    here = ("--robot.wait_s=10", "--robot.namespace=robot1")
    words = (*ROBOT[:2], *here, *SCRIPTED, *dataset(tmp_path / "dataset", seconds=600))
    with Graph(nodes, tmp_path / "graph") as graph, graph_client(namespace="robot1") as client:
        client.wait(lambda: bool(client.sim_state and client.command_state), WAIT_S, "the graph", graph.check)
        with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
            client.wait(
                lambda: client.command_state["mode"] == "teleop" or recorder.ended(),
                WAIT_S,
                "LeRobot to lead",
                graph.check,
            )
            graph.stop()
            recorder.process.wait(WAIT_S)
            assert "waited 10 s for an observation of sync: nothing comes" in recorder.error


def test_a_graph_that_reads_no_leaders_is_not_led(lerobot_python, tmp_path):
    words = (*ROBOT[:2], "--robot.wait_s=5", *SCRIPTED, *dataset(tmp_path / "dataset"))
    nodes = build_graph(sim=True, robot="aloha_64", model="none")
    with Graph(nodes, tmp_path / "graph") as graph, graph_client() as client:
        client.wait(lambda: bool(client.command_state), WAIT_S, "the graph", graph.check)
        with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
            client.wait(recorder.ended, WAIT_S, "the refusal", graph.check)
            assert "no teleop node runs: start the graph with --teleop" in recorder.error
