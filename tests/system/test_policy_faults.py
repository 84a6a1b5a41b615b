"""Faults of inference at the policy node: F26 to F28, with a GPU that is not there or is lost."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.graph_client import graph_client
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import image_msg, joint_state_msg, status_values
from smp_bringup.types import nanoseconds

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_checkpoints import checkpoint, interpreter, is_there

WAIT_S = 60.0
HANGS = """
import threading
from smp_bringup.nodes import policy_node
from smp_bringup.action.planner import Planner
Planner.infer = lambda *_: threading.Event().wait()
policy_node.main()
"""
LOSES = """
from smp_bringup.nodes import policy_node
from smp_bringup.action.planner import Planner
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
infer, replace, calls = Planner.infer, Planner.replace, []
def fail(self, observation):
    calls.append(observation)
    if len(calls) > 3:
        raise RuntimeError("CUDA error: out of memory")
    return infer(self, observation)
def recover(self, policy, *costs):
    if calls:
        Planner.infer = infer
    replace(self, policy, *costs)
Planner.infer, Planner.replace = fail, recover
policy_node.PolicyNode._load = lambda self, device: build_policy(find_model(self._params.model), self._robot)
policy_node.main()
"""
"""A GPU that fails from its fourth inference on; there is none here, so the CPU plays it."""


class Sync:
    """Plays the sync node: one whole observation every 40 ms, as long as it is spun."""

    def __init__(self, client, robot, cameras):
        self.client, self.robot, self.stamp_ns = client, robot, nanoseconds(1000.0)
        self.images = {c: client.create_publisher(Image, f"/observation/{c}", qos.OBSERVATION) for c in cameras}
        self.joints = client.create_publisher(JointState, "/observation/joint_states", qos.OBSERVATION)
        client.create_timer(0.04, self.speak)

    def speak(self):
        self.stamp_ns += nanoseconds(0.04)
        for name, publisher in self.images.items():
            camera = self.robot.camera(name)
            black = np.zeros((camera.observation_height, camera.observation_width, 3), np.uint8)
            publisher.publish(image_msg(self.stamp_ns, name, black))
        home = np.array(self.robot.joint_array("home"))
        self.joints.publish(joint_state_msg(self.stamp_ns, self.robot.joint_names, home, home * 0))


@pytest.fixture
def observed(robot, small_policies):
    """A client that plays sync, and keeps the chunks and what the policy node says of itself."""
    with graph_client() as client:
        client.sync, client.chunks, client.said = Sync(client, robot, small_policies["smp"].cameras), [], {}

        def on_diagnostics(message):
            client.said.update(status_values(message))

        client.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
        client.create_subscription(JointTrajectory, "/policy/chunk", client.chunks.append, qos.LATEST)
        yield client


@contextmanager
def policy(program, checkpoint, log, *parameters):
    """Run a policy node as a process; `program` is what starts it."""
    arguments = [word for parameter in (f"model:={checkpoint}", *parameters) for word in ("-p", parameter)]
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *program, "--ros-args", *arguments], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=WAIT_S)


NODE = ("-m", "smp_bringup.nodes.policy_node")


def test_f27_a_lost_gpu_is_replaced_by_the_cpu_where_that_is_allowed_and_fits(checkpoints, observed, tmp_path):
    log = tmp_path / "log"
    with policy(
        ("-c", LOSES), checkpoints["smp"][0], log, "device:=cuda", "allow_cpu_fallback:=true", "deadline_s:=5.0"
    ):
        observed.wait(lambda: len(observed.chunks) > 6, WAIT_S, "chunks of the CPU")
    assert re.search(r"inference failed: .*out of memory", log.read_text())
    assert re.search(r"gpu_lost: \d+ ms a chunk on the CPU, used", log.read_text())


def test_f27_a_lost_gpu_stays_lost_where_no_cpu_is_allowed(checkpoints, observed, tmp_path):
    with policy(("-c", LOSES), checkpoints["smp"][0], tmp_path / "log", "device:=cuda"):
        observed.wait(lambda: observed.said.get("warning") == "gpu_lost", WAIT_S, "the loss on /diagnostics")
        stamp_ns = observed.sync.stamp_ns
        observed.wait(lambda: observed.sync.stamp_ns > stamp_ns + nanoseconds(1.0), WAIT_S, "a second of observations")
        assert observed.said["inference_errors"] == "1"
    assert len(observed.chunks) <= 3


def test_f28_a_gpu_that_is_not_there_is_refused_in_one_line(checkpoints):
    command = [sys.executable, *NODE, "--ros-args", "-p", "device:=cuda", "-p", f"model:={checkpoints['smp'][0]}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "device cuda was asked for" in error
    assert "Traceback" not in done.stderr


def test_f28_the_cpu_stands_in_where_that_is_allowed_and_says_what_it_takes(checkpoints, observed, tmp_path):
    log = tmp_path / "log"
    with policy(NODE, checkpoints["smp"][0], log, "device:=cuda", "allow_cpu_fallback:=true"):
        observed.wait(lambda: len(observed.chunks) > 2, WAIT_S, "chunks")
    assert re.search(r"on the CPU, \d+ ms a chunk", log.read_text())


def test_f26_an_inference_that_hangs_ends_the_process_for_the_launcher_to_start_it_again(
    checkpoints, observed, tmp_path
):
    log = tmp_path / "log"
    with policy(("-c", HANGS), checkpoints["smp"][0], log, "hung_s:=0.5") as process:
        observed.wait(lambda: process.poll() is not None, WAIT_S, "the end of the process")
    assert process.returncode == 70
    assert "inference hangs for more than 0.5 s" in log.read_text()
    assert not observed.chunks


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (signal.SIGKILL, "was killed by SIGKILL at inference: ending"),
        (signal.SIGSTOP, "inference hangs for more than 2 s"),
    ],
)
def test_a_policy_of_lerobot_whose_process_dies_or_hangs_ends_its_node(how, why, robot, observed, tmp_path):
    """No chunk follows; the launcher starts the node again, as after any inference that hangs."""
    checkpoint(tmp_path, robot, **{"observation.images.wrist_right": None})
    file = tmp_path / "policy.yaml"
    file.write_text(f"checkpoint: pretrained_model\npython: {interpreter(tmp_path)}\n")
    log, settings = tmp_path / "log", ("seam:=blend", "deadline_s:=5.0", "hung_s:=2.0")
    with policy(NODE, f"lerobot:{file}", log, *settings) as node:
        observed.wait(lambda: len(observed.chunks) > 3, 2 * WAIT_S, "chunks of the worker")
        (worker,) = map(int, Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split())
        os.kill(worker, how)
        observed.wait(lambda: node.poll() is not None, WAIT_S, "the end of the node")
        assert node.returncode == 70
        said = len(observed.chunks)
        observed.wait(lambda: not is_there(worker) or how == signal.SIGSTOP, WAIT_S, "the end of the worker")
        stamp_ns = observed.sync.stamp_ns
        observed.wait(lambda: observed.sync.stamp_ns > stamp_ns + nanoseconds(1.0), WAIT_S, "a second of observations")
        assert len(observed.chunks) <= said + 1
    if is_there(worker):
        os.kill(worker, signal.SIGCONT)  # at which it finds its parent gone
    assert re.search(why, log.read_text())
