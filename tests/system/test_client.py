"""The client of a graph: its context on every way out, the way to a followed source, and the listener's figures."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import rclpy

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.client.listener import Listener
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.safety.modes import Mode, next_request

MS = 1_000_000


def udp_addresses():
    """Return the addresses (in hexadecimal, as the kernel lists them) of this process's UDP sockets."""
    links = [os.readlink(fd) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    rows = [row.split() for table in ("udp", "udp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if f"socket:[{row[9]}]" in links}


def test_the_context_ends_with_the_block_and_by_default_no_socket_is_bound_beyond_the_loopback(monkeypatch):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)
    with suppress(ZeroDivisionError), graph_client():
        assert udp_addresses() == {"0100007F"}  # 127.0.0.1
        raise ZeroDivisionError
    assert not rclpy.ok()
    with graph_client() as client:  # and may begin again
        client.spin_for(0.01)
    assert not rclpy.ok()


def test_who_joins_knows_of_the_others_at_once(tmp_path):
    """Where the answers to its announcement are lost, it hears of them 2.7 s later (config/fastdds.xml)."""
    with Graph([NodeSpec("command", {"robot": "aloha"})], tmp_path / "log"):
        with graph_client() as client:
            client.wait(lambda: client.accepts("disarm"), START_S, "the command node")
        found_s = []
        for _ in range(6):
            with graph_client() as client:
                start = time.monotonic()
                client.wait(lambda: client.service_ready("/command/estop"), 10, "its emergency stop")
                found_s.append(time.monotonic() - start)
    assert sorted(found_s)[3] < 1.5, found_s


LEAVES = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import rclpy
from std_msgs.msg import String
from smp_bringup.environment import prepare_environment
from smp_bringup.nodes.base import LeanNode
from smp_bringup.nodes.closing import end_rclpy
prepare_environment()
rclpy.init()
node = LeanNode("leaver", start_parameter_services=False)
node.create_publisher(String, "/leaver", 1)
for thread in map(int, os.listdir("/proc/self/task")):
    os.setpriority(os.PRIO_PROCESS, thread, 0 if thread == os.getpid() else 10)
sys.stdin.readline()
node.destroy_node()
end_rclpy()
"""
"""A node that ends in order, on one processor where its other threads do not interrupt it: as on a busy machine."""
LEAVERS = 6


def test_who_leaves_is_gone_at_once():
    """Where its farewell is lost, its publishers are seen until its lease ends, after 20 s."""
    with graph_client() as client, ExitStack() as ends:
        leavers = [subprocess.Popen([sys.executable, "-c", LEAVES], stdin=subprocess.PIPE) for _ in range(LEAVERS)]
        for leaver in leavers:
            ends.callback(leaver.kill)
        client.wait(lambda: client.count_publishers("/leaver") == LEAVERS, START_S, "their publishers")
        for leaver in leavers:
            leaver.stdin.close()
        for leaver in leavers:
            leaver.wait(START_S)
        client.wait(lambda: client.count_publishers("/leaver") == 0, 8, "their publishers to be gone")


def test_a_mistake_of_ours_is_not_taken_for_a_signal():
    with pytest.raises(RuntimeError, match="ours"), graph_client():
        raise RuntimeError("ours")


@pytest.mark.parametrize("use", [lambda c: c.spin(1.0), lambda c: c.service_ready("/command/arm")], ids=["spin", "ask"])
def test_a_context_that_a_signal_ended_is_an_interrupt_wherever_it_is_noticed(use):
    def interrupted():
        with graph_client() as client:
            rclpy.try_shutdown()  # as rclpy's handlers of SIGINT and SIGTERM do
            use(client)

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_ctrl_c_ends_a_verb_without_a_traceback():
    with graph_client() as client:
        command = [sys.executable, "-m", "smp_bringup.cli.main", "top"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            client.wait(lambda: "smp_top" in client.get_node_names(), START_S, "smp top")
            process.send_signal(signal.SIGINT)
            client.wait(lambda: process.poll() is not None, 60, "its end")
        finally:
            process.kill()
            _, said = process.communicate()
    assert (process.returncode, said) == (130, "")


def test_a_graph_that_is_not_there_is_named():
    with graph_client() as client, pytest.raises(GraphError, match=r"waited 0\.2 s for the moon"):
        client.wait(lambda: False, 0.2, "the moon")


@pytest.mark.parametrize("source", [Mode.POLICY, Mode.TELEOP])
def test_every_mode_leads_to_a_source_by_requests(source):
    """What each request leads to is the command core's (test_safety_command); here no mode may lead in a circle."""
    leads = {"reset": Mode.DISARMED, "arm": Mode.HOLD, f"use_{source.value}": source}
    for mode in Mode:
        asked = []
        while request := next_request(mode, source):
            asked.append(request)
            mode = leads[request]
        assert mode is source
        assert len(asked) == len(set(asked)) <= 3


@pytest.fixture
def listener(robot):
    with graph_client() as client:
        yield Listener(client, robot)


def gate(latency_ms, **stages):
    return {"latency_ms": latency_ms, **{f"stage_ms/{name}": ms for name, ms in stages.items()}}


def test_latencies_are_by_stamps_along_the_way_of_one_observation(listener):
    listener.begin()
    listener.on_observation(1000 * MS, 1007 * MS)
    listener.on_gate(1000 * MS, gate(27.0, encode=8.0, denoise=6.0))
    listener.on_command_state(1030 * MS, {"chunk_stamp_ns": str(1000 * MS)})
    assert listener.latency_ms == {
        "stamp_to_observation": [7.0],
        "observation_to_chunk": [20.0],
        "observation_to_action_framework": [30.0 - 7.0 - 14.0],
        "stamp_to_command": [30.0],
    }


def test_a_chunk_counts_once_and_only_what_is_heard_between_begin_and_end(listener):
    state = {"chunk_stamp_ns": str(1000 * MS)}
    listener.on_command_state(1030 * MS, state)
    listener.begin()
    listener.on_command_state(1130 * MS, state)  # said again: its first command was before
    listener.on_command_state(1140 * MS, {"chunk_stamp_ns": "0"})
    listener.on_command_state(1150 * MS, state)
    listener.on_gate(1000 * MS, gate(9.0))  # of an observation that was not heard
    listener.end()
    listener.on_observation(2000 * MS, 2001 * MS)
    listener.on_command_state(2030 * MS, {"chunk_stamp_ns": str(2000 * MS)})
    listener.on_diagnostics("sync", {"skew_ms/left": "1.0"})
    assert not any(listener.latency_ms.values())
    assert not listener.skew_ms


def test_gaps_are_between_commands_of_one_episode_and_skew_is_the_sync_nodes(listener):
    for start in (0, 5000):
        listener.begin()
        for at in (0, 10, 30):
            listener.on_command((start + at) * MS)
        listener.end()
    listener.begin()
    listener.on_diagnostics("sync", {"skew_ms/left": "1.5", "skew_ms/right": "0.5", "pairs": "7"})
    listener.on_diagnostics("command", {"skew_us": "3.0"})
    assert listener.gaps_ms == [10, 20, 10, 20]
    assert listener.rate_hz == pytest.approx(4 / 0.06)
    assert listener.skew_ms == [1.5, 0.5]
