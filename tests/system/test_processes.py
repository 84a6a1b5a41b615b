"""Single nodes as processes: parameters, queues, shared memory, and a command process that stays light."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

SHARED = """
/**:
  ros__parameters:
    camera_info_url: package://somebody/else.yaml
    joint_trajectory_controller: {gains: {p: 3.0}}
    safty: default
command:
  ros__parameters: {realtime: "off"}
"""


def test_a_file_of_parameters_for_several_nodes_may_hold_what_is_not_ours(tmp_path):
    from smp_bringup.client.graph_client import graph_client

    (tmp_path / "shared.yaml").write_text(SHARED)
    command = [sys.executable, "-m", "smp_bringup.nodes.command_node", "--ros-args"]
    with (tmp_path / "log").open("w+") as log:
        given = ["--params-file", str(tmp_path / "shared.yaml")]
        process = subprocess.Popen([*command, *given], stdout=log, stderr=log)
        try:
            with graph_client() as client:
                client.wait(lambda: bool(client.command_state), 60, "the command node")
        finally:
            process.terminate()
            process.wait(60)
        log.seek(0)
        said = log.read()
    assert "parameter 'safty' of several nodes is none of ours (did you mean 'safety'?)" in said
    assert "camera_info_url" not in said
    assert "realtime off" in said


def test_the_command_process_runs_without_torch_images_or_inference(launch, tmp_path, monkeypatch, robot):
    """Importing any of them raises here; the node comes up and answers all the same."""
    from smp_bringup.graph import NodeSpec
    from smp_bringup.launcher import Graph

    blocked = tmp_path / "blocked"
    for module in ("torch", "cv2", "PIL", "onnxruntime", "mujoco", "rosbags", "mcap", "matplotlib"):
        (blocked / module).mkdir(parents=True)
        (blocked / module / "__init__.py").write_text(f"raise RuntimeError('the command process imports {module}')\n")
    monkeypatch.setenv("PYTHONPATH", f"{blocked}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    from smp_bringup.client.graph_client import graph_client

    with Graph([NodeSpec("command", {"robot": "aloha"})], tmp_path / "log") as graph, graph_client() as client:
        client.wait(lambda: client.command_state.get("mode") == "disarmed", 60, "the command node", graph.check)


def test_what_waits_in_a_queue_is_taken_in_order_at_once():
    """An executor hands out one message at a time: the others are there, and are not handed out again."""
    from sensor_msgs.msg import JointState

    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.nodes import qos
    from smp_bringup.nodes.base import waiting

    heard = []
    with graph_client("busy") as node:
        subscription = node.create_subscription(JointState, "/fast", heard.append, qos.JOINTS)
        publisher = node.create_publisher(JointState, "/fast", qos.DRIVER)
        node.wait(lambda: publisher.get_subscription_count() > 0, 60, "matching")
        for k in range(10):
            publisher.publish(JointState(position=[float(k)]))
        node.wait(lambda: heard, 60, "a message")
        deadline, all_of_them = time.monotonic() + 10, list(heard)
        while len(all_of_them) < 10 and time.monotonic() < deadline:
            all_of_them += [message for message, _ in waiting(subscription)]
        node.spin(0.1)
        assert [message.position[0] for message in all_of_them] == list(range(10))
        assert len(heard) == 1


def segments(process):
    """Return the segments of shared memory that a process has mapped, once it has any."""
    deadline, found = time.monotonic() + 60, set()
    while not found and time.monotonic() < deadline:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        found = set(re.findall(r"/dev/shm/fastdds_[0-9a-f]{16}$", maps, re.MULTILINE))
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {process.wait(0.05)}")
    return {Path(name) for name in found}


def test_a_killed_process_leaves_no_shared_memory_and_a_living_one_keeps_its_own(tmp_path):
    from smp_bringup.environment import free_shared_memory
    from smp_bringup.graph import NodeSpec
    from smp_bringup.launcher import Graph

    nodes = [NodeSpec("teleop", {"robot": "aloha"}), NodeSpec("sync", {"robot": "aloha"})]
    with Graph(nodes, tmp_path / "log") as graph:
        living, killed = segments(graph.processes["teleop"]), segments(graph.processes["sync"])
        own = killed - living  # what both have mapped is of one of them
        graph.processes["sync"].kill()
        graph.processes["sync"].wait()
        assert living
        assert own
        free_shared_memory()
        assert not any(path.exists() for path in own)
        assert any(path.exists() for path in living)


PARAMETERS = {  # what is read once, and a value that it could have had
    "command": {"safety": "default", "realtime": "off", "cpus": "0", "replayed": True},
    "sync": {"aligner": "message_filters", "robot": "aloha"},
    "teleop": {"noise": 0.01, "seed": 3},
    "sim": {"operator": "scripted", "camera_latency_s": 0.1, "publish_clock": True},
    "recorder": {"settings": "default"},
    "policy": {"seed": 3, "device": "cpu", "hung_s": 9.0},
}


def test_what_a_node_reads_once_cannot_be_set_and_says_what_is_allowed(tmp_path):
    from rcl_interfaces.srv import DescribeParameters

    from smp_bringup.client.answers import GraphError
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.graph import NodeSpec
    from smp_bringup.launcher import Graph

    nodes = [NodeSpec(name, {}) for name in PARAMETERS]
    with Graph(nodes, tmp_path / "log") as graph, graph_client() as client:
        for name, parameters in PARAMETERS.items():
            service = f"/{name}/set_parameters"
            client.wait(lambda service=service: client.service_ready(service), 60, name, graph.check)
            for key, value in parameters.items():
                with pytest.raises(GraphError, match=f"{name} refused its parameters: .*read-only"):
                    client.set_parameters(name, **{key: value})
        client.set_parameters("sim", task="lift_tray", seed=5)
        with pytest.raises(GraphError, match="range"):
            client.set_parameters("sim", seed=-1)
        asked = DescribeParameters.Request(names=["seed", "operator"])
        described = client._request(DescribeParameters, "/sim/describe_parameters", asked, 10)
        seed, operator = described.descriptors
        assert seed.integer_range[0].from_value == 0
        assert operator.additional_constraints == "one of none, scripted"


def test_the_clock_of_the_headers_does_not_change_while_the_command_node_is_armed(launch, tmp_path):
    from smp_bringup.client.answers import GraphError

    with launch(tmp_path / "log", model="none", sim=True, task="lift_tray") as (graph, client):
        client.wait(lambda: bool(client.sim_state and client.command_state), 60, "the graph", graph.check)
        client.wait(lambda: client.accepts("arm"), 60, "arming", graph.check)
        with pytest.raises(GraphError, match="use_sim_time cannot change in hold: disarm first"):
            client.set_parameters("command", use_sim_time=True)
        client.set_bool("/command/estop", True)
        with pytest.raises(GraphError, match="use_sim_time cannot change in estop"):
            client.set_parameters("command", use_sim_time=True)
        client.set_bool("/command/estop", False)
        client.wait(lambda: client.accepts("reset"), 60, "the reset", graph.check)
        client.set_parameters("command", use_sim_time=True)


def test_what_is_only_not_there_yet_is_waited_for_and_an_error_later(tmp_path):
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.graph import NodeSpec
    from smp_bringup.launcher import Graph

    log = tmp_path / "log"
    with Graph([NodeSpec("sync", {}), NodeSpec("command", {})], log) as graph, graph_client() as client:
        for missing in ("camera_missing:overview", "arm_left_gone: no driver"):
            error = rf"\[ERROR\] .*: {missing}"
            client.wait(lambda: re.search(error, log.read_text()), 60, f"the error {missing}", graph.check)  # noqa: B023
            before = re.split(error, log.read_text())[0]
            assert re.search(rf"\[INFO\] .*: waiting, as after every start: {missing}", before), before
