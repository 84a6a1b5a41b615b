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
        self._cubics: FloatArray = np.zeros((4, 0, dof))
        self.jump: FloatArray | None = None
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
        self._chunk, self._cubics = chunk, _cubics(chunk.position)
        after = self.sample(now_ns)
        self.jump = None if before is None or after is None else np.abs(after[0] - before[0])
        return None

    def sample(self, at_ns: int) -> tuple[FloatArray, FloatArray] | None:
        """Return position (J,) and velocity (J,) at a time, or None outside the chunk."""
        chunk = self._chunk
        if chunk is None or not chunk.stamp_ns <= at_ns <= _end_ns(chunk):
            return None
        position, velocity = self._at(np.array([seconds(at_ns - chunk.stamp_ns) / chunk.period_s]))
        return position[0], velocity[0]

    def ahead(self, now_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return positions and velocities (K, J) at times (K,) [s] from now, at rest where the chunk ends before them.

        None if now is outside the chunk.
        """
        chunk = self._chunk
        if chunk is None or not chunk.stamp_ns <= now_ns <= _end_ns(chunk):
            return None
        knot = (seconds(now_ns - chunk.stamp_ns) + ahead_s) / chunk.period_s
        inside = knot <= len(chunk.position)
        position, velocity = self._at(np.minimum(knot, len(chunk.position)))
        return position, velocity * inside[:, None]

    def clear(self) -> None:
        """Forget the chunk."""
        self._chunk = None

    def _at(self, knot: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return positions and velocities (K, J) at times (K,) in periods of the chunk."""
        assert self._chunk is not None
        index = np.minimum(knot.astype(np.intp), len(self._chunk.position) - 1)
        share = (knot - index)[:, None]
        c0, c1, c2, c3 = self._cubics[:, index]
        position = c0 + share * (c1 + share * (c2 + share * c3))
        return position, (c1 + share * (2 * c2 + share * 3 * c3)) / self._chunk.period_s


def _cubics(knots: FloatArray) -> FloatArray:
    """Return the coefficients (4, T, J), constant first, from each knot (T, J) to the next; a line after the last."""
    slope = np.gradient(knots, axis=0)
    cubics = np.zeros((4, *knots.shape))
    cubics[0], cubics[1] = knots, slope
    step = knots[1:] - knots[:-1]
    cubics[2, :-1] = 3 * step - 2 * slope[:-1] - slope[1:]
    cubics[3, :-1] = slope[:-1] + slope[1:] - 2 * step
    return cubics


def _end_ns(chunk: ActionChunk) -> int:
    return chunk.stamp_ns + nanoseconds(chunk.period_s * len(chunk.position))
