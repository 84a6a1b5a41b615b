"""Arms keep clear of each other and of themselves.

A step is refused when the stop that could follow it would end too near: what is
published can always be stopped in time. Fingertips of two arms are let nearer, slowly,
since a handover brings them together; whether one is meant shows in the target, which
must itself keep all other links apart.
"""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.geometry import Body
from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, FloatArray, Severity, Verdict

_STRIDE = 3
"""Cycles of the path between two poses that are looked at."""
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
        self._at = np.zeros(robot.dof)
        self._least = np.full(len(self._near), -np.inf)  # no pair is nearer than this at that pose

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD or LIMIT naming the nearest pair."""
        if context.path is None or context.target is None:
            return PASS
        stop = context.path[_STRIDE - 1 :: _STRIDE]
        poses = np.vstack([context.setpoint, context.path[0], stop, context.path[-1]])
        pairs = self._doubtful(poses)  # where the path keeps clear, the target does not matter
        if not len(pairs):
            return PASS
        target = np.clip(context.target, self._bounds.low, self._bounds.high)
        distance = self._body.distances(np.vstack([poses, target]), pairs)
        self._least[pairs] = distance[0]
        return self._judge(pairs, distance[0], distance[1:-1], distance[-1])

    def _judge(self, pairs: NDArray[np.intp], now: FloatArray, path: FloatArray, target: FloatArray) -> Verdict:
        """Return the verdict from distances [m] of pairs: now (P,), along the path (K, P), at the target (P,)."""
        touching, nearest = self._body.touching[pairs], path.min(axis=0)
        closing = nearest < now - _EPSILON_M
        fast = (now - path[0]) / self.robot.control_period_s > self.config.touch_speed
        least = np.where(touching, np.where(fast, self.config.touch_distance, -np.inf), self.config.stop_distance)
        if (too_near := closing & (nearest < least)).any():
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
