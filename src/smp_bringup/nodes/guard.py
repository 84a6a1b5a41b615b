"""A callback that raises is counted and logged; the node goes on with the next message."""

import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class Guard:
    """Wraps the callbacks of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.counters: Counter[str] = Counter()
        """Exceptions as "callback_error/name"."""

    def __call__(self, name: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return `callback` so wrapped that nothing it raises reaches the executor."""

        def guarded(message: Any) -> None:
            try:
                callback(message)
            except Exception:  # whatever it is: one bad message must not end the node
                if not self._node.context.ok():
                    raise  # the node is told to stop: what it can no longer publish is no fault
                self.counters[f"callback_error/{name}"] += 1
                text = f"{name}: {traceback.format_exc(limit=-3)}"
                self._node.get_logger().error(text, throttle_duration_sec=1.0)

        return guarded
