"""The chunk in execution, sampled by time: late actions are skipped because their time has passed.

Between actions the setpoint is a cubic with central-difference slopes (Catmull-Rom), so
that its velocity has no steps for the limiter to smooth out.
"""

import numpy as np

from smp_bringup.types import ActionChunk, FloatArray, nanoseconds, seconds


class ChunkBuffer:
    """Holds the newest chunk; its last action lasts a period too, with the velocity that led to it."""

    def __init__(self, dof: int) -> None:
        self._dof = dof
        self._chunk: ActionChunk | None = None
        self._slope: FloatArray = np.zeros((0, dof))
        self.seam: FloatArray | None = None
        """(J,) by how much the last accepted chunk moved the setpoint of that instant; None if there was none."""

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
        before = self.sample(now_ns)
        self._chunk, self._slope = chunk, np.gradient(chunk.position, axis=0)
        after = self.sample(now_ns)
        self.seam = None if before is None or after is None else np.abs(after[0] - before[0])
        return None

    def sample(self, at_ns: int) -> tuple[FloatArray, FloatArray] | None:
        """Return position (J,) and velocity (J,) at a time, or None outside the chunk."""
        chunk = self._chunk
        if chunk is None or not chunk.stamp_ns <= at_ns <= _end_ns(chunk):
            return None
        knot = seconds(at_ns - chunk.stamp_ns) / chunk.period_s
        last = len(chunk.position) - 1
        if knot > last:
            return chunk.position[-1] + (knot - last) * self._slope[-1], self._slope[-1] / chunk.period_s
        index = min(int(knot), last - 1)
        return _hermite(chunk.position, self._slope, index, knot - index, chunk.period_s)

    def sample_held(self, at_ns: int) -> tuple[FloatArray, FloatArray]:
        """Return position (J,) and velocity (J,) at a time not before the chunk; at rest where it ends after it.

        Raises:
            ValueError: no chunk is held.
        """
        if self._chunk is None:
            raise ValueError("no chunk is held")
        inside = self.sample(at_ns)
        return inside if inside is not None else (self._chunk.position[-1] + self._slope[-1], np.zeros(self._dof))

    def clear(self) -> None:
        """Forget the chunk."""
        self._chunk = None


def _hermite(
    knots: FloatArray, slope: FloatArray, i: int, share: float, period_s: float
) -> tuple[FloatArray, FloatArray]:
    """Return position (J,) and velocity (J,) at `share` of the way from knot `i` to the next; slopes per knot."""
    a, b = knots[i], knots[i + 1]
    c2 = 3 * (b - a) - 2 * slope[i] - slope[i + 1]
    c3 = 2 * (a - b) + slope[i] + slope[i + 1]
    position = a + share * (slope[i] + share * (c2 + share * c3))
    return position, (slope[i] + share * (2 * c2 + share * 3 * c3)) / period_s


def _end_ns(chunk: ActionChunk) -> int:
    return chunk.stamp_ns + nanoseconds(chunk.period_s * len(chunk.position))
