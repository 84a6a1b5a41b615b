"""Whether the arms, and then a source, may be taken over from where they are."""

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import Bounds, measure
from smp_bringup.types import FloatArray


def outside(robot: Robot, limits: Bounds, position: FloatArray) -> list[str]:
    """Return the joints of a pose (J,) that are farther outside their limits than one cycle can move them."""
    reach = limits.velocity * robot.control_period_s
    inside = robot.rates | (position >= limits.low - reach) & (position <= limits.high + reach)  # rates start at 0
    return [
        f"{robot.joint_names[i]} is at {position[i]:.3f}, outside [{limits.low[i]:g}, {limits.high[i]:g}]: "
        "move it back by hand"
        for i in np.flatnonzero(~inside)
    ]


def gap(robot: Robot, limits: Bounds, target: FloatArray, setpoint: FloatArray) -> FloatArray:
    """Return how far (J,) a target (J,) is from the setpoint (J,).

    Of a rate, by how much it is faster than the setpoint, or the other way: to be slower is always near.
    """
    slower = np.clip(target, np.minimum(setpoint, 0), np.maximum(setpoint, 0))
    return np.abs(np.clip(target, limits.low, limits.high) - np.where(robot.rates, slower, setpoint))


def far(robot: Robot, limits: Bounds, target: FloatArray, setpoint: FloatArray, bound: FloatArray) -> str:
    """Return why a target (J,) is too far from the setpoint (J,) to be taken over, or nothing; bounds are (J,)."""
    away = gap(robot, limits, target, setpoint)
    if (near := away <= bound).all():
        return ""
    i = int(np.argmin(near))
    wanted, allowed = measure(robot, i, away[i]), f"{bound[i]:g} {robot.joints[i].unit}"
    return f"wants {robot.joint_names[i]} {wanted} from the setpoint, at most {allowed} is taken over"
