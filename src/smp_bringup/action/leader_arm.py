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
"""A leader's velocity is the slope over so long: the last two samples alone would make their noise a speed."""
_GAP_NS = nanoseconds(0.1)
"""Across a longer pause there is no slope."""
_MOST, _FEWEST = 64, 3
"""Samples in the slope, where there are as many."""


class LeaderArm:
    """One leader arm: its newest joints, and their slope over its own stamps, since its driver rarely gives speeds."""

    def __init__(self, arm: Arm) -> None:
        self._order, self._stamps = JointOrder(*arm.leader_joints), StampOrder()
        self._limit = np.array([joint.velocity for joint in arm.joints])
        self._recent: deque[tuple[int, FloatArray]] = deque(maxlen=_MOST)

    @property
    def spoken(self) -> bool:
        """Whether there is a sample."""
        return bool(self._recent)

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest sample."""
        return self._recent[-1][0]

    @property
    def position(self) -> FloatArray:
        """(n,) newest."""
        return self._recent[-1][1]

    def push(self, stamp_ns: int, names: Sequence[str], position: ArrayLike) -> bool:
        """Take a sample, or return False if it is late; raises Refusal if it is malformed."""
        joints, _ = self._order.map(names, position, [])
        if not self._stamps.admits(stamp_ns):
            return False
        if self.spoken and not 0 < stamp_ns - self.stamp_ns <= _GAP_NS:
            self._recent.clear()
        self._recent.append((stamp_ns, joints))
        while len(self._recent) > _FEWEST and stamp_ns - self._recent[0][0] > _WINDOW_NS:
            self._recent.popleft()
        return True

    @property
    def velocity(self) -> FloatArray:
        """(n,) least-squares slope of the recent samples, within the follower's limits."""
        if len(self._recent) < 2:
            return np.zeros_like(self.position)
        at_s = np.array([seconds(at_ns - self.stamp_ns) for at_ns, _ in self._recent])
        at_s -= at_s.mean()
        slope: FloatArray = at_s @ np.array([joints for _, joints in self._recent]) / (at_s @ at_s)
        return np.clip(slope, -self._limit, self._limit)
