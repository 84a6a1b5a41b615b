"""Frames that arrive late and not always equally late, as from a real camera."""

import numpy as np

from smp_bringup.types import Frame, nanoseconds


class CameraDelay:
    """Holds frames until their delay has passed; the stamp stays that of the exposure."""

    def __init__(self, latency_s: float, jitter_s: float, seed: int) -> None:
        self._latency_s, self._jitter_s = latency_s, jitter_s
        self._rng = np.random.default_rng(seed)
        self._waiting: list[tuple[int, Frame]] = []

    def push(self, frame: Frame) -> None:
        """Take a frame at its exposure."""
        delay_s = self._latency_s + self._rng.uniform(0, self._jitter_s)
        self._waiting.append((frame.stamp_ns + nanoseconds(delay_s), frame))

    def pop(self, now_ns: int) -> list[Frame]:
        """Return the frames that have arrived by now, in order of exposure."""
        due = [frame for at, frame in self._waiting if at <= now_ns]
        self._waiting = [(at, frame) for at, frame in self._waiting if at > now_ns]
        return due
