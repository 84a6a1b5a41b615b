"""Presses the emergency stop of a running graph: as fast as a process can start, join the graph and be answered.

What a verb is otherwise made of (`GraphClient`: all messages, parameters) takes longer to import than the rest takes.
"""

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from smp_bringup.client.answers import WHERE, GraphError
from smp_bringup.names import CLIENT, enclave, full_name, full_namespace
from smp_bringup.nodes import qos
from smp_bringup.nodes.closing import bounded_closing, end_rclpy
from smp_bringup.nodes.security_trial import security_explained

WAIT_S = 5.0
"""A graph that runs is found within a tenth of a second; on a loaded machine it takes longer."""
_AGAIN_S = 0.5
"""Pressed again after so long without an answer: one to who was discovered only just now can be lost on its way."""
_LOOK_S = 0.002
_ESTOP = "estop"


def press(namespace: str = "/") -> str:
    """Press the emergency stop of the graph in `namespace`; return what the command node says once it has latched.

    The environment is prepared.

    Raises:
        ConfigError: ROS could not have that namespace.
        GraphError: no command node took it within `WAIT_S`.
        SecurityError: ROS is asked for security, and does not let us in.
    """
    namespace = full_namespace(namespace)
    try:
        with security_explained():
            # no file of logs: a stop must not need a disk that has room, or a home that can be written to
            name = enclave(full_name(CLIENT, namespace))
            rclpy.init(args=["--ros-args", "--disable-external-lib-logs", "--enclave", name])
            node = Node(
                "smp_estop",
                namespace=namespace,
                start_parameter_services=False,
                enable_rosout=False,
                parameter_overrides=[Parameter("start_type_description_service", value=False)],
            )
        try:
            return _Press(node).answer()
        finally:
            with bounded_closing():
                node.destroy_node()
    finally:
        end_rclpy()


class _Press:
    """Asks the service until it answers, or until the command node says on command/state that it is stopped."""

    def __init__(self, node: Node) -> None:
        self._client: Client = node.create_client(SetBool, f"command/{_ESTOP}")
        node.create_subscription(DiagnosticArray, "command/state", self._hear, qos.STATE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._name = node.resolve_service_name(f"command/{_ESTOP}")
        self._asked, self._stopped, self._said = False, False, ""

    def answer(self) -> str:
        end = time.monotonic() + WAIT_S
        while not self._client.service_is_ready():
            self._spin(end, f"the service {self._name} ({WHERE})")
        while True:
            self._asked, asked = True, self._client.call_async(SetBool.Request(data=True))
            again = time.monotonic() + _AGAIN_S
            while time.monotonic() < again:
                if asked.done():
                    return str(asked.result().message)
                if self._said:
                    return self._said
                self._spin(end, f"an answer of {self._name}")

    def _spin(self, end: float, what: str) -> None:
        if time.monotonic() > end:
            raise GraphError(f"waited {WAIT_S:g} s for {what}")
        self._executor.spin_once(timeout_sec=_LOOK_S)

    def _hear(self, message: DiagnosticArray) -> None:
        """Take the mode; one that was reached before we asked is no answer: that press may be released again."""
        pairs = [pair for status in message.status for pair in status.values]
        stopped = any((pair.key, pair.value) == ("mode", _ESTOP) for pair in pairs)
        if self._asked and stopped and not self._stopped:
            self._said = "emergency stop"
        self._stopped = stopped
