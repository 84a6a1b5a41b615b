"""The output law: every setpoint keeps position, velocity, acceleration and jerk limits.

Each cycle plans to meet the source where it will be a little later, with its velocity
there, and takes the first step of that plan. Planning to where the source is *now*
would always arrive late and, being time-optimal, chatter at the jerk limit. The
nearest of a few meeting times that can be kept is taken: a time-synchronised,
jerk-limited motion cannot take just any duration.

The joints of all arms are one problem synchronised in time, which keeps the direction
of a motion that has to be slowed down; the grippers are another, since a gripper step
of a centimetre must not slow both arms.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from ruckig import ControlInterface, InputParameter, Result, Ruckig, Trajectory

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

Source = Callable[[float], tuple[FloatArray, FloatArray]]
"""Position (J,) and velocity (J,) of the source at a time [s] from now."""

_MEETING_S = (0.04, 0.06, 0.1, 0.2)
_LATE = 1.001
"""A plan that takes so much longer than its meeting time still counts as on time."""

_MARGIN = 0.8
"""Share of the deceleration that approaching a position limit counts on; the rest pays for the jerk phases."""


class _Group:
    """Joints that are limited together; `index` selects them from an array over all joints."""

    def __init__(self, index: NDArray[np.intp], period_s: float) -> None:
        self.index = index
        self.otg = Ruckig(len(index), period_s)
        self.input, self.plan = InputParameter(len(index)), Trajectory(len(index))
        self.input.target_acceleration = np.zeros(len(index))


class Limiter:
    """Follows targets from the last published setpoint under limits, one control period at a time."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._period_s = robot.control_period_s
        self._low, self._high = robot.joint_array("min"), robot.joint_array("max")
        self._velocity = robot.joint_array("velocity") * config.velocity_scale
        self._acceleration = robot.joint_array("acceleration") * config.acceleration_scale
        self._jerk = robot.joint_array("jerk") * config.jerk_scale
        grippers = np.array([joint.gripper for joint in robot.joints])
        self._groups = [
            _Group(np.flatnonzero(mask), robot.control_period_s) for mask in (~grippers, grippers) if mask.any()
        ]
        for group in self._groups:
            group.input.max_velocity = self._velocity[group.index]
            group.input.max_acceleration = self._acceleration[group.index]
            group.input.max_jerk = self._jerk[group.index]
        self.seed((self._low + self._high) / 2)

    def seed(self, position: FloatArray) -> None:
        """Start at rest from `position` (J,), brought inside the limits."""
        self.position = np.clip(position, self._low, self._high)
        self.velocity = np.zeros_like(self.position)
        self.acceleration = np.zeros_like(self.position)

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint does not move."""
        return not (self.velocity.any() or self.acceleration.any())

    def track(self, source: Source) -> FloatArray:
        """Move one period towards meeting a finite `source`; return the new setpoint (J,)."""
        aims = [self._aim(*source(meeting_s)) for meeting_s in _MEETING_S]
        for group in self._groups:
            group.input.control_interface = ControlInterface.Position
            for meeting_s, (position, velocity) in zip(_MEETING_S, aims, strict=True):
                group.input.minimum_duration = meeting_s
                group.input.target_position = position[group.index]
                group.input.target_velocity = velocity[group.index]
                if self._plan(group) <= meeting_s * _LATE:
                    break
        return self._advance()

    def brake(self) -> FloatArray:
        """Come to rest as fast as the limits allow; return the new setpoint (J,), constant once at rest."""
        if self.at_rest:
            return self.position
        for group in self._groups:
            group.input.control_interface = ControlInterface.Velocity
            group.input.minimum_duration = None
            group.input.target_velocity = np.zeros(len(group.index))
            self._plan(group)
        return self._advance()

    def _aim(self, target: FloatArray, velocity: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return a target (J,) inside the position limits, and a velocity (J,) there that can still be stopped."""
        position = np.clip(target, self._low, self._high)
        return position, np.where(position == target, self._stoppable(position, velocity), 0.0)

    def _stoppable(self, position: FloatArray, velocity: FloatArray) -> FloatArray:
        """Return the velocity (J,) limited so that a joint can still stop before its position limit."""
        room = np.where(velocity > 0, self._high - position, position - self._low)
        reach = np.sqrt(2 * _MARGIN * self._acceleration * np.maximum(room, 0)) - self._acceleration**2 / self._jerk
        bound = np.clip(reach, 0, self._velocity * 0.999)
        return np.clip(velocity, -bound, bound)

    def _plan(self, group: _Group) -> float:
        """Plan from the present setpoint; return the duration [s]."""
        i = group.index
        group.input.current_position = self.position[i]
        group.input.current_velocity = self.velocity[i]
        group.input.current_acceleration = self.acceleration[i]
        result = group.otg.calculate(group.input, group.plan)
        if result not in (Result.Working, Result.Finished):
            raise RuntimeError(f"ruckig refused a cycle: {result}")
        return float(group.plan.duration)

    def _advance(self) -> FloatArray:
        """Take one period of every group's plan."""
        position, velocity, acceleration = (np.empty_like(self.position) for _ in range(3))
        for group in self._groups:
            i = group.index
            position[i], velocity[i], acceleration[i] = group.plan.at_time(self._period_s)[:3]
        self.position, self.velocity, self.acceleration = position, velocity, acceleration
        return self.position
