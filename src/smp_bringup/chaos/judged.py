"""A command node as it is seen from outside: what it says, and what it tells the arms."""

import time
from collections.abc import Callable

from smp_bringup.chaos.ear import Ear
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.launcher import NodeDied
from smp_bringup.robot import Robot

_SILENT_PERIODS = 10
"""Of the control loop: who has published nothing for so long is silent."""


class Judged:
    """The command node of a graph that may change; whoever waits for it is told when it ends."""

    def __init__(self, client: GraphClient, robot: Robot, fast: float) -> None:
        """Listen to it.

        Args:
            client: whose node listens.
            robot: that is commanded.
            fast: joint velocity from which the arms count as moving [rad/s].
        """
        self.client, self.robot, self.ear = client, robot, Ear(client, robot)
        self.alive: Callable[[], None] = lambda: None
        """Raises NodeDied where a process of the graph has ended."""
        self.source = ""
        """Source that the command node was told to follow last."""
        self._fast = fast

    @property
    def mode(self) -> str:
        """Mode that the command node published last."""
        return self.client.command_state.get("mode", "")

    @property
    def at_speed(self) -> bool:
        """Whether the newest commands move the arms fast."""
        return self.ear.speed > self._fast

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> float:
        """Spin until a condition holds; return how long it took [ms].

        Raises:
            GraphError: it did not in time, or a process of the graph has ended.
        """
        begun = time.monotonic()
        self.client.wait(condition, timeout_s, what, self.check)
        return (time.monotonic() - begun) * 1e3

    def check(self) -> None:
        """Raise GraphError where a process of the graph has ended."""
        try:
            self.alive()
        except NodeDied as error:
            raise GraphError(str(error)) from None

    def rest(self) -> None:
        """Wait until the arms are told to stand still; from then on they must not be told otherwise."""
        self.until(lambda: self.ear.still, 5.0, "rest")
        self.ear.freeze()

    def silence(self, timeout_s: float) -> None:
        """Wait until nothing is published any more."""
        heard, since_s = self.ear.heard, time.monotonic()

        def silent() -> bool:
            nonlocal heard, since_s
            if self.ear.heard != heard:
                heard, since_s = self.ear.heard, time.monotonic()
            return time.monotonic() - since_s > _SILENT_PERIODS * self.robot.control_period_s

        self.until(silent, timeout_s, "commands to end")
