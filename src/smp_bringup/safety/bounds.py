"""The limits in force: the robot's, scaled and tightened by the safety settings, never loosened."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import ConfigError, nearest
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray


@dataclass(frozen=True)
class Bounds:
    """Limits of all joints, arrays (J,)."""

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
    limits = {key: np.array(robot.joint_array(key)) for key in ("min", "max", "velocity", "acceleration", "jerk")}
    for name, tighter in config.limits.items():
        if name not in names:
            raise ConfigError(f"limits: no joint '{name}'{nearest(name, names)}; joints: {', '.join(names)}")
        index = names.index(name)
        for key, values in limits.items():
            wanted = getattr(tighter, key)
            if wanted is None:
                continue
            looser = wanted < values[index] if key == "min" else wanted > values[index]
            if looser:
                raise ConfigError(
                    f"limits: {key} {wanted:g} of joint '{name}' is looser than the robot's {values[index]:g}"
                )
            values[index] = wanted
        if not limits["min"][index] < limits["max"][index]:
            raise ConfigError(f"limits: joint '{name}' has no room between its min and its max")
    return Bounds(
        limits["min"],
        limits["max"],
        limits["velocity"] * config.velocity_scale,
        limits["acceleration"] * config.acceleration_scale,
        limits["jerk"] * config.jerk_scale,
    )


def tolerances(robot: Robot, config: SafetyConfig, name: str) -> FloatArray:
    """Return the setting `name` of all joints (J,): those that travel in metres have their own."""
    angle, travel = float(getattr(config, name)), float(getattr(config.gripper, name))
    return np.where(robot.turning, angle, travel)


def measure(robot: Robot, index: int, value: float) -> str:
    """Return a distance of one joint in words, with its unit."""
    return f"{value:.2f} rad" if robot.turning[index] else f"{value:.3f} m"
