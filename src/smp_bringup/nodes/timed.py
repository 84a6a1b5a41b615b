"""A control loop that takes its messages itself, and leaves what may wait a little to an executor.

rclpy's executor puts all that a node has into a wait set for every message that comes, which costs more than the
control cycle does. Here no executor waits for the fast topics: what has come is taken just before each cycle.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.executors import Executor, ShutdownException, TimeoutException
from rclpy.subscription import Subscription

from smp_bringup.nodes.base import steady_ns, waiting
from smp_bringup.types import NS_PER_S, nanoseconds

_SLOW_NS = nanoseconds(0.01)
"""Services, timers and answers get the rest of a period so often; or a cycle later, where the time was too short."""
_LEAD_NS = nanoseconds(0.0005)
"""Messages are taken so long before a cycle is due: how many have come does not move when it begins."""
_MARGIN_NS = nanoseconds(0.001)
"""None of them begins so shortly before a cycle."""


class Polled(CallbackGroup):
    """Subscriptions that no executor waits for."""

    def can_execute(self, entity: Any) -> bool:
        """Return that an executor must leave it alone."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Return that an executor must not begin."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing ever began."""


class TimedLoop:
    """Takes what has come on each topic, then runs one cycle, at fixed times of the steady clock."""

    def __init__(
        self,
        period_s: float,
        subscriptions: Sequence[Subscription],
        cycle: Callable[[], None],
        simulated: Callable[[], bool],
    ) -> None:
        """Begin now.

        Args:
            period_s: between two cycles [s].
            subscriptions: of the group `Polled`; their callbacks take message and info.
            cycle: what is to be done at every period.
            simulated: whether time is that of /clock, which an executor hears.
        """
        self._simulated, self._ended, self._first = simulated, False, 0
        self._period_ns, self._subscriptions, self._cycle = nanoseconds(period_s), tuple(subscriptions), cycle
        self._next_ns = self._slow_ns = steady_ns()

    def end(self) -> None:
        """Take nothing more and run no further cycle: what the loop works with may be destroyed."""
        self._ended = True

    def turn(self, executor: Executor) -> None:
        """Take what has come, run the next cycle when it is due, and then give what may wait its turn."""
        _sleep_until(self._next_ns - min(_LEAD_NS, self._period_ns // 4))
        if self._simulated():  # the clock first: the stamps of what is taken next are held against it
            self._serve(executor, self._next_ns + self._period_ns // 2, patient=False)
            if self._ended:
                return
        self._take(self._next_ns + self._period_ns)
        _sleep_until(self._next_ns)
        self._cycle()
        now_ns = steady_ns()
        self._next_ns += self._period_ns
        if now_ns >= self._next_ns:  # too late for the next one: those that were missed are not made up for
            self._next_ns = now_ns + self._period_ns - (now_ns - self._next_ns) % self._period_ns
        if now_ns >= self._slow_ns and self._serve(executor, self._next_ns - _MARGIN_NS, patient=True):
            self._slow_ns = now_ns + _SLOW_NS

    def _take(self, until_ns: int) -> None:
        """Take what has come, until a time of the steady clock: megabytes of a stranger delay one cycle, not several.

        The next turn goes on with the topic after the one at which this turn ended, so that none is left out for good.
        """
        first, count = self._first, len(self._subscriptions)
        self._first = 0
        for place in range(first, first + count):
            subscription = self._subscriptions[place % count]
            for message, info in waiting(subscription):
                subscription.callback(message, info)
                if steady_ns() > until_ns:
                    self._first = (place + 1) % count
                    return

    def _serve(self, executor: Executor, until_ns: int, patient: bool) -> bool:
        """Run what waits, at least one callback, until a time of the steady clock; return whether that was all.

        A patient one goes on to that time with what comes meanwhile: an emergency stop by service waits for no turn.
        """
        while True:
            left_ns = max(0, until_ns - steady_ns()) if patient else 0
            try:
                handler, *_ = executor.wait_for_ready_callbacks(timeout_sec=left_ns / NS_PER_S)
            except (TimeoutException, ShutdownException):
                return True
            handler()
            if (error := handler.exception()) is not None:
                raise error
            if steady_ns() > until_ns:
                return False


def _sleep_until(at_ns: int) -> None:
    if (ahead_ns := at_ns - steady_ns()) > 0:
        time.sleep(ahead_ns / NS_PER_S)
