"""Arms that leave the standing setpoint of a latched stop by themselves: their power is gone, and they sag.

To go on publishing the old pose would make them jump when the power comes back: the
setpoint goes after them, slowly. For arms that did not leave it by themselves nothing
moves: they are blocked, their states are frozen, or an encoder jumped.
"""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import Bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, seconds

_STILL_S = 0.3
"""A setpoint that has stood for less may be ahead of arms that are still coming after it."""
_CLOSE = 0.1
"""Share of the bound by which an arm that was gone after may yet move without being gone after again."""


class Sag:
    """Watches where the arms stand beside their setpoints, and says where the setpoint is to go."""

    def __init__(self, robot: Robot, config: SafetyConfig, limits: Bounds) -> None:
        self._arms, self._limits = list(robot.arm_slices.values()), limits
        self._far = np.where(robot.turning, config.max_sag, np.inf)  # a hand stands open by what it holds
        self._close = _CLOSE * config.max_sag
        self.seed(limits.low, 0)

    def seed(self, measured: FloatArray, steady_ns: int) -> None:
        """Begin with arms (J,) that stand where they are told."""
        self._near, self._since_ns, self._jumped = measured, steady_ns, False
        self._gone = np.zeros(len(measured), dtype=bool)  # joints of the arms that are gone after, and
        self._goal = measured  # where to

    def goal(
        self, setpoint: FloatArray, measured: FloatArray, jumped: bool, standing: bool, steady_ns: int
    ) -> FloatArray | None:
        """Take a cycle; return the pose (J,) to which the setpoint of a latched stop goes, or None if it stands still.

        Args:
            setpoint: (J,).
            measured: (J,).
            jumped: whether a measured position jumped in this cycle.
            standing: whether the core is latched and the setpoint at rest.
            steady_ns: now.
        """
        measured = np.clip(measured, self._limits.low, self._limits.high)
        beside = np.abs(measured - setpoint)
        self._near = np.where(beside <= self._far, measured, self._near)
        self._jumped |= jumped
        if not standing:
            self._since_ns = steady_ns
        if self._jumped or not (self._gone.any() or seconds(steady_ns - self._since_ns) > _STILL_S):
            return None
        self._follow((beside > self._far) & (np.abs(measured - self._near) > self._close), setpoint, measured, standing)
        return self._goal if self._gone.any() else None

    def _follow(self, left: NDArray[np.bool_], setpoint: FloatArray, measured: FloatArray, standing: bool) -> None:
        """Go after the arms of joints that `left` (J,) their setpoints, until they are reached and move no more."""
        if not self._gone.any():
            self._goal = setpoint
        for part in self._arms:
            self._gone[part] |= left[part].any()
        if (self._gone & (np.abs(measured - self._goal) > self._close)).any():
            self._goal = np.where(self._gone, measured, self._goal)
        elif standing:
            self._gone[:] = False
