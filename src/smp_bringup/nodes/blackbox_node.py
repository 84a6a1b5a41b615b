"""Remembers what was lately heard, and writes it as a bag when something stopped the arms."""

import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription

from smp_bringup.names import full_name
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, now_ns, run_node, steady_ns, waiting
from smp_bringup.nodes.messages import STATUS_BYTES, status_msg, type_name
from smp_bringup.nodes.params import BlackBoxParams, declare
from smp_bringup.nodes.recorded import images, topics
from smp_bringup.nodes.timed import Polled
from smp_bringup.record.blackbox import BlackBox, BlackBoxConfig
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import load_safety, safety_of

_STATUS = type_name(DiagnosticArray)
_LOOK_S = 0.1
"""Messages are taken all at once so often: one by one, the executor would cost more than all the rest."""


class BlackBoxNode(LeanNode):
    """Hears what the recorder hears, in a process of its own; best effort, so that no publisher waits for it."""

    def __init__(self) -> None:
        super().__init__("blackbox")
        params = declare(self, BlackBoxParams)
        robot = load_robot(params.robot)  # a bag's names are as in the root namespace
        safety = load_safety(safety_of(robot, params.safety))
        config = BlackBoxConfig(params.seconds, params.kept, params.memory_mib)
        self._box = BlackBox(robot, safety, Path(params.out), params.task, params.model, config)
        self._subscribe(load_robot(params.robot, self.get_namespace()), robot)
        self._state = self.create_publisher(DiagnosticArray, "blackbox/state", qos.STATE)
        self._said: dict[str, object] = {}
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, self._box.report)

    def destroy_node(self) -> None:
        """Write what waits before leaving."""
        self._hear()
        self._box.look(now_ns(self), steady_ns(), time.time(), ending=True)
        super().destroy_node()

    def _subscribe(self, here: Robot, written: Robot) -> None:
        polled = Polled()
        heard = {**images(here), **topics(here)}
        names = [full_name(name) for name in (*images(written), *topics(written))]
        self._heard: list[tuple[str, str, Subscription]] = []
        for (topic, kind), name in zip(heard.items(), names, strict=True):
            subscription = self.create_subscription(
                kind, topic, lambda _: None, qos.RECORD, raw=True, callback_group=polled
            )
            self._heard.append((name, type_name(kind), subscription))

    def _look(self) -> None:
        self._hear()
        self._box.look(now_ns(self), steady_ns(), time.time())
        report = self._box.report()
        said = {key: report[key] for key in ("out", "last", "written", "waits", "warning")}
        if said != self._said:
            self._said = said
            self._state.publish(status_msg(now_ns(self), "blackbox", said))

    def _hear(self) -> None:
        """Take what came, with the time at which it came by the clock of the headers."""
        ahead_ns, steady = now_ns(self) - time.time_ns(), steady_ns()
        for topic, kind, subscription in self._heard:
            for cdr, info in waiting(subscription):
                if kind == _STATUS and len(cdr) > STATUS_BYTES:  # no node of ours says so much
                    continue
                self._box.take(topic, kind, info["received_timestamp"] + ahead_ns, cdr, steady)


def main() -> None:
    """Run the node."""
    run_node(BlackBoxNode)


if __name__ == "__main__":
    main()
