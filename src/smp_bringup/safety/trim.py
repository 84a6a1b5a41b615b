"""Takes back what the arms stand beside their setpoints: a steady offset of calibration, load or servos.

A policy with absolute joint targets cannot see that an arm never quite gets where it is
sent, and repeats the same target. The trim looks at joints whose setpoint has been nearly
still for longer than servos lag, and moves what the source wants by what they stand beside
it, slowly and never by more than a small bound: a hand that presses on something stands
beside its setpoint too, and is to press harder by no more than that.
"""

from collections import deque

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

_WINDOW_S = 0.1
"""Longer than a servo lags behind its setpoint."""


class Trim:
    """A running mean of how far the joints of the arms stand beside their setpoints; of those that turn alone."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._limit = config.trim_limit * robot.turning
        self._still = config.trim_speed * _WINDOW_S
        self._share = min(1.0, robot.control_period_s / config.trim_time_s)
        self._cycles = round(_WINDOW_S / robot.control_period_s)
        self._recent: deque[FloatArray] = deque(maxlen=self._cycles)
        self.offset: FloatArray = np.zeros(robot.dof)
        """(J,) by how much the arms are taken to stand beside their setpoints [rad]."""

    def seed(self) -> None:
        """Begin with arms that stand where they are told."""
        self._recent.clear()
        self.offset = np.zeros_like(self.offset)

    def look(self, setpoint: FloatArray, measured: FloatArray) -> None:
        """Take the setpoint (J,) and the measured pose (J,) of a cycle in which a source is followed."""
        self._recent.append(setpoint)
        if len(self._recent) < self._cycles:
            return
        still = np.ptp(np.array(self._recent), axis=0) <= self._still
        beside = np.clip(measured - setpoint, -self._limit, self._limit)
        self.offset = self.offset + self._share * still * (beside - self.offset)

    def trimmed(self, wanted: tuple[FloatArray, FloatArray] | None) -> tuple[FloatArray, FloatArray] | None:
        """Return positions and velocities (K, J) that bring the arms where a source wants them; None if it is mute."""
        return None if wanted is None else (wanted[0] - self.offset, wanted[1])
