"""The limits in force: the robot's, scaled and tightened by the safety settings, never loosened."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import ConfigError, nearest
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

_LONGEST_STOP_S = 5.0
"""A joint comes to rest from its full speed within so long; ours take 0.5 s at most."""


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
        ConfigError: the settings name a joint that the robot lacks, or a limit looser than the robot's; a joint could
            hardly be stopped; or the robot's states come too seldom.
    """
    if "state_fresh" in config.checks and not robot.state_rate_hz * config.state_timeout_s > 1:
        raise ConfigError(
            f"state_timeout_s {config.state_timeout_s:g} is shorter than the period of {robot.name}'s joint states "
            f"(state_rate_hz {robot.state_rate_hz:g}): each would be too old before the next one comes"
        )
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
    found = Bounds(
        limits["min"],
        limits["max"],
        limits["velocity"] * config.velocity_scale,
        limits["acceleration"] * config.acceleration_scale,
        limits["jerk"] * config.jerk_scale,
    )
    stop_s = found.velocity / found.acceleration + found.acceleration / found.jerk
    slowest = int(stop_s.argmax())
    if not stop_s[slowest] <= _LONGEST_STOP_S:
        raise ConfigError(
            f"joint '{names[slowest]}' takes {stop_s[slowest]:.3g} s to stop from its full speed, at most "
            f"{_LONGEST_STOP_S:g} s are allowed: lower velocity_scale, or raise acceleration_scale or jerk_scale"
        )
    return found


def tolerances(robot: Robot, config: SafetyConfig, name: str) -> FloatArray:
    """Return the setting `name` of all joints (J,): those that travel in metres have their own."""
    angle, travel = float(getattr(config, name)), float(getattr(config.gripper, name))
    return np.where(robot.turning, angle, travel)


def measure(robot: Robot, index: int, value: float) -> str:
    """Return a distance of one joint in words, with its unit."""
    return f"{value:.2f} rad" if robot.turning[index] else f"{value:.3f} m"
