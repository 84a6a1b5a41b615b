"""`smp run`: a policy for a while, and why it ended; `smp arm` and the other verbs that ask one thing."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rcl_interfaces.srv import GetParameters

from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.nobody import domains
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

RUN = [sys.executable, "-m", "smp_bringup.cli.main", "run", "--namespace", "robot1", "--task", "hand it over"]
END_S = 120


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    nodes = build_graph(sim=True, namespace="robot1", record=str(out))
    with Graph(nodes, out / "log") as running, graph_client(namespace="robot1") as client:
        client.wait(lambda: bool(client.command_state), END_S, "the command node", running.check)
        yield running, client


def test_each_phase_is_a_line_and_when_the_time_is_up_the_arms_hold_and_all_is_well(graph):
    running, client = graph
    done = subprocess.run([*RUN, "--seconds", "1"], capture_output=True, text=True, timeout=END_S, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert said[:-1] == ["arming", "asking for the policy", "following the policy for 1 s", "coming to rest"]
    assert said[-1].endswith("the time is up; the arms hold")
    client.wait(lambda: client.command_state["mode"] == "hold", 60, "the state", running.check)
    asked = GetParameters.Request(names=["task"])
    (task,) = client._request(GetParameters, "recorder/get_parameters", asked, 10).values
    assert task.string_value == "hand it over"


def test_a_stop_meanwhile_is_named_and_exit_code_1(graph):
    running, client = graph
    process = subprocess.Popen(RUN, stdout=subprocess.PIPE, text=True)
    try:
        client.wait(lambda: client.command_state["mode"] == "policy", END_S, "the policy to be followed", running.check)
        client.set_bool("command/estop", True)
        said, _ = process.communicate(timeout=END_S)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "estop: the emergency stop was pressed" in said
    client.set_bool("command/estop", False)


def verb(*words):
    command = [sys.executable, "-m", "smp_bringup.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_every_verb_prints_the_answer_of_the_command_node_on_one_line(graph):
    running, client = graph
    client.wait(lambda: not client.latched or client.accepts("reset"), 60, "a reset", running.check)
    client.wait(lambda: client.trigger("command/disarm") == "disarmed", 60, "the arms to rest", running.check)
    for name, code, answer in (
        ("status", 0, "disarmed"),
        ("policy", 1, "cannot follow policy in disarmed: arm first"),
        ("teleop", 1, "cannot follow teleop in disarmed: arm first"),
        ("hold", 1, "cannot hold in disarmed: arm first"),
        ("arm", 0, "armed; "),
        ("hold", 0, "holding"),
        ("status", 0, "hold"),
        ("estop", 0, "emergency stop"),
        ("status", 1, "estop: estop: the emergency stop was pressed (service)"),
        ("reset", 1, "the emergency stop is pressed (service)"),
        ("disarm", 1, "latched in estop"),
        ("release", 0, "released; a latched stop stays until reset"),
    ):
        ended, said = verb(name, "--namespace", "robot1")
        assert (ended, len(said)) == (code, 1), (name, said)
        assert said[0].startswith(answer), (name, said)
    client.wait(lambda: verb("reset", "--namespace", "robot1") == (0, ["reset; disarmed"]), 60, "the reset")


@pytest.mark.alone  # it looks at the shared memory of all processes
def test_a_stop_that_nobody_confirms_is_no_success_and_one_that_is_leaves_nothing_behind(graph):
    running, client = graph
    command = running.processes["command"]
    before = left_behind()
    command.send_signal(signal.SIGSTOP)
    try:
        ended, said = verb("estop", "--namespace", "robot1")
    finally:
        command.send_signal(signal.SIGCONT)
    assert (ended, len(said)) == (2, 1), said
    assert "waited 5 s for" in said[0]
    assert verb("estop", "--namespace", "robot1") == (0, ["emergency stop"])
    client.wait(lambda: client.command_state["mode"] == "estop", 60, "the stop", running.check)
    assert left_behind() <= before
    assert verb("release", "--namespace", "robot1")[0] == 0
    client.wait(lambda: verb("reset", "--namespace", "robot1")[0] == 0, 60, "the reset")


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0, reason="no right to mount"
)
def test_a_stop_needs_no_shared_memory(graph):
    running, client = graph
    full = "mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "  # in a namespace of its own
    words = f"{full}{sys.executable} -m smp_bringup.cli.main estop --namespace robot1"
    done = subprocess.run(["unshare", "-m", "sh", "-c", words], capture_output=True, text=True, timeout=END_S)
    assert (done.returncode, done.stdout) == (0, "emergency stop\n"), done
    client.wait(lambda: client.command_state["mode"] == "estop", 60, "the stop", running.check)
    assert verb("release", "--namespace", "robot1")[0] == 0
    client.wait(lambda: verb("reset", "--namespace", "robot1")[0] == 0, 60, "the reset")


def left_behind():
    """Return the segments of shared memory that no process has mapped; others may yet start, and make theirs."""
    there, held = {str(path) for path in Path("/dev/shm").glob("fastdds_*[0-9a-f]")}, set()  # no locks, "..._el"
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            held |= {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if "/dev/shm/" in line}
    return there - held


def test_a_stop_imports_nothing_that_it_does_not_need():
    command = [sys.executable, "-X", "importtime", "-m", "smp_bringup.cli.main", "estop", "--namespace", "nobody_here"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "rclpy" in imported
    assert not imported & {"typer", "rich", "smp_bringup.robot", "smp_bringup.graph", "sensor_msgs.msg", "mujoco"}
    assert "numpy._core" not in imported


def test_top_says_where_the_graph_is_that_it_does_not_hear(graph):
    code, said = verb("top", "--seconds", "3", "--namespace", "robot2")
    assert (code, len(said)) == (2, 1), said
    assert "no graph is heard in namespace /robot2, ROS_DOMAIN_ID" in said[0]
    assert "one runs in /robot1: --namespace /robot1" in said[0]


def test_domains_are_told_by_the_pairs_of_ports_that_their_processes_listen_on():
    assert domains([7410, 7411, 7412, 7413]) == {0}
    assert domains([7400 + 250 * 42 + 10, 7400 + 250 * 42 + 11, 8080, 8081, 5353, 22]) == {42}
    assert domains([7660, 7911, 7650, 7651]) == set()


def test_where_no_graph_runs_a_verb_says_where_it_looked_and_ends_with_code_2():
    code, said = verb("estop", "--namespace", "nobody_here")
    assert (code, len(said)) == (2, 1), said
    assert "waited 5 s for the service /nobody_here/command/estop" in said[0]
    assert "ROS_DOMAIN_ID" in said[0]
