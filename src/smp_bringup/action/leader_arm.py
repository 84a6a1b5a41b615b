"""A leader arm, whose joints its follower takes over."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.arm import Arm
from smp_bringup.sync.checks import JointOrder
from smp_bringup.sync.stamps import StampOrder
from smp_bringup.types import FloatArray, nanoseconds, seconds

_WINDOW_NS = nanoseconds(0.04)
"""A leader's velocity is the slope over at least so long: the last two samples alone would make their noise a speed."""
_GAP_NS = nanoseconds(0.1)
"""Across a longer pause there is no slope."""
_BURST_NS = nanoseconds(0.002)
"""Samples that are closer came together, however long the way was between them: the newest stands for all."""
_MOST, _FEWEST = 64, 3
"""Samples in the slope, where there are as many."""
Sample = tuple[int, FloatArray]
"""Stamp and position (n,)."""


class LeaderArm:
    """One leader arm: its newest joints, and their slope over its own stamps, since its driver rarely gives speeds."""

    def __init__(self, arm: Arm) -> None:
        self._order, self._stamps = JointOrder(*arm.leader_joints), StampOrder()
        self._limit = np.array([joint.velocity for joint in arm.joints])
        self._newest: Sample | None = None
        self._before: deque[Sample] = deque(maxlen=_MOST - 1)
        """Of the samples before the newest, those that are apart from each other."""

    @property
    def spoken(self) -> bool:
        """Whether there is a sample."""
        return self._newest is not None

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest sample."""
        assert self._newest is not None
        return self._newest[0]

    @property
    def position(self) -> FloatArray:
        """(n,) newest."""
        assert self._newest is not None
        return self._newest[1]

    def push(self, stamp_ns: int, names: Sequence[str], position: ArrayLike) -> bool:
        """Take a sample, or return False if it is late; raises Refusal if it is malformed."""
        joints, _ = self._order.map(names, position, [])
        if not self._stamps.admits(stamp_ns):
            return False
        if self.spoken and not 0 < stamp_ns - self.stamp_ns <= _GAP_NS:
            self._newest = None
            self._before.clear()
        if self._newest is not None:
            self._keep(self._newest, stamp_ns - self.stamp_ns >= _BURST_NS)
        self._newest = stamp_ns, joints
        while len(self._before) >= _FEWEST and stamp_ns - self._before[1][0] >= _WINDOW_NS:
            self._before.popleft()
        return True

    @property
    def velocity(self) -> FloatArray:
        """(n,) least-squares slope of the recent samples, within the follower's limits."""
        apart = [sample for sample in self._before if self.stamp_ns - sample[0] >= _BURST_NS]
        if not apart:
            return np.zeros_like(self.position)
        at_s = np.array([seconds(at_ns - self.stamp_ns) for at_ns, _ in apart] + [0.0])
        at_s -= at_s.mean()
        slope: FloatArray = at_s @ np.array([joints for _, joints in apart] + [self.position]) / (at_s @ at_s)
        return np.clip(slope, -self._limit, self._limit)

    def _keep(self, sample: Sample, last: bool) -> None:
        """Keep a sample that another follows, if it is apart from those before it, or the `last` of a burst."""
        together = self._before and sample[0] - self._before[-1][0] < _BURST_NS
        if together and last:
            self._before.pop()
        if last or not together:
            self._before.append(sample)
