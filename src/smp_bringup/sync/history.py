"""To aligned sets from a timestamped ring; the spacing comes from stamps, never from call counts."""

from collections import deque

import numpy as np

from smp_bringup.types import AlignedSet, Observation, nanoseconds


class History:
    """Keeps the newest sets and returns observations of `steps` sets, `period_s` apart."""

    def __init__(self, steps: int, period_s: float) -> None:
        self._steps, self._period_ns = steps, nanoseconds(period_s)
        self._ring: deque[AlignedSet] = deque(maxlen=4 * steps + 4)

    def push(self, aligned: AlignedSet) -> Observation | None:
        """Take a set and return the observation that ends with it; None until enough time is covered.

        A set that is not newer than the last is ignored; one more than a second older starts afresh.
        """
        if self._ring and aligned.stamp_ns <= self._ring[-1].stamp_ns:
            if self._ring[-1].stamp_ns - aligned.stamp_ns < nanoseconds(1.0):
                return None
            self._ring.clear()
        self._ring.append(aligned)
        wanted = [aligned.stamp_ns - k * self._period_ns for k in reversed(range(self._steps))]
        if self._ring[0].stamp_ns > wanted[0] + self._period_ns // 2:
            return None
        sets = [min(self._ring, key=lambda s: abs(s.stamp_ns - at)) for at in wanted]
        return Observation(
            aligned.stamp_ns,
            {name: np.stack([s.images[name] for s in sets]) for name in aligned.images},
            np.stack([s.position for s in sets]),
            np.stack([s.velocity for s in sets]),
        )

    def clear(self) -> None:
        """Forget all sets (a new episode begins)."""
        self._ring.clear()
