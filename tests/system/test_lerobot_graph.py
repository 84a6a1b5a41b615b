"""A whole simulated graph with a policy of LeRobot in it, which a stand-in plays: followed, lost, back, and left."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.graph_client import START_S
from smp_bringup.nodes import qos

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_checkpoints import checkpoint, interpreter

WAIT_S = 60.0


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

        assert any(followed() for _ in range(3)), client.command_state
        policy = graph.processes["policy"]
        (worker,) = map(int, Path(f"/proc/{policy.pid}/task/{policy.pid}/children").read_text().split())
        os.kill(worker, signal.SIGKILL)
        client.wait(lambda: client.command_state["mode"] != "policy", WAIT_S, "the hold")
        assert policy.wait(WAIT_S) == 70
        client.wait(lambda: graph.processes["policy"].pid != policy.pid, WAIT_S, "the respawn", graph.check)
        before = len(chunks)  # the new process is told by its file
        client.wait(lambda: len(chunks) > before, START_S, "chunks of the new process", graph.check)


def test_an_interrupt_while_the_policy_loads_ends_in_silence(robot, tmp_path):
    """It waits in the pipe to LeRobot there, and at no executor: it was aborted after 5 s, with a dump of its stack."""
    checkpoint(tmp_path, robot, told=True)
    (tmp_path / "policy.yaml").write_text(
        f"checkpoint: pretrained_model\npython: {interpreter(tmp_path)}\ntask: hang\n"
    )
    words = ["up", "--sim", "--model", f"lerobot:{tmp_path / 'policy.yaml'}", "--seam", "blend"]
    command = [sys.executable, "-m", "smp_bringup.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            before = list(itertools.takewhile(lambda line: line != "hangs\n", process.stdout))
            process.send_signal(signal.SIGINT)
            after = process.stdout.read()
            assert process.wait(WAIT_S) == 0, before
        finally:
            process.terminate()
    assert not [word for word in ("Fatal", "Traceback", "rror", "xception") if word in after], after
