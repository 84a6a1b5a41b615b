"""Depth and forces of stock drivers through the running nodes: observed, recorded, checked, trained on, followed."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, JointState

from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.client.replay import replay_live
from smp_bringup.environment import small_sockets
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import command_position, joint_state_msg, status_values
from smp_bringup.paths import named_config
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.robot import load_robot
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import load_dataset
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trainer

pytestmark = pytest.mark.alone

HERE = Path(__file__).parent
COLOUR, DEPTH, WRENCH = "/c0/image_raw", "/front/depth/image_rect_raw", "/force_torque_sensor_broadcaster/wrench"
RELIABILITY = "reliable" if small_sockets() else "best_effort"
POLICY = PolicyConfig(
    "diffusion",
    ("c0",),
    ("front",),
    ("wrench",),
    horizon=16,
    noise=0.0,
    foresight_s=(),
    denoiser=DenoiserConfig(width=16, depth=1),
    encoder=EncoderConfig(channels=(4, 8), keypoints=4, feature=32),
)


@contextmanager
def party(script, *words):
    """Run a driver that never saw our environment."""
    env = {name: value for name, value in os.environ.items() if "PROFILES_FILE" not in name}
    process = subprocess.Popen([sys.executable, str(HERE / script), *words], env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def sensors():
    """Run two cameras, 640x480 at 30 Hz, and a sensor of forces at 500 Hz; give the latter."""
    with (
        party("stock_driver.py", COLOUR, "--reliability", RELIABILITY),
        party("stock_driver.py", DEPTH, "--reliability", RELIABILITY, "--form", "16UC1"),
        party("wrench_driver.py", WRENCH) as sensor,
    ):
        yield sensor


@pytest.fixture
def robot_file(tmp_path):
    data = yaml.safe_load(named_config("robots", "aloha").read_text())
    size = {"width": 640, "height": 480, "rate_hz": 30, "observation_width": 32, "observation_height": 24}
    data["cameras"] = [{"name": "c0", "topic": COLOUR, **size}]
    data["cameras"] += [{"name": "front", "topic": DEPTH, **size, "depth": {"min": 0.2, "max": 50.0}}]
    fields = [f"wrench.{kind}.{axis}" for kind in ("force", "torque") for axis in "xyz"]
    kind = "geometry_msgs/msg/WrenchStamped"
    data["vectors"] = [{"name": "wrench", "topic": WRENCH, "type": kind, "fields": fields, "max_age_s": 0.2}]
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


class Arms:
    """Arms and leaders: the arms go where they are told, else where the leaders swing."""

    def __init__(self, client, robot):
        self.client, self.robot, self.tick = client, robot, 0
        self.pose = np.array(robot.joint_array("home"))
        self.states = {
            j.topic: (client.create_publisher(JointState, j.topic, qos.DRIVER), j) for j in robot.state_topics
        }
        self.leaders = {
            j.topic: (client.create_publisher(JointState, j.topic, qos.DRIVER), j) for j in robot.leader_topics
        }
        for joints in robot.command_topics:
            client.create_subscription(JointState, joints.topic, lambda m, j=joints: self.obey(j, m), qos.LATEST)
        client.create_timer(0.01, self.step, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.swing = True

    def obey(self, joints, message):
        self.pose[joints.places] = command_position(message, joints)

    def step(self):
        self.tick += 1
        wave = np.array(self.robot.joint_array("home")) + 0.05 * np.sin(self.tick / 30) * self.robot.turning
        if self.swing:
            self.pose = wave
        for group, pose in ((self.states, self.pose), (self.leaders, wave)):
            for publisher, joints in group.values():
                publisher.publish(
                    joint_state_msg(now_ns(self.client), joints.names, joints.positions(pose), np.zeros(0))
                )


def record(robot_file, robot, out, log):
    """Record an episode of some seconds while sync observes; return the bag and an observation."""
    specs = [
        NodeSpec("sync", {"robot": robot_file}),
        NodeSpec("recorder", {"robot": robot_file, "out": str(out), "task": "press"}),
    ]
    with Graph(specs, log) as graph, graph_client() as client, sensors():
        arms, seen, heard = Arms(client, robot), {}, {}
        for topic, kind in (("front", Image), ("c0", Image), ("vectors", JointState), ("joint_states", JointState)):
            take = lambda message, topic=topic: seen.setdefault(topic, {}).update({str(message.header.stamp): message})  # noqa: E731
            client.create_subscription(kind, f"/observation/{topic}", take, qos.OBSERVATION)
        client.create_subscription(
            DiagnosticArray, "/recorder/state", lambda m: heard.update(status_values(m)), qos.STATE
        )
        whole = lambda: set.intersection(*(set(seen.get(t, {})) for t in ("front", "c0", "vectors", "joint_states")))  # noqa: E731
        client.wait(lambda: len(whole()) > 3, START_S, "whole observations", graph.check)
        client.wait(lambda: client.service_ready("/recorder/start"), START_S, "the recorder", graph.check)
        client.trigger("/recorder/start", START_S)
        begun = arms.tick
        enough = lambda: int(heard.get("messages", 0)) > 3000 and arms.tick > begun + 400  # noqa: E731
        client.wait(enough, START_S, "four seconds of messages", graph.check)
        client.set_bool("/recorder/success", True, START_S)
        client.trigger("/recorder/stop", START_S)
        stamp = sorted(whole())[-1]
        return open_bag(out / "press/episode_00000"), {topic: messages[stamp] for topic, messages in seen.items()}


def test_depth_and_forces_of_stock_drivers_from_the_topic_to_the_arms(robot_file, launch, tmp_path):
    robot = load_robot(robot_file)
    bag, observed = record(robot_file, robot, tmp_path / "bags", tmp_path / "log")
    assert observed["vectors"].name == [f"wrench/wrench.{k}.{a}" for k in ("force", "torque") for a in "xyz"]
    force = list(observed["vectors"].position)
    assert (force[2], force[0] in range(10)) == (-9.81, True)
    assert (observed["front"].encoding, observed["front"].height, observed["front"].width) == ("16UC1", 24, 32)

    assert (bag.types[DEPTH], bag.types[WRENCH]) == ("sensor_msgs/msg/Image", "geometry_msgs/msg/WrenchStamped")
    assert bag.counts[WRENCH] > 3 * bag.counts[DEPTH] > 30
    first = next(message for _, _, message in bag.messages({DEPTH}))
    assert (first.encoding, first.step, len(first.data)) == ("16UC1", 1280, 480 * 1280)
    reasons = judge_bag(bag, robot, load_recording("default").quality).notes()["reasons"]
    amiss = ("refused: ", f"missing: {DEPTH}", f"missing: {WRENCH}")
    assert not [part for part in reasons.split("; ") if any(word in part for word in amiss)], reasons

    data = load_dataset([bag.path], robot, POLICY, tmp_path / "cache")
    run = RunConfig(POLICY, TrainingConfig(steps=5, pairs=4, warmup_steps=2))
    done = Trainer(run, data, robot, 0, tmp_path / "run").train(lambda *_: None)
    save_checkpoint(done, robot, tmp_path / "model", "# a moment\n")

    heard = replay_live(bag.path, str(tmp_path / "model"), robot_file, robot, tmp_path / "replayed", 5.0)
    print("heard over the bag:", len(heard.chunks), "chunks,", len(heard.observations), "observations")
    assert heard.exit_code == 0
    assert heard.chunks, "a policy that feels forces is silent where they are not played to it"

    with (
        launch(tmp_path / "closed", robot=robot_file, model=str(tmp_path / "model")) as (graph, client),
        sensors() as sensor,
    ):
        arms = Arms(client, robot)
        arms.swing, state = False, {}
        client.create_subscription(
            DiagnosticArray, "/observation/state", lambda m: state.update(status_values(m)), qos.STATE
        )
        client.wait(lambda: state.get("valid") == "1", START_S, "valid observations", graph.check)
        home = np.array(robot.joint_array("home"))
        moved = lambda: np.abs(arms.pose - home).max() > 1e-3  # noqa: E731
        client.follow("policy", graph.check, once=moved)
        sensor.terminate()
        client.wait(
            lambda: state.get("reason", "").startswith("vector_stalled:wrench"),
            START_S,
            "the loss to be said",
            graph.check,
        )
        held = lambda: "observation_valid" in client.command_state["reasons"] or client.latched  # noqa: E731
        client.wait(held, START_S, "the arms to be held", graph.check)
