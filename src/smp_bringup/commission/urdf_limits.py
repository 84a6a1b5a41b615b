"""The limits of a robot file against those of its URDF, which they may only tighten."""

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.description.urdf import ONE_NUMBER, Urdf, UrdfJoint
from smp_bringup.errors import nearest
from smp_bringup.joints import Joint
from smp_bringup.robot import Robot

_ROUNDED = 1e-4
"""A limit may lie so much outside the URDF's, as a share of the range: it was rounded."""


def check_limits_against(robot: Robot, urdf: Urdf) -> list[Finding]:
    """Return which joints the URDF lacks, and which limits of the robot file are wider than its."""
    found = []
    for arm in robot.arms:
        if arm.is_base:
            continue  # its rates are parts of a twist, no joints
        for joint, name, scale in zip(arm.joints, arm.driver.names, arm.driver.scale, strict=True):
            said = urdf.named.get(name) or urdf.named.get(joint.name)  # of two robots of a kind, drivers say the same
            if said is None:
                known = [each.name for each in urdf.joints if each.moves]
                todo = f"write its name there: driver: {{name: ...}}, or prefix: of arm {arm.name}"
                found.append(error(f"joint {joint.name}", f"the URDF has no joint {name}{nearest(name, known)}", todo))
            else:
                found += _kind(joint, said) or _limits(arm, joint, said, abs(float(scale)))
    return found


def _kind(joint: Joint, said: UrdfJoint) -> list[Finding]:
    """Return what a joint is in the URDF, if it is not what the robot file makes it."""
    about = f"joint {joint.name}"
    if said.mimics:
        todo = f"take it out of the robot file: command {said.mimics}"
        return [error(about, f"the URDF lets {said.name} mimic {said.mimics}", todo)]
    if said.kind not in ONE_NUMBER:
        return [error(about, f"{said.name} is {said.kind} in the URDF", "take it out of the robot file")]
    slides, told = said.kind == "prismatic", joint.driver.min is not None or joint.driver.max is not None
    if slides == joint.turns and not told:
        todo = "write prismatic: true, or gripper: true, and limits in m"
        if not slides:
            todo = "say in driver: {min: ..., max: ...} the angles closed and open, or make it a joint in rad"
        return [error(about, f"{said.name} is {said.kind} in the URDF", todo)]
    return []


def _limits(arm: Arm, joint: Joint, said: UrdfJoint, scale: float) -> list[Finding]:
    """Return the limits of a joint that are wider than the URDF's.

    Args:
        arm: that it belongs to.
        joint: of the robot file.
        said: of the URDF.
        scale: ours per the driver's.
    """
    about, found = f"joint {joint.name}", []
    low, high = np.sort(joint.driver_range)
    own_unit = joint.driver.min is not None or joint.driver.max is not None
    if said.lower is not None and said.upper is not None:
        slack = _ROUNDED * (said.upper - said.lower)
        if low < said.lower - slack or high > said.upper + slack:
            text = f"[{low:g}, {high:g}] goes beyond the URDF's [{said.lower:g}, {said.upper:g}]"
            if own_unit:
                todo = f"look whether the driver of arm {arm.name} says {said.name} in the URDF's unit"
                found.append(warning(about, f"driver.min and driver.max: {text}", todo))
            else:
                todo = f"write min: {max(low, said.lower):.5f}, max: {min(high, said.upper):.5f}, or tighter"
                found.append(error(about, text, todo))
    speed = joint.velocity / scale
    if said.velocity is not None and speed > said.velocity * (1 + _ROUNDED) and not (own_unit and found):
        text = f"velocity {joint.velocity:g} is above the URDF's {said.velocity * scale:.4g}"
        found.append(error(about, text, f"write velocity: {said.velocity * scale:.4g}, or less"))
    return found
