"""A whole simulated graph with a policy of LeRobot in it, which a stand-in plays: followed, lost, back, and left."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_checkpoints import checkpoint, interpreter, is_there

WAIT_S = 60.0
INTERRUPTED = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from smp_bringup.cli.main import main"
)
"""In the background of a shell SIGINT is ignored."""


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_arms_follow_a_policy_of_lerobot_and_are_held_when_its_process_is_killed(launch, robot, tmp_path):
    checkpoint(tmp_path, robot, told=True)
    (tmp_path / "policy.yaml").write_text(
        f"checkpoint: pretrained_model\npython: {interpreter(tmp_path)}\ntask: go on\n"
    )
    settings = {"sim": True, "model": f"lerobot:{tmp_path / 'policy.yaml'}", "seam": "blend", "deadline_s": 5.0}
    with launch(tmp_path / "log", **settings) as (graph, client):
        chunks = []
        client.create_subscription(JointTrajectory, "/policy/chunk", chunks.append, qos.LATEST)

        def followed():
            """Return whether chunks are followed; a machine that stalls latches the arms, then again."""
            client.start_episode("press_two_buttons", 3, "policy", graph.check)
            first = client.command_state["chunk_stamp_ns"]
            later = lambda: client.command_state["chunk_stamp_ns"] not in (first, "0")  # noqa: E731
            client.wait(lambda: client.latched or later(), WAIT_S, "a next chunk", graph.check)
            return client.command_state["mode"] == "policy"

        assert any(followed() for _ in range(10)), client.command_state
        policy = graph.processes["policy"]
        (worker,) = children(policy.pid)
        os.kill(worker, signal.SIGKILL)
        client.wait(lambda: client.command_state["mode"] != "policy", WAIT_S, "the hold")
        assert policy.wait(WAIT_S) == 70
        client.wait(lambda: graph.processes["policy"].pid != policy.pid, WAIT_S, "the respawn", graph.check)
        before = len(chunks)  # the new process is told by its file
        client.wait(lambda: len(chunks) > before, START_S, "chunks of the new process", graph.check)


def hanging(folder, robot):
    """Return a policy that is never loaded: its trial inference says "hangs", and does."""
    checkpoint(folder, robot, told=True)
    (folder / "policy.yaml").write_text(f"checkpoint: pretrained_model\npython: {interpreter(folder)}\ntask: hang\n")
    return f"lerobot:{folder / 'policy.yaml'}"


def is_silent(said):
    return not [word for word in ("Fatal", "Traceback", "rror", "xception") if word in said]


def test_an_interrupt_while_the_policy_is_tried_before_the_graph_starts_ends_in_silence(robot, tmp_path):
    words = ["up", "--sim", "--model", hanging(tmp_path, robot), "--seam", "blend"]
    command = [sys.executable, "-c", f"{INTERRUPTED}; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            before = list(itertools.takewhile(lambda line: line != "hangs\n", process.stdout))
            process.send_signal(signal.SIGINT)
            after = process.stdout.read()
            assert process.wait(WAIT_S) == 130, before
        finally:
            process.terminate()
    assert is_silent(after), after


def test_a_node_that_is_stopped_while_its_policy_loads_ends_in_silence(robot, tmp_path):
    """It waits in the pipe to LeRobot, at no executor: it was aborted after 5 s, with a dump of its stack."""
    log, settings = tmp_path / "log", {"sim": True, "model": hanging(tmp_path, robot), "seam": "blend"}
    nodes = [node for node in build_graph(**settings) if node.name == "policy"]
    with Graph(nodes, log) as graph, graph_client() as client:
        client.wait(lambda: "hangs\n" in log.read_text(), WAIT_S, "the trial inference", graph.check)
        (worker,) = children(graph.processes["policy"].pid)
    assert graph.processes["policy"].returncode == 0
    assert is_silent(log.read_text()), log.read_text()
    assert not is_there(worker)
