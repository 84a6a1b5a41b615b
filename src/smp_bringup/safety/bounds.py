"""The limits in force: the robot's, scaled and tightened by the safety settings, never loosened."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import ConfigError, nearest
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

_KEYS = ("min", "max", "velocity", "acceleration", "jerk")


@dataclass(frozen=True)
class Bounds:
    """Limits of the values of all joints and of their derivatives, arrays (J,).

    The value of a rate is a velocity: its `velocity` is an acceleration, its `acceleration` a jerk, its `jerk` endless.
    """

    low: FloatArray
    high: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray


def bounds(robot: Robot, config: SafetyConfig) -> Bounds:
    """Return the limits in force.

    Raises:
        ConfigError: the settings name a joint that the robot lacks, or a limit looser than the robot's.
    """
    names = list(robot.joint_names)
    limits = {key: np.array(robot.joint_array(key)) for key in _KEYS}
    for name, tighter in config.limits.items():
        if name not in names:
            raise ConfigError(f"limits: no joint '{name}'{nearest(name, names)}; joints: {', '.join(names)}")
        index = names.index(name)
        for key, values in limits.items():
            wanted = getattr(tighter, key)
            if wanted is None:
                continue
            if key == "velocity" and robot.rates[index]:
                raise ConfigError(f"limits: '{name}' is a rate: its velocity is limited by min and max")
            looser = wanted < values[index] if key == "min" else wanted > values[index]
            if looser:
                raise ConfigError(
                    f"limits: {key} {wanted:g} of joint '{name}' is looser than the robot's {values[index]:g}"
                )
            values[index] = wanted
        if not limits["min"][index] < limits["max"][index]:
            raise ConfigError(f"limits: joint '{name}' has no room between its min and its max")
        if robot.rates[index] and not limits["min"][index] <= 0 <= limits["max"][index]:
            raise ConfigError(f"limits: '{name}' is a rate and rests at 0, which must be within its min and its max")
    velocity = limits["velocity"] * config.velocity_scale
    acceleration = limits["acceleration"] * config.acceleration_scale
    jerk, endless = limits["jerk"] * config.jerk_scale, np.full(robot.dof, np.inf)
    speeds = np.where(robot.rates, config.velocity_scale, 1.0)
    slopes = np.where(robot.rates, (acceleration, jerk, endless), (velocity, acceleration, jerk))
    return Bounds(limits["min"] * speeds, limits["max"] * speeds, *slopes)


def tolerances(robot: Robot, config: SafetyConfig, name: str) -> FloatArray:
    """Return the setting `name` of all joints (J,): those in metres, and in metres a second, have their own."""
    angle, travel = float(getattr(config, name)), float(getattr(config.gripper, name))
    return np.where([joint.unit.startswith("rad") for joint in robot.joints], angle, travel)


def measure(robot: Robot, index: int, value: float) -> str:
    """Return a distance of one joint in words, with its unit."""
    unit = robot.joints[index].unit
    return f"{value:.2f} {unit}" if unit.startswith("rad") else f"{value:.3f} {unit}"
