"""The output law: every setpoint keeps position, velocity, acceleration and jerk limits.

Joints are limited independently. Synchronising all of them in time would make one
gripper step of a centimetre slow both arms down, which a policy cannot foresee.
"""

import numpy as np
from ruckig import ControlInterface, InputParameter, OutputParameter, Result, Ruckig, Synchronization

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

_MARGIN = 0.8
"""Share of the deceleration that approaching a position limit counts on; the rest pays for the jerk phases."""


class Limiter:
    """Follows targets from the last published setpoint under limits, one control period at a time."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._low, self._high = robot.joint_array("min"), robot.joint_array("max")
        self._velocity = robot.joint_array("velocity") * config.velocity_scale
        self._acceleration = robot.joint_array("acceleration") * config.acceleration_scale
        self._jerk = robot.joint_array("jerk") * config.jerk_scale
        self._otg = Ruckig(robot.dof, robot.control_period_s)
        self._input, self._output = InputParameter(robot.dof), OutputParameter(robot.dof)
        self._input.synchronization = Synchronization.No
        self._input.max_velocity = self._velocity
        self._input.max_acceleration = self._acceleration
        self._input.max_jerk = self._jerk
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

    def track(self, target: FloatArray, velocity: FloatArray) -> FloatArray:
        """Move one period towards a finite moving target (J,); return the new setpoint (J,)."""
        self._input.control_interface = ControlInterface.Position
        position = np.clip(target, self._low, self._high)
        inside = position == target
        self._input.target_position = position
        self._input.target_velocity = np.where(inside, self._stoppable(position, velocity), 0.0)
        return self._advance()

    def brake(self) -> FloatArray:
        """Come to rest as fast as the limits allow; return the new setpoint (J,), constant once at rest."""
        if self.at_rest:
            return self.position
        self._input.control_interface = ControlInterface.Velocity
        self._input.target_velocity = np.zeros_like(self.velocity)
        return self._advance()

    def _stoppable(self, position: FloatArray, velocity: FloatArray) -> FloatArray:
        """Return the velocity (J,) limited so that a joint can still stop before its position limit."""
        room = np.where(velocity > 0, self._high - position, position - self._low)
        reach = np.sqrt(2 * _MARGIN * self._acceleration * np.maximum(room, 0)) - self._acceleration**2 / self._jerk
        bound = np.clip(reach, 0, self._velocity * 0.999)
        return np.clip(velocity, -bound, bound)

    def _advance(self) -> FloatArray:
        self._input.current_position = self.position
        self._input.current_velocity = self.velocity
        self._input.current_acceleration = self.acceleration
        self._input.target_acceleration = np.zeros_like(self.position)
        result = self._otg.update(self._input, self._output)
        if result not in (Result.Working, Result.Finished):
            raise RuntimeError(f"ruckig refused a cycle: {result}")
        self.position = np.array(self._output.new_position)
        self.velocity = np.array(self._output.new_velocity)
        self.acceleration = np.array(self._output.new_acceleration)
        return self.position
