"""Kills a recording recorder with SIGKILL at random times and counts what the repaired bags lack.

`python tests/system/recorder_kills.py 20` prints one line a kill; the tests run a few.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mcap.reader import make_reader
from sensor_msgs.msg import Image, JointState

from smp_bringup.bag.repair import repair
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import image_msg, joint_state_msg, status_msg
from smp_bringup.robot import load_robot

START_S = 60


class Robot:
    """Publishes joints at 100 Hz, a state at 2 Hz and, if asked, cameras at 25 Hz; remembers every stamp."""

    def __init__(self, client, robot, cameras):
        self.client, self.robot, self.cameras = client, robot, cameras
        self.sent, self.tick = {}, 0
        self.joints = {
            topic: (client.create_publisher(JointState, topic, qos.DRIVER), tuple(j.name for j in arm.joints))
            for arm in robot.arms
            for topic in (arm.state_topic, arm.leader_topic)
        }
        self.state = client.create_publisher(DiagnosticArray, "/command/state", qos.STATE)
        self.images = {
            c.topic: (client.create_publisher(Image, c.topic, qos.DRIVER), c) for c in robot.cameras if cameras
        }
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        self.roll = lambda: np.roll(noise, self.tick)
        client.create_timer(0.01, self.step)

    def step(self):
        self.tick += 1
        for topic, (publisher, names) in self.joints.items():
            now = self.stamp(topic)
            wave = np.full(len(names), 0.3 * np.sin(self.tick / 50))
            publisher.publish(joint_state_msg(now, names, wave, wave))
        if self.tick % 50 == 0:
            self.state.publish(status_msg(self.stamp("/command/state"), "command", {"mode": "teleop"}))
        if self.tick % 4 == 0:
            for topic, (publisher, camera) in self.images.items():
                publisher.publish(image_msg(self.stamp(topic), camera.name, self.roll()))

    def stamp(self, topic):
        now = time.time_ns()
        self.sent.setdefault(topic, []).append(now)
        return now

    def ready(self):
        publishers = [p for p, _ in (*self.joints.values(), *self.images.values())]
        matched = all(p.get_subscription_count() >= 1 for p in publishers)
        return matched and self.state.get_subscription_count() >= 2  # the client listens to it as well


def kill_once(client, source, out, record_s):
    """Record, kill, repair; return the age at the kill of the oldest message that is missing, per topic [s]."""
    graph = Graph([NodeSpec("recorder", {"out": str(out), "task": "kill"})], out / "log")
    try:
        client.wait(
            lambda: client.service_ready("/recorder/start") and source.ready(), START_S, "the recorder", graph.check
        )
        client.trigger("/recorder/start", START_S)
        begun = time.time_ns()
        client.spin_for(record_s)
        process = graph.processes["recorder"]
        process.send_signal(signal.SIGKILL)
        killed = time.time_ns()
        process.wait()
    finally:
        graph.stop()
    report = repair(next((out / "kill").glob("*.partial")))
    kept = stamps(next(report.folder.glob("*.mcap")))
    ages = {}
    for topic, sent in source.sent.items():
        missing = [s for s in sent if begun < s < killed and s not in kept.get(topic, set())]
        ages[topic] = max(((killed - s) / 1e9 for s in missing), default=0.0)
    return ages


def stamps(mcap):
    """Return the header stamps of every topic of a bag."""
    from smp_bringup.bag.messages import typestore

    found = {}
    with mcap.open("rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            stamp = typestore().deserialize_cdr(message.data, schema.name).header.stamp
            found.setdefault(channel.topic, set()).add(stamp.sec * 10**9 + stamp.nanosec)
    return found


def kills(count, seed, joints_only=lambda i: i % 2 == 1):
    """Yield the ages of the oldest missing message per topic, kill after kill."""
    rng, robot = random.Random(seed), load_robot("aloha")
    for i in range(count):
        with graph_client() as client, tempfile.TemporaryDirectory() as folder:
            source = Robot(client, robot, cameras=not joints_only(i))
            yield kill_once(client, source, Path(folder), rng.uniform(1.2, 3.5))


if __name__ == "__main__":
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    worst = 0.0
    for number, ages in enumerate(kills(int(sys.argv[1]), seed=6)):
        kind = "joints only" if number % 2 else "with cameras"
        topic, age = max(ages.items(), key=lambda item: item[1])
        worst = max(worst, age)
        print(f"kill {number:2d} ({kind}): oldest missing message {age:.3f} s before the kill, on {topic}", flush=True)
    print(f"worst of all: {worst:.3f} s")
