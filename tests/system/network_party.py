"""A process in a network namespace, on orders that come line by line: the host of a graph, or a stranger to it."""

import errno
import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg
from smp_bringup.robot import load_robot

HOST = "10.231.0.1"
NODES = ("sim", "command")


class Party:
    """What can be ordered; each answer is what became of it."""

    def __init__(self, client, patience_s):
        self.client, self.robot, self._patience_s = client, load_robot("aloha"), patience_s
        self._kept, self._images = [], 0

    def is_heard_by_all(self):
        """Wait until the command node can be armed."""
        self.client.wait(lambda: self.client.accepts("arm"), START_S, "the command node to be armed")
        return self.mode()

    def mode(self):
        """Return the mode of the command node."""
        return self._state()["mode"]

    def is_faulty(self):
        """Wait for a fault and return its reason."""
        return self._why("fault")

    def is_stopped(self):
        """Wait for the emergency stop and return its reason."""
        return self._why("estop")

    def nodes(self):
        """Return which of the graph's nodes are seen."""
        seen = lambda: {name for name, _ in self.client.get_node_names_and_namespaces()} & set(NODES)  # noqa: E731
        self._until(lambda: len(seen()) == len(NODES), "the nodes")
        return sorted(seen())

    def sees_a_camera(self):
        """Return whether images arrive."""
        self.client.create_subscription(Image, self.robot.cameras[0].topic, self._count, qos.SENSOR)
        return self._until(lambda: self._images > 2, "images")

    def arms(self):
        """Return whether the command node can be disarmed and armed, also after a fault."""
        first = {"fault": "reset", "estop": "reset", "disarmed": "arm"}

        def armed():
            request = first.get(self.client.command_state.get("mode"), "disarm")
            return self.client.accepts(request) and request == "arm"

        return self._serves() and self._until(armed, "an answer")

    def drives(self):
        """Return whether the arms follow what it says as a teleoperation; then it falls silent."""
        publisher = self._publisher(JointState, "/teleop/command", qos.LATEST)
        home = np.array(self.robot.joint_array("home"))

        def followed():
            publisher.publish(joint_state_msg(now_ns(self.client), self.robot.joint_names, home, home * 0.0))
            if self.client.command_state.get("mode") == "teleop":
                return True
            self.client.accepts("use_teleop")
            return False

        return self._serves() and self._until(followed, "the command node to follow")

    def claims_an_arm(self):
        """Return whether a second publisher of an arm's states finds a listener."""
        try:
            publisher = self._publisher(JointState, self.robot.arms[0].state_topic, qos.DRIVER)
        except RuntimeError:  # security: not in its policy
            return False
        return self._until(lambda: publisher.get_subscription_count() > 0, "a listener")

    def presses(self):
        """Return whether the emergency stop's button finds a listener."""
        publisher = self._publisher(Bool, "/estop", qos.OBSERVATION)
        found = self._until(lambda: publisher.get_subscription_count() > 0, "a listener")
        publisher.publish(Bool(data=True))
        return found

    def floods(self, each=3):
        """Send datagrams to every port that DDS may have in our domain; return the ports that did not refuse them."""
        first = 7400 + 250 * int(os.environ["ROS_DOMAIN_ID"])
        open_ports = []
        for port in (*range(7000, 7100), *range(first, first + 250)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.connect((HOST, port))
                answers = {_send(sender, b"RTPS" + bytes(range(252))) for _ in range(each)}
            if errno.ECONNREFUSED not in answers:
                open_ports.append(port)
        return open_ports

    def _state(self):
        """Return what the command node says from now on: what was said before may still be queued."""
        for _ in range(2):
            self.client.command_state.clear()
            self.client.wait(lambda: bool(self.client.command_state), START_S, "the command node")
        return self.client.command_state

    def _serves(self):
        return self._until(lambda: self.client.service_ready("/command/arm"), "the command node's services")

    def _why(self, mode):
        self.client.wait(lambda: self.client.command_state.get("mode") == mode, START_S, mode)
        return self.client.command_state["reason"]

    def _count(self, _):
        self._images += 1

    def _publisher(self, kind, topic, profile):
        self._kept.append(self.client.create_publisher(kind, topic, profile))
        return self._kept[-1]

    def _until(self, condition, what):
        try:
            self.client.wait(condition, self._patience_s, what)
        except GraphError:
            return False
        return True


def _send(sender, datagram):
    try:
        sender.send(datagram)
    except OSError as error:
        return error.errno
    return 0


def main(role, patience_s, log):
    """Host the simulator and the command node, or be a stranger; obey until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the middleware prints there too
    with ExitStack() as stack:
        if role == "host":
            nodes = [spec for spec in build_graph(model="none", sim=True) if spec.name in NODES]
            stack.enter_context(Graph(nodes, Path(log)))
        party = Party(stack.enter_context(graph_client(f"smp_{role}")), float(patience_s))
        print(json.dumps("ready"), file=answers)
        for line in sys.stdin:
            print(json.dumps(getattr(party, line.strip())()), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
