"""A message or a request that a callback cannot take is refused, counted and logged; the node goes on with the next."""

import inspect
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.node import Node

from smp_bringup.errors import SmpError, one_line
from smp_bringup.sync.checks import Refusal

_LOG_NS = 1_000_000_000
"""What is refused on a topic is logged no more often."""
_LISTS, _MOST_ASKED = ("names", "prefixes", "parameters"), 256
"""What the services of a node's parameters are asked about, and how many at once."""
_LONGEST_LOG = 400
"""Characters of what a stranger makes us say."""


class Guard:
    """Wraps the callbacks of one node."""

    def __init__(self, node: Node) -> None:
        self._node = weakref.proxy(node)  # no cycle: a node whose start fails is gone at once, not half-built in rclpy
        self._logged_ns: dict[str, int] = {}
        self.counters: Counter[str] = Counter()
        """Refused messages as "refused/topic", exceptions as "callback_error/topic", of services too."""

    def message(self, topic: str, callback: Callable[..., None]) -> Callable[[Any, dict], None]:
        """Return the callback of a subscription so wrapped that nothing it raises reaches the executor."""
        alone = _takes_one(callback)

        def guarded(message: Any, info: dict) -> None:
            try:
                callback(message) if alone else callback(message, info)
            except Exception as error:  # whatever it is: one bad message must not end the node
                self._caught(topic, error, info)

        return guarded

    def request(self, service: str, callback: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Return the callback of a service so wrapped that whatever it raises is the answer: no."""

        # rclpy's own services, of parameters, break only on what is asked: no defect whose place is to be shown.
        of_rclpy = callback.__module__.startswith("rclpy.")

        def guarded(request: Any, response: Any) -> Any:
            try:
                _bounded(request)
                return callback(request, response)
            except Exception as error:
                self._caught(service, Refusal(one_line(error)) if of_rclpy else error, {})
                if hasattr(response, "success"):
                    response.success, response.message = False, one_line(error)[:_LONGEST_LOG]
                return response

        return guarded

    def timer(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Return the callback of a timer so wrapped that only a user's mistake, which is meant to, ends the node."""
        name = f"timer/{getattr(callback, '__qualname__', callback)}"

        def guarded() -> None:
            try:
                callback()
            except SmpError:
                raise
            except Exception as error:  # as of a name in the graph that is no text: the next time may be sound
                self._caught(name, error, None)

        return guarded

    def _caught(self, name: str, error: Exception, info: dict | None) -> None:
        """Count what a callback raised; name who sent it where the middleware says so."""
        if not self._node.context.ok():
            raise error  # the node is told to stop: what it can no longer publish is no fault
        refused = isinstance(error, Refusal)
        self.counters[f"{'refused' if refused else 'callback_error'}/{name.lstrip('/')}"] += 1
        now_ns = time.monotonic_ns()
        if now_ns - self._logged_ns.get(name, -_LOG_NS) < _LOG_NS:
            return
        self._logged_ns[name] = now_ns
        text = one_line(error)[:_LONGEST_LOG] if refused else "".join(traceback.format_exception(error, limit=-3))
        what = "failed" if info is None else f"refused what {self._sender(name, info)} sent"  # None: of a timer
        self._node.get_logger().error(f"{name}: {what}: {text}")

    def _sender(self, topic: str, info: dict) -> str:
        gid = info.get("publisher_gid")  # absent before Kilted, and of a request
        if gid is None:
            return "somebody"
        with suppress(UnicodeDecodeError):  # somebody's name is no text
            for publisher in self._node.get_publishers_info_by_topic(topic):
                if bytes(publisher.endpoint_gid) == bytes(gid["data"]):
                    return one_line(f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}")
        return "somebody"


def _bounded(request: Any) -> None:
    """Refuse a request about more parameters than any node has: to answer it would stop the node for long."""
    for name in _LISTS:
        if (count := len(getattr(request, name, ()))) > _MOST_ASKED:
            raise Refusal(f"{count} {name}, at most {_MOST_ASKED} are answered")


def _takes_one(callback: Callable[..., None]) -> bool:
    """Return whether a callback takes the message alone, as rclpy decides it."""
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return False
    return True
