"""Which frames make up an observation: one rule by stamps for robot, simulation, replay and training.

An observation is seen at instants one action period apart, the last of which is its newest frame. Of each instant
it has the nearest frame. An instant without a frame within half an action period was not seen, and then there is
no observation: not before enough time is covered, and not across a gap.
"""

from collections import deque
from math import ceil
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from smp_bringup.types import nanoseconds

T = TypeVar("T")

_MAX_RATE_HZ = 1000
"""No camera is faster: where more frames lie in the time of an observation, their stamps are wrong; the oldest go."""


def windows(stamps: NDArray[np.int64], ends: NDArray[np.int64], steps: int, period_s: float) -> NDArray[np.int64]:
    """Return the frames (M, To) of observations, oldest first, as indices; -1 for an instant that was not seen.

    Args:
        stamps: of the frames (N,) [ns], ascending.
        ends: stamps (M,) [ns] of the newest frames.
        steps: To.
        period_s: action period [s].
    """
    period_ns = nanoseconds(period_s)
    wanted = ends[:, None] - period_ns * np.arange(steps)[::-1]
    after = np.searchsorted(stamps, wanted).clip(max=len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(wanted - stamps[before] <= stamps[after] - wanted, before, after)
    return np.where(np.abs(stamps[nearest] - wanted) <= period_ns // 2, nearest, -1)


class History(Generic[T]):
    """Keeps what was seen, and says what an observation of `steps` instants `period_s` apart is made of."""

    def __init__(self, steps: int, period_s: float) -> None:
        self._steps, self._period_s, period_ns = steps, period_s, nanoseconds(period_s)
        self._span_ns = (steps - 1) * period_ns + period_ns // 2
        self._ring: deque[tuple[int, T]] = deque(maxlen=ceil(steps * period_s * _MAX_RATE_HZ))
        self.unseen = 0
        """Frames that ended no observation, because an instant before them was not seen."""

    def push(self, stamp_ns: int, seen: T) -> list[T] | None:
        """Take what was seen at a stamp; return what the observation that ends with it is made of, oldest first.

        Returns None where there is no such observation. What is not newer than the last is ignored; what is more
        than a second older starts afresh.
        """
        if self._ring and stamp_ns <= self._ring[-1][0]:
            if self._ring[-1][0] - stamp_ns < nanoseconds(1.0):
                return None
            self._ring.clear()
        self._ring.append((stamp_ns, seen))
        while self._ring[0][0] < stamp_ns - self._span_ns:
            self._ring.popleft()
        stamps = np.array([stamp for stamp, _ in self._ring], dtype=np.int64)
        frames = windows(stamps, stamps[-1:], self._steps, self._period_s)[0]
        if frames.min() < 0:
            self.unseen += 1
            return None
        return [self._ring[frame][1] for frame in frames]

    def clear(self) -> None:
        """Forget everything (a new episode begins)."""
        self._ring.clear()
