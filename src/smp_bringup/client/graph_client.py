"""Drives a running graph from outside: services, parameters, and what the nodes say."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from smp_bringup.client.answers import WHERE, GraphError, Refused
from smp_bringup.environment import prepare_environment, require_shared_memory
from smp_bringup.names import CLIENT, enclave, full_name, full_namespace
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import LeanNode
from smp_bringup.nodes.closing import end_rclpy
from smp_bringup.nodes.messages import diagnostic_name, status_values
from smp_bringup.nodes.security_trial import security_explained
from smp_bringup.safety.modes import Mode, next_request

START_S = 60.0
"""A loaded machine may take so long to start the interpreters of a graph."""
_AGAIN_S = 0.02
"""A request that was refused is repeated no sooner, so that the command node has time for its cycles."""
_ANSWER_S = 4.0
"""A request is sent again after so long: an answer to who was discovered only just now can be lost on its way."""


@contextmanager
def graph_client(
    name: str = "smp_client", namespace: str = "/", *, leads: bool = False, signals: bool = True
) -> Iterator["GraphClient"]:
    """Give a client of the graph; rclpy's context begins and ends with the block, however it is left.

    Args:
        name: of the node.
        namespace: of the graph.
        leads: whether it publishes what arms follow, and must be seen to leave; for any other nobody waits.
        signals: whether SIGINT and SIGTERM end rclpy's context; else they are the program's own, which may still
            speak to the graph at its end.

    Raises:
        ConfigError: ROS could not have that namespace.
        SharedMemoryError: there is none left for it.
        SecurityError: ROS is asked for security, and does not let it in.
        KeyboardInterrupt: a signal ended rclpy's context, wherever in rclpy that was noticed.
    """
    namespace = full_namespace(namespace)
    prepare_environment()
    require_shared_memory()
    with security_explained():
        rclpy.init(
            args=["--ros-args", "--enclave", enclave(full_name(CLIENT, namespace))],
            signal_handler_options=None if signals else SignalHandlerOptions.NO,
        )
    try:
        with security_explained():
            client = GraphClient(name, namespace)
        if not leads:
            client.farewell_s = 0.0
        try:
            yield client
        finally:
            client.destroy_node()
    except (ExternalShutdownException, RuntimeError):
        if rclpy.ok():
            raise
        raise KeyboardInterrupt from None
    finally:
        end_rclpy()


class GraphClient(LeanNode):
    """One client of the graph; the caller spins it through `wait` and `spin`."""

    def __init__(self, name: str, namespace: str) -> None:
        super().__init__(
            name,
            namespace=namespace,
            start_parameter_services=False,  # what drives and measures takes little of what it does
            parameter_overrides=[Parameter("start_type_description_service", value=False)],
        )
        self.command_state: dict[str, str] = {}
        self.sim_state: dict[str, str] = {}
        self.refusal = ""
        """The last refusal of a request that was repeated."""
        self.between: Callable[[], None] = lambda: None
        """Called after each turn of waiting; what it raises ends the wait."""
        self._again_s = 0.0
        self._service_clients: dict[str, Client] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self.create_subscription(DiagnosticArray, "command/state", self._on_command_state, qos.STATE)
        self.create_subscription(DiagnosticArray, "sim/state", self._on_sim_state, qos.STATE)

    def spin(self, timeout_s: float) -> None:
        """Handle what arrives within `timeout_s`, at most one callback."""
        self._executor.spin_once(timeout_sec=timeout_s)
        self.between()

    def spin_for(self, duration_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Let time pass, calling `check` on the way."""
        end = time.monotonic() + duration_s
        while (left_s := end - time.monotonic()) > 0:
            self.spin(min(left_s, 0.05))
            check()

    def wait(
        self,
        condition: Callable[[], bool],
        timeout_s: float,
        what: str,
        check: Callable[[], None] = lambda: None,
        look_s: float = 0.05,
    ) -> None:
        """Spin until `condition` holds, calling `check` on the way; without messages it is looked at every `look_s`.

        Raises:
            GraphError: it did not within `timeout_s`.
        """
        deadline, self.refusal = time.monotonic() + timeout_s, ""
        while not condition():
            if time.monotonic() > deadline:
                raise GraphError(f"waited {timeout_s:g} s for {what}" + (f": {self.refusal}" if self.refusal else ""))
            check()
            self.spin(look_s)

    def service_ready(self, service: str) -> bool:
        """Return whether somebody offers a service."""
        return self.resolve_service_name(service) in {name for name, _ in self.get_service_names_and_types()}

    def trigger(self, service: str, timeout_s: float = 10.0) -> str:
        """Call a std_srvs/Trigger and return its message; raises GraphError if it says no."""
        return self._call(Trigger, service, Trigger.Request(), timeout_s)

    def set_bool(self, service: str, value: bool, timeout_s: float = 10.0) -> str:
        """Call a std_srvs/SetBool and return its message; raises GraphError if it says no."""
        return self._call(SetBool, service, SetBool.Request(data=value), timeout_s)

    def node_of(self, status: str) -> str:
        """Return which node of this graph a status of /diagnostics is of, by its name; nothing for another graph's."""
        ours = diagnostic_name(f"{self.get_namespace().rstrip('/')}/")
        node = status.removeprefix(ours)
        return node if status.startswith(ours) and "/" not in node else ""

    def set_parameters(self, node: str, timeout_s: float = 10.0, **values: str | int | float | bool) -> None:
        """Set parameters of a node; raises GraphError if one is refused."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        )
        response = self._request(SetParameters, f"{node}/set_parameters", request, timeout_s)
        for result in response.results:
            if not result.successful:
                raise GraphError(f"{node} refused its parameters: {result.reason}")

    def start_episode(self, task: str, seed: int, source: str, check: Callable[[], None] = lambda: None) -> None:
        """Wait for the simulated graph, reset it to an episode, arm, and follow "policy" or "teleop".

        Args:
            task: of the simulator.
            seed: of the layout.
            source: to follow.
            check: called while waiting.

        Raises:
            GraphError: it did not come so far in time.
        """
        self.wait(lambda: bool(self.sim_state and self.command_state), START_S, "the graph", check)
        if source == Mode.POLICY.value:
            self.wait(lambda: self.count_publishers("policy/chunk") > 0, START_S, "the policy", check)
            if self.service_ready("policy/set_parameters"):  # ours: another's may be told in its own way
                self.set_parameters("policy", task=task)
        self.reset_episode(task, seed, check)
        self.follow(source, check)

    def reset_episode(self, task: str, seed: int, check: Callable[[], None] = lambda: None) -> None:
        """Disarm the arms of a simulated graph that runs, and reset it to an episode; see `start_episode`."""
        self.wait(lambda: not self.latched or self.accepts("reset"), 5.0, "the command node to be reset", check)
        # The arms come to rest first: what is still published would move the simulated arms of the next episode.
        self.wait(lambda: self.trigger("command/disarm") == "disarmed", 5.0, "the arms to rest", check)
        self.set_parameters("sim", task=task, seed=seed)
        episode = self.sim_state.get("episode")
        self.trigger("sim/reset")
        self.wait(lambda: self._begun(episode), 5.0, "the simulator to begin the episode", check)

    def follow(
        self,
        source: str,
        check: Callable[[], None] = lambda: None,
        *,
        before: Callable[[str], None] = lambda _: None,
        once: Callable[[], bool] = lambda: True,
        reset: bool = True,
        timeout_s: float = START_S,
    ) -> None:
        """Bring the command node to follow "policy" or "teleop".

        Args:
            source: to follow.
            check: called while waiting.
            before: called with each request ("reset", "arm", "use_...") before it may be sent.
            once: what must hold besides, while the source is followed.
            reset: whether latched modes are reset, also on the way.
            timeout_s: for all of it, from when the command node has said its mode.

        Raises:
            GraphError: it did not come so far in time; the message names the last refusal. Or it is latched.
        """

        def followed() -> bool:
            if self.latched and not reset:
                raise GraphError(f"{self.command_state['mode']}: {self.command_state['reason']}")
            mode = Mode(self.command_state["mode"])
            request = next_request(mode, Mode(source))
            if not request:
                return once()
            before(request)
            if self.accepts(request):  # the mode is out of date until the command node has said the next one
                self.wait(lambda: self.command_state["mode"] != mode.value, 5.0, f"the mode after {request}", check)
            return False

        self.wait(lambda: bool(self.command_state), START_S, "the command node", check)
        self.wait(followed, timeout_s, f"the command node to follow {source}", check)

    @property
    def latched(self) -> bool:
        """Whether the command node last said that it must be reset."""
        return self.command_state.get("mode") in ("fault", "estop")

    def _begun(self, previous: str | None) -> bool:
        """Return whether a new episode runs for so long that every node has seen its joint states."""
        return self.sim_state.get("episode") != previous and float(self.sim_state["time_s"]) > 0.15

    def accepts(self, request: str) -> bool:
        """Ask the command node, not too often; return whether it says yes, and keep why not for the error."""
        if time.monotonic() < self._again_s:
            return False
        try:
            self.trigger(f"command/{request}")
        except GraphError as error:
            self.refusal, self._again_s = str(error), time.monotonic() + _AGAIN_S
            return False
        return True

    def _call(self, kind: type, service: str, request: object, timeout_s: float) -> str:
        response = self._request(kind, service, request, timeout_s)
        if not response.success:
            raise Refused(f"{service}: {response.message}")
        return str(response.message)

    def ask_bool(self, service: str, value: bool, timeout_s: float = 10.0) -> Future:
        """Call a std_srvs/SetBool and return at once the future of its answer."""
        return self._send(SetBool, service, SetBool.Request(data=value), timeout_s)

    def _send(self, kind: type, service: str, request: object, timeout_s: float) -> Future:
        client = self._service_clients.get(service)
        if client is None:
            client = self._service_clients[service] = self.create_client(kind, service)
        # No message comes when a service is discovered, and an emergency stop waits for that.
        what = f"the service {self.resolve_service_name(service)} ({WHERE})"
        self.wait(client.service_is_ready, timeout_s, what, look_s=0.005)
        return client.call_async(request)

    def _request(self, kind: type, service: str, request: object, timeout_s: float):  # type: ignore[no-untyped-def]
        end = time.monotonic() + timeout_s
        while True:
            future = self._send(kind, service, request, timeout_s)
            left_s = max(0.0, end - time.monotonic())
            try:
                self.wait(future.done, min(_ANSWER_S, left_s), f"an answer of {service}")
            except GraphError:
                if left_s <= _ANSWER_S:
                    raise
            else:
                return future.result()

    def _on_command_state(self, message: DiagnosticArray) -> None:
        self.command_state = status_values(message)

    def _on_sim_state(self, message: DiagnosticArray) -> None:
        self.sim_state = status_values(message)
