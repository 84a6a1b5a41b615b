"""The chunk in execution, sampled by time: late actions are skipped because their time has passed."""

import numpy as np

from smp_bringup.types import ActionChunk, FloatArray, nanoseconds, seconds


class ChunkBuffer:
    """Holds the newest chunk; setpoints between two actions are linear in time."""

    def __init__(self, dof: int) -> None:
        self._dof = dof
        self._chunk: ActionChunk | None = None

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the observation behind the chunk in execution, or None."""
        return None if self._chunk is None else self._chunk.stamp_ns

    def put(self, chunk: ActionChunk, now_ns: int) -> str | None:
        """Take a chunk, or return why it is refused: "shape", "nonfinite", "older" or "late"."""
        if chunk.position.ndim != 2 or chunk.position.shape[0] < 2 or chunk.position.shape[1] != self._dof:
            return "shape"
        if not (np.isfinite(chunk.position).all() and chunk.period_s > 0):
            return "nonfinite"
        if self._chunk is not None and chunk.stamp_ns <= self._chunk.stamp_ns:
            return "older"
        if not now_ns < _end_ns(chunk):
            return "late"
        self._chunk = chunk
        return None

    def sample(self, at_ns: int) -> tuple[FloatArray, FloatArray] | None:
        """Return position (J,) and velocity (J,) at a time, or None outside the chunk."""
        chunk = self._chunk
        if chunk is None or not chunk.stamp_ns <= at_ns <= _end_ns(chunk):
            return None
        knot = seconds(at_ns - chunk.stamp_ns) / chunk.period_s
        index = min(int(knot), len(chunk.position) - 2)
        first, second = chunk.position[index], chunk.position[index + 1]
        return first + (knot - index) * (second - first), (second - first) / chunk.period_s

    def sample_held(self, at_ns: int) -> tuple[FloatArray, FloatArray]:
        """Return position (J,) and velocity (J,) at a time not before the chunk; at rest at its last action after it.

        Raises:
            ValueError: no chunk is held.
        """
        if self._chunk is None:
            raise ValueError("no chunk is held")
        inside = self.sample(at_ns)
        return inside if inside is not None else (self._chunk.position[-1], np.zeros(self._dof))

    def clear(self) -> None:
        """Forget the chunk."""
        self._chunk = None


def _end_ns(chunk: ActionChunk) -> int:
    return chunk.stamp_ns + nanoseconds(chunk.period_s * (len(chunk.position) - 1))
