"""Families of joints whose errors are of one kind and one unit: no figure mixes two of them."""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.joints import Joint
from smp_bringup.robot import Robot

FAMILIES = {
    "joint": "one that turns",
    "gripper": "a gripper",
    "slide": "one that slides",
    "rate": "a rate",
}
"""Beginnings of their figures, and what a joint of each is: in rad, m, m, and as a share of its top speed."""
_MORE = {"joint": ("seam_rad", "limited_rad"), "slide": ("limited_m",)}
"""Figures that begin otherwise."""


def family(joint: Joint) -> str:
    """Return the family of a joint."""
    if joint.rate:
        return "rate"
    return "joint" if joint.turns else "gripper" if joint.gripper else "slide"


def members(robot: Robot, name: str) -> NDArray[np.bool_]:
    """Return which joints (J,) of a robot are of a family."""
    return np.array([family(joint) == name for joint in robot.joints])


def family_of(figure: str) -> str:
    """Return the family that a figure is of; nothing where it is of all joints, or of none."""
    known = ((name, (f"{name}_", *_MORE.get(name, ()))) for name in FAMILIES)
    return next((name for name, begins in known if figure.startswith(begins)), "")
