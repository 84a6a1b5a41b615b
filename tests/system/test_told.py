"""A policy node that is told in words what to do: it waits for that, refuses what it does not know, and says it on."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import image_msg, joint_state_msg, status_values
from smp_bringup.types import nanoseconds

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_checkpoints import checkpoint, interpreter
from wordings import LEFT, RIGHT, told_checkpoint

WAIT_S = 90.0


@contextmanager
def listening(robot, cameras, *parameters):
    """Yield a client that plays sync to a policy node with words, and keeps what the node says."""
    stamp_ns = nanoseconds(1000.0)
    command = [sys.executable, "-m", "smp_bringup.nodes.policy_node", "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        with graph_client() as client:
            client.said, client.chunks, client.tasks, client.spoken = {}, [], [], 0
            images = {c: client.create_publisher(Image, f"/observation/{c}", qos.OBSERVATION) for c in cameras}
            joints = client.create_publisher(JointState, "/observation/joint_states", qos.OBSERVATION)
            home = np.array(robot.joint_array("home"))

            def speak():
                client.spoken += 1
                at_ns = stamp_ns + nanoseconds(0.04) * client.spoken
                for name, publisher in images.items():
                    camera = robot.camera(name)
                    black = np.zeros((camera.observation_height, camera.observation_width, 3), np.uint8)
                    publisher.publish(image_msg(at_ns, name, black))
                joints.publish(joint_state_msg(at_ns, robot.joint_names, home, home * 0))

            client.create_timer(0.04, speak)
            client.create_subscription(
                DiagnosticArray, "/diagnostics", lambda m: client.said.update(status_values(m)), 10
            )
            client.create_subscription(JointTrajectory, "/policy/chunk", client.chunks.append, qos.LATEST)
            client.create_subscription(String, "/policy/task", lambda m: client.tasks.append(m.data), qos.OBSERVATION)
            yield client
    finally:
        node.terminate()
        node.communicate(timeout=WAIT_S)


@pytest.fixture
def told(robot, small_policies, tmp_path):
    """A client that hears a policy of ours."""
    config = small_policies["sparse"]
    told_checkpoint(config, robot, tmp_path / "model")
    with listening(robot, config.cameras, f"model:={tmp_path / 'model'}") as client:
        yield client


@pytest.fixture
def told_there(robot, tmp_path):
    """A client that hears a policy of LeRobot, which goes on from where the arms are, or back."""
    checkpoint(tmp_path, robot, told=True)
    (tmp_path / "policy.yaml").write_text(f"checkpoint: pretrained_model\npython: {interpreter(tmp_path)}\n")
    model, cameras = f"model:=lerobot:{tmp_path / 'policy.yaml'}", [camera.name for camera in robot.cameras]
    with listening(robot, cameras, model, "seam:=latest") as client:
        yield client


def test_it_waits_to_be_told_refuses_what_it_does_not_know_and_says_what_it_follows(told):
    told.wait(lambda: "told nothing" in told.said.get("warning", ""), WAIT_S, "the warning")
    told.wait(lambda: told.said.get("observations", "0") != "0", WAIT_S, "observations")
    assert not told.chunks
    with pytest.raises(GraphError, match=r"does not know the sentence 'make me a coffee'.*left hand"):
        told.set_parameters("policy", WAIT_S, task="make me a coffee")
    assert not told.chunks
    told.set_parameters("policy", WAIT_S, task="Right hand first.")
    told.wait(lambda: told.chunks and told.tasks, WAIT_S, "a chunk, and what it follows")
    assert told.tasks[0] == "Right hand first."
    told.set_parameters("policy", WAIT_S, task="transfer_from_left")  # a task is told by its text
    told.wait(lambda: told.tasks[-1] == LEFT, WAIT_S, "the other task")
    told.wait(lambda: told.said.get("told") == LEFT, WAIT_S, "what it is told on /diagnostics")
    with pytest.raises(GraphError, match="does not know"):
        told.set_parameters("policy", WAIT_S, task="make me a coffee")
    known = len(told.tasks)
    told.wait(lambda: len(told.tasks) > known, WAIT_S, "more chunks")
    assert told.tasks[-1] == LEFT  # what is refused changes nothing
    assert RIGHT not in told.tasks


def first_step(chunk):
    """Return by how much the first joint moves between the first two actions [rad]."""
    return chunk.points[1].positions[0] - chunk.points[0].positions[0]


def test_a_policy_of_lerobot_waits_to_be_told_and_hears_the_sentence_itself(told_there):
    told_there.wait(lambda: "told nothing" in told_there.said.get("warning", ""), WAIT_S, "the warning")
    told_there.wait(lambda: told_there.said.get("observations", "0") != "0", WAIT_S, "observations")
    assert not told_there.chunks
    for sentence, step in (("go on", 0.01), ("back", -0.01)):
        told_there.set_parameters("policy", WAIT_S, task=sentence)
        told_there.wait(
            lambda step=step: told_there.chunks and abs(first_step(told_there.chunks[-1]) - step) < 1e-3,
            WAIT_S,
            f"a chunk for '{sentence}'",
        )
        told_there.wait(lambda sentence=sentence: told_there.said.get("told") == sentence, WAIT_S, "what it is told")
        assert sentence in told_there.tasks
