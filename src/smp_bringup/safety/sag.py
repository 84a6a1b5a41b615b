"""Arms that stand far from the setpoint of a latched stop: what is published must not make them jump.

Arms that leave it by themselves have no power: nothing is published from then on, since the old
pose would make them jump when the power comes back. Once they rest, the setpoint goes to them,
slowly, and is published again when it stands where they lie. It stops if they move along. Of
other arms nobody knows where they may be told to be (they are blocked, their states are frozen,
an encoder jumped, they are outside their limits): nothing is published until they are armed again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import Bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, seconds

_STOOD_S = 0.3
"""A setpoint that has stood for less may be ahead of arms that are still coming after it."""
_RESTING_S, _FALLING_S = 0.5, 2.0
"""For so long arms may be far before nothing is published: those that rest, and those that move."""
_LEFT = 0.1
"""Share of the bound by which an arm must have moved by itself, beyond it, to have sagged."""
_ALONG = 0.5
"""Share of the bound by which sagged arms may move while the setpoint comes to them."""


@dataclass(frozen=True)
class Stand:
    """How the arms stand in one cycle."""

    setpoint: FloatArray
    """(J,)."""
    measured: FloatArray
    """(J,)."""
    jumped: bool
    """Whether a measured position jumped since the last cycle."""
    rests: bool
    """Whether the arms are measured to rest."""
    stopped: bool
    """Whether the core is latched and the setpoint at rest."""


class Sag:
    """Watches where the arms stand beside their setpoints."""

    def __init__(self, robot: Robot, config: SafetyConfig, limits: Bounds) -> None:
        self._arms, self._limits = list(robot.arm_slices.values()), limits
        # Hands stand open by what they hold, and rates of a stop are 0.
        other = np.array([joint.gripper or joint.rate for joint in robot.joints])
        travel = np.where(other, np.inf, config.gripper.max_tracking_error)
        self._far = np.where(robot.turning, config.max_sag, travel)
        self.seed(limits.low, 0)

    def seed(self, measured: FloatArray, steady_ns: int) -> None:
        """Begin with arms (J,) that stand where they are told."""
        self._near, self._jumped = measured, False
        self._stopped_ns, self._far_ns = steady_ns, steady_ns
        self.goal: FloatArray | None = None
        """(J,) to which the setpoint of the latched stop is to go; None if it is to stand still."""
        self.estranged = False
        """Whether the arms stand far from the setpoint and have not sagged: nothing may be published."""
        self.away = False
        """Whether arms have left the setpoint by themselves, and it is not where they lie yet: nothing is published."""

    def look(self, stand: Stand, steady_ns: int) -> None:
        """Take a cycle."""
        far = np.abs(stand.measured - stand.setpoint) > self._far
        self._near = np.where(far, self._near, stand.measured)
        self._jumped |= stand.jumped
        if self.goal is not None:
            along = np.abs(stand.measured - self._sagged)[self._gone] > _ALONG * self._far[self._gone]
            self.estranged = self._jumped or bool(along.any())
            self.goal = None if stand.stopped or self.estranged else self.goal
        if not stand.stopped:
            self._stopped_ns = steady_ns
        if not stand.stopped or not far.any():
            self._far_ns = steady_ns
        if stand.stopped and not far.any():
            self.away = False
        if far.any() and seconds(steady_ns - self._stopped_ns) > _STOOD_S:
            self._decide(stand, far, seconds(steady_ns - self._far_ns))

    def _decide(self, stand: Stand, far: NDArray[np.bool_], far_s: float) -> None:
        """Send the setpoint to the arms whose joints are `far` (J,), or give them up."""
        inside = np.clip(stand.measured, self._limits.low, self._limits.high)
        left = np.abs(stand.measured - self._near) > _LEFT * self._far
        self.away |= bool((left & far).any())
        reachable = np.abs(stand.measured - inside) <= self._far
        if stand.rests and (left & reachable)[far].all() and not self._jumped:
            self._gone = np.zeros(len(far), dtype=bool)
            for part in self._arms:
                self._gone[part] = far[part].any()
            self._sagged, self.goal = stand.measured, np.where(self._gone, inside, stand.setpoint)
        else:
            self.estranged |= self._jumped or far_s > (_RESTING_S if stand.rests else _FALLING_S)
