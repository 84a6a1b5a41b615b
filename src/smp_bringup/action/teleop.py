"""Leader arms to one setpoint for all followers."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.robot import Arm, Robot
from smp_bringup.sync.checks import JointOrder
from smp_bringup.sync.stamps import StampOrder
from smp_bringup.types import FloatArray, JointSample, nanoseconds, seconds

_WINDOW_NS = nanoseconds(0.04)
"""A leader's velocity is the slope over so long: the last two samples alone would make their noise a speed."""
_GAP_NS = nanoseconds(0.1)
"""Across a longer pause there is no slope."""
_MOST, _FEWEST = 64, 3
"""Samples in the slope, where there are as many."""


class Leaders:
    """Merges the leaders' joint states; each keeps its stamp, by which the command core sees that one fell silent."""

    def __init__(self, robot: Robot) -> None:
        self._leaders = {arm.name: _Leader(arm) for arm in robot.arms}
        self._last = robot.arms[-1].name
        self._unsent: set[str] = set()
        self.late = 0
        """Samples that were left out: their stamps are not newer than the one before."""

    def push(self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike) -> JointSample | None:
        """Take one leader's state; return the merged setpoint when it is due, once all have spoken.

        It is due with every sample of the last arm; where that arm is slower or silent, with every second of another.

        Raises:
            Refusal: the message is malformed.
        """
        if not self._leaders[arm].push(stamp_ns, names, position):
            self.late += 1
            return None
        due = arm == self._last or arm in self._unsent
        self._unsent.add(arm)
        if not due or not all(leader.spoken for leader in self._leaders.values()):
            return None
        self._unsent.clear()
        leaders = self._leaders.values()
        return JointSample(
            stamp_ns,
            np.concatenate([leader.position for leader in leaders]),
            np.concatenate([leader.velocity() for leader in leaders]),
            {name: leader.stamp_ns for name, leader in self._leaders.items()},
        )


class _Leader:
    """One leader arm: its newest joints, and their slope over its own stamps, since its driver rarely gives speeds."""

    def __init__(self, arm: Arm) -> None:
        self._order, self._stamps = JointOrder(*arm.leader), StampOrder()
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

    def velocity(self) -> FloatArray:
        """Return the least-squares slope (n,) of the recent samples, within the followers' limits."""
        if len(self._recent) < 2:
            return np.zeros_like(self.position)
        at_s = np.array([seconds(at_ns - self.stamp_ns) for at_ns, _ in self._recent])
        at_s -= at_s.mean()
        slope: FloatArray = at_s @ np.array([joints for _, joints in self._recent]) / (at_s @ at_s)
        return np.clip(slope, -self._limit, self._limit)


class Tremor:
    """Noise on an operator's hands, correlated in time: episodes then show how to come back.

    The recorded leaders stay clean, so the label of a perturbed state is the way back
    (noise injection as in Laskey et al., "DART", 2017). Grippers are left alone.
    """

    def __init__(self, robot: Robot, std: float, seed: int, correlation_s: float = 0.3) -> None:
        """Draw from `seed`; `std` is in rad."""
        self._rng = np.random.default_rng(seed)
        self._scale = std * robot.turning
        self._keep = float(np.exp(-robot.control_period_s / correlation_s))
        self._state = np.zeros(robot.dof)

    def step(self, sample: JointSample) -> JointSample:
        """Return a setpoint (J,) with the tremor of the next control period on it."""
        fresh = self._rng.normal(size=self._state.shape)
        self._state = self._keep * self._state + np.sqrt(1 - self._keep**2) * fresh
        return replace(sample, position=sample.position + self._scale * self._state)
