"""Arms that stand far from the setpoint of a latched stop: what is published must not make them jump.

Arms that left it by themselves sag, since their power is gone: the setpoint goes after
them, slowly, so that they stay where they are when the power comes back. Where that is
not so (they are blocked, their states are frozen, an encoder jumped, or they are outside
their limits), their states tell nothing about where they may go: nothing is published.
"""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import Bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, seconds

_STILL_S = 0.3
"""A setpoint that has stood for less may be ahead of arms that are still coming after it."""
_FAR_S = 0.5
"""Arms that have been far for so long, and do not sag, are not waited for."""
_CLOSE = 0.1
"""Share of the bound by which arms that are gone after may move without being gone after anew."""


class Sag:
    """Watches where the arms stand beside their setpoints."""

    def __init__(self, robot: Robot, config: SafetyConfig, limits: Bounds) -> None:
        self._arms, self._limits = list(robot.arm_slices.values()), limits
        self._far = np.where(robot.turning, config.max_sag, np.inf)  # a hand stands open by what it holds
        self._close = _CLOSE * config.max_sag
        self.seed(limits.low, 0)

    def seed(self, measured: FloatArray, steady_ns: int) -> None:
        """Begin with arms (J,) that stand where they are told."""
        self._near, self._jumped = measured, False
        self._since_ns, self._far_ns = steady_ns, steady_ns
        self._gone = np.zeros(len(measured), dtype=bool)  # joints of the arms that are gone after
        self.goal: FloatArray | None = None
        """(J,) to which the setpoint of the latched stop is to go; None if it is to stand still."""
        self.estranged = False
        """Whether the arms stand far from the setpoint for another reason: nothing may be published."""

    def look(self, setpoint: FloatArray, measured: FloatArray, jumped: bool, standing: bool, steady_ns: int) -> None:
        """Take a cycle.

        Args:
            setpoint: (J,).
            measured: (J,).
            jumped: whether a measured position jumped in this cycle.
            standing: whether the core is latched and the setpoint at rest.
            steady_ns: now.
        """
        far = np.abs(measured - setpoint) > self._far
        self._near = np.where(far, self._near, measured)
        self._jumped |= jumped
        if not standing:
            self._since_ns = steady_ns
        if not standing or not far.any():
            self._far_ns = steady_ns
        inside = np.clip(measured, self._limits.low, self._limits.high)
        if self.goal is None:
            sags = (np.abs(measured - self._near) > self._close) & (np.abs(inside - setpoint) > self._close)
            waited_s, far_s = seconds(steady_ns - self._since_ns), seconds(steady_ns - self._far_ns)
            if far.any() and waited_s > _STILL_S and sags[far].all() and not self._jumped:
                self.goal = self._after(far, setpoint, inside)
            self.estranged |= self.goal is None and far_s > _FAR_S
        elif (np.abs(inside - self.goal) > self._close)[self._gone].any():
            self.goal = np.where(self._gone, inside, self.goal)
        elif standing:
            self.goal, self._since_ns = None, steady_ns

    def _after(self, far: NDArray[np.bool_], setpoint: FloatArray, measured: FloatArray) -> FloatArray:
        """Return the setpoint (J,) with the arms of joints that are far where they are measured."""
        for part in self._arms:
            self._gone[part] = far[part].any()
        return np.where(self._gone, measured, setpoint)
