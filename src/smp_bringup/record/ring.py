"""The last so many seconds of what was heard, in memory: bounded in time and in bytes, the oldest go first."""

from collections import deque
from typing import NamedTuple

from smp_bringup.robot import Robot
from smp_bringup.types import nanoseconds

_PIXELS_PER_S = 5e6
"""Pixels that are packed in a second: some twentieth of a core."""
_BURST_PERIODS = 4
"""Of the action: what a policy looks at must lie in one piece."""


class Heard(NamedTuple):
    """One message."""

    topic: str
    msgtype: str
    log_ns: int
    cdr: bytes


class Ring:
    """Messages in the order in which they came."""

    def __init__(self, keep_s: float, most_bytes: int) -> None:
        self._keep_ns, self._most = nanoseconds(keep_s), most_bytes
        self._heard: deque[Heard] = deque()
        self.bytes = 0

    def take(self, heard: Heard) -> None:
        """Keep a message, and let go of what is too old or too much."""
        self._heard.append(heard)
        self.bytes += len(heard.cdr)
        oldest_ns = heard.log_ns - self._keep_ns
        while self.bytes > self._most or self._heard[0].log_ns < oldest_ns:
            self.bytes -= len(self._heard.popleft().cdr)
            if not self._heard:
                return

    def since(self, first_ns: int) -> list[Heard]:
        """Return what was heard from a time on, in order of that time."""
        return sorted((heard for heard in self._heard if heard.log_ns >= first_ns), key=lambda heard: heard.log_ns)


class Bursts:
    """Which frames of the cameras are kept: all, or of many pixels those of short times, the same for all cameras.

    Within a burst frames follow each other as they came, so that a policy finds its observation there.
    """

    def __init__(self, robot: Robot) -> None:
        packed = [camera for camera in robot.cameras if not camera.compressed]
        self._topics = {camera.topic for camera in packed}
        pixels = sum(camera.width * camera.height * camera.rate_hz for camera in packed)
        self._burst_ns = nanoseconds(_BURST_PERIODS * robot.action_period_s)
        self._period_ns = round(self._burst_ns * max(1.0, pixels / _PIXELS_PER_S))

    @property
    def share(self) -> float:
        """Share of the time whose frames are kept."""
        return self._burst_ns / self._period_ns

    def keeps(self, topic: str, log_ns: int) -> bool:
        """Return whether a message that came at a time is kept; of all but cameras every one is."""
        return topic not in self._topics or log_ns % self._period_ns < self._burst_ns
