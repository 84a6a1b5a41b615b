"""Arms keep clear of each other and of themselves.

A step is refused when the stop that could follow it would end too near: what is
published can always be stopped in time. Fingertips of two arms are let nearer, slowly,
since a handover brings them together; whether one is meant shows in the target, which
must itself keep all other links apart. Two links of one arm that are near each other at
home are not looked at, by name: their capsules are too coarse for it.
"""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.body import Body
from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, FloatArray, Severity, Verdict

_EPSILON_M = 1e-6
_SOON_M = 0.1


class ArmDistance(AbstractCheck):
    """Slow down and stop before links meet; moving apart is always allowed."""

    name = "arm_distance"
    needs_geometry = True

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._body = Body(robot, config.self_gap)
        self._bounds = bounds(robot, config)
        self._near = np.where(self._body.across, config.slow_distance, config.stop_distance)
        home = self._body.distances(robot.joint_array("home")[None])[0]
        coarse = ~self._body.across & (home < config.stop_distance)
        self.left_out = tuple(self._body.pair(int(index)) for index in np.flatnonzero(coarse))
        self._at = np.zeros(robot.dof)
        self._least = np.where(coarse, np.inf, -np.inf)  # no pair is nearer than this at that pose

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD or LIMIT naming the nearest pair."""
        if context.path is None or context.target is None:
            return PASS
        poses = np.vstack([context.setpoint, context.path])
        pairs = self._doubtful(poses)  # where the path keeps clear, the target does not matter
        if not len(pairs):
            return PASS
        target = np.clip(context.target, self._bounds.low, self._bounds.high)
        distance, moved, nearest = self._body.sweep(np.vstack([poses, target]), pairs)
        path, moved, nearest = distance[:-1], moved[:-1], nearest[:-1]
        self._least[pairs] = path[0]
        fast = self._fast(path, moved, nearest) & self._body.touching[pairs]
        return self._judge(pairs, path, nearest.min(axis=0), fast, distance[-1])

    def _fast(self, distance: FloatArray, moved: FloatArray, nearest: FloatArray) -> NDArray[np.bool_]:
        """Return which pairs (P,) come within `touch_distance` faster than fingertips may, in any cycle of the path."""
        touch = self.config.touch_distance
        inside = distance[1:] < touch
        closed = np.where(inside, distance[:-1] - distance[1:], moved)  # within one cycle; some only pass by inside
        fast = closed / self.robot.control_period_s > self.config.touch_speed
        found: NDArray[np.bool_] = np.any((nearest < touch) & fast, axis=0)
        return found

    def _judge(
        self,
        pairs: NDArray[np.intp],
        distance: FloatArray,
        nearest: FloatArray,
        fast: NDArray[np.bool_],
        target: FloatArray,
    ) -> Verdict:
        """Return the verdict.

        Args:
            pairs: (P,) that are looked at.
            distance: (1 + K, P) now and along the path [m].
            nearest: (P,) on the way [m].
            fast: (P,) whether fingertips would meet too fast.
            target: (P,) at the target [m].
        """
        touching, now = self._body.touching[pairs], distance[0]
        closing = distance.min(axis=0) < now - _EPSILON_M
        if (too_fast := closing & fast).any():
            return self._hold("would meet too fast", pairs, np.where(too_fast, nearest, np.inf))
        if (too_near := closing & ~touching & (nearest < self.config.stop_distance)).any():
            return self._hold("would come too near", pairs, np.where(too_near, nearest, np.inf))
        near = closing & (nearest < self._near[pairs])
        meant = np.where(touching | (target >= now), np.inf, target)
        if near.any() and meant.min() < self.config.stop_distance:
            return self._hold("are asked to meet", pairs, meant)
        slowed = near & ~touching & self._body.across[pairs]
        if not slowed.any():
            return PASS
        gap = np.where(slowed, nearest, np.inf)
        room = self.config.slow_distance - self.config.stop_distance
        share = np.clip((gap.min() - self.config.stop_distance) / room, 0, 1)
        speed = self.config.slow_speed + (1 - self.config.slow_speed) * float(share)
        return Verdict(Severity.LIMIT, self.name, f"{self._body.pair(pairs[gap.argmin()])} are near", speed)

    def _doubtful(self, poses: FloatArray) -> NDArray[np.intp]:
        """Return the pairs that may be near in any of the poses (K, J), the first of which is the present one.

        The others have been far apart, and too little has moved since they were looked at. If there are any, those
        that soon will be are returned too, so that not every cycle has one.
        """
        self._least -= self._body.pair_travel(np.abs(poses[0] - self._at))
        self._at = poses[0]
        travel = self._body.pair_travel(np.abs(poses - poses[0]).max(axis=0))
        room = self._least - travel - self._near
        return np.flatnonzero(~(room > _SOON_M)) if not (room > 0).all() else np.array([], dtype=np.intp)

    def _hold(self, what: str, pairs: NDArray[np.intp], distance: FloatArray) -> Verdict:
        return Verdict(Severity.HOLD, self.name, f"{self._body.pair(pairs[distance.argmin()])} {what}")
