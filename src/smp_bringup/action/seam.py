"""How a new chunk joins the one in execution.

Inference takes time: when a chunk arrives, its first actions are past, and the arms are
where the old chunk brought them meanwhile. `latest` ignores that; `blend` averages all
chunks that speak about an instant (temporal ensembling, arXiv 2304.13705); `inpaint` and
`prefix` hand the actions that will be executed during inference to the policy, which
continues them (real-time chunking, arXiv 2506.07339; training-time conditioning, arXiv 2512.05964).
"""

from collections import deque
from dataclasses import replace
from math import ceil

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.types import ActionChunk, FloatArray, nanoseconds

SEAMS = ("latest", "blend", "inpaint", "prefix")
DEFAULT_SEAM = "inpaint"
CONDITIONED = ("inpaint", "prefix")
"""Seams whose policy is told what is committed."""
_DELAYS = 8
"""The delay is the largest of so many recent ones: a prefix too short leaves a jump, one too long costs little."""
_ENSEMBLE_DECAY = 0.01
"""Weight of the i-th oldest chunk is exp(-0.01 i), as in the paper."""
_FADE_STEPS = 5
"""What the policy missed the prefix by at its end is taken back linearly over so many actions."""


class Seam:
    """Remembers what was sent and what is followed, and makes each new chunk continue it."""

    def __init__(self, kind: str, dof: int, period_s: float, margin_s: float) -> None:
        """Begin with nothing committed.

        Args:
            kind: one of `SEAMS`.
            dof: J.
            period_s: between two actions.
            margin_s: added to the measured delay, for what it varies by.
        """
        if kind not in SEAMS:
            raise ValueError(f"unknown seam '{kind}'")
        self.kind, self._dof, self._period_s, self._margin_s = kind, dof, period_s, margin_s
        self._sent: deque[ActionChunk] = deque(maxlen=_DELAYS)
        self._raw: deque[ActionChunk] = deque(maxlen=_DELAYS)
        self._delays_ns: deque[int] = deque(maxlen=_DELAYS)
        self._followed_ns: int | None = None

    @property
    def delay_s(self) -> float:
        """Largest recent time from the stamp of an observation to the first command that followed its chunk [s]."""
        return max(self._delays_ns, default=0) / 1e9

    def follows(self, stamp_ns: int | None, at_ns: int) -> None:
        """Hear which chunk the command node follows since `at_ns`; None when it follows none."""
        if stamp_ns is None:
            self._forget()
        elif stamp_ns != self._followed_ns and any(chunk.stamp_ns == stamp_ns for chunk in self._sent):
            self._delays_ns.append(at_ns - stamp_ns)
        self._followed_ns = stamp_ns

    def committed(self, stamp_ns: int) -> FloatArray | None:
        """Return the actions (d, J) that will have been executed before a chunk of `stamp_ns` can be followed.

        None for a seam that does not condition on them, and while nothing is committed.
        """
        if self.kind not in CONDITIONED or not self._sent:
            return None
        plan = _plan(self._sent[-1], self._dof)
        # Two knots beyond the delay: between two knots the setpoint is a cubic through four.
        count = ceil((self.delay_s + self._margin_s) / self._period_s) + 2
        rows = []
        for k in range(count):
            sample = plan.sample(stamp_ns + nanoseconds(k * self._period_s))
            if sample is None:
                break
            rows.append(sample[0])
        return np.array(rows) if rows else None

    def join(self, chunk: ActionChunk, committed: FloatArray | None) -> ActionChunk:
        """Return the chunk to send; `committed` is what the policy was told."""
        if self._sent and chunk.stamp_ns <= self._sent[-1].stamp_ns:
            self._forget()  # time went back: what was sent is of another epoch
        joined = chunk
        if self.kind == "blend":
            self._raw.append(chunk)
            joined = replace(chunk, position=self._ensemble(chunk))
        elif committed is not None:
            joined = replace(chunk, position=_continue(chunk.position, committed))
        self._sent.append(joined)
        return joined

    def _forget(self) -> None:
        self._sent.clear()
        self._raw.clear()

    def _ensemble(self, chunk: ActionChunk) -> FloatArray:
        plans = [_plan(raw, self._dof) for raw in self._raw]
        out = np.empty_like(chunk.position)
        for k in range(len(out)):
            at = chunk.stamp_ns + nanoseconds(k * self._period_s)
            samples = [sample[0] for sample in (plan.sample(at) for plan in plans) if sample is not None]
            weights = np.exp(-_ENSEMBLE_DECAY * np.arange(len(samples)))
            out[k] = np.average(samples, axis=0, weights=weights)
        return out


def _continue(position: FloatArray, committed: FloatArray) -> FloatArray:
    """Return the chunk (T, J) that begins with what is committed (d, J) and fades into the policy's own actions."""
    count = min(len(committed), len(position))
    out = position.copy()
    miss = committed[count - 1] - position[count - 1]
    out[:count] = committed[:count]
    for k in range(count, min(count + _FADE_STEPS, len(out))):
        out[k] += miss * (1 - (k - count + 1) / (_FADE_STEPS + 1))
    return out


def _plan(chunk: ActionChunk, dof: int) -> ChunkBuffer:
    buffer = ChunkBuffer(dof)
    buffer.put(chunk, chunk.stamp_ns)
    return buffer
