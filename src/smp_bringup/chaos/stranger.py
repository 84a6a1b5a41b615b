"""A process that publishes what it should not, on orders that come line by line: for `smp chaos`."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, JointState

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg
from smp_bringup.types import FloatArray

KINDS = {"joint_state": JointState, "image": Image}
Until = Callable[[Callable[[], bool], float, str], object]
"""Called with a condition, for how long to wait for it [s], and what it is."""
_PERIOD_S = 0.01
_ANSWER_S = 30.0


class Stranger:
    """A process beside the graph that publishes what it should not; leaving the `with` block ends it."""

    def __init__(self, name: str, names: tuple[str, ...], until: Until) -> None:
        """Start it and wait until it is there.

        Args:
            name: of its node.
            names: of the joints that it speaks of.
            until: waits, and lets everything else go on meanwhile.
        """
        self._names, self._until = names, until
        self._process = subprocess.Popen(
            [sys.executable, "-m", "smp_bringup.chaos.stranger", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal reaches us alone
        )
        self._answer("a stranger's start")

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end by itself: the graph would remember one that is killed for as long as its lease runs."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.close()
        try:
            self._until(lambda: self._process.poll() is not None, _ANSWER_S, "a stranger's end")
        finally:
            self._process.kill()
            self._process.wait()
            stdout.close()

    def publishes(self, topic: str, kind: str = "joint_state") -> float:
        """Let it have a publisher, which says nothing; return the steady time of its creation [s]."""
        return self._order(topic, kind, [], 0)

    def says(self, topic: str, position: FloatArray, count: int) -> float:
        """Let it publish a pose (J,) so many times; return the steady time of its publisher's creation [s]."""
        return self._order(topic, "joint_state", position.tolist(), count)

    def _order(self, topic: str, kind: str, position: list[float], count: int) -> float:
        order = {"topic": topic, "kind": kind, "names": self._names, "position": position, "count": count}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return float(self._answer(f"a publisher of {topic}"))

    def _answer(self, what: str) -> str:
        """Return the line that it writes next."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            self._until(lambda: bool(selector.select(0)), _ANSWER_S, what)
        line = stdout.readline()
        if not line:
            raise GraphError(f"waited for {what}: it ended with {self._process.wait()}")
        return line.strip()


def main(name: str) -> None:
    """Obey until stdin ends; answer each order, once it is done, with the steady time of its publisher [s]."""
    with graph_client(name, leads=True) as node:
        made = []
        print("ready", flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            publisher = node.create_publisher(KINDS[order["kind"]], order["topic"], qos.DRIVER)
            made.append((publisher, time.monotonic()))  # kept: a publisher without a reference is taken down
            if order["position"]:
                _repeat(node, publisher, order)
            print(made[-1][1], flush=True)


def _repeat(node: Node, publisher: Publisher, order: dict) -> None:
    """Publish a joint state `count` times, once somebody listens."""
    while publisher.get_subscription_count() == 0:
        time.sleep(_PERIOD_S)
    position = np.array(order["position"])
    for _ in range(order["count"]):
        publisher.publish(joint_state_msg(now_ns(node), order["names"], position, position * 0.0))
        time.sleep(_PERIOD_S)


if __name__ == "__main__":
    main(sys.argv[1])
