"""The motions of a scripted operator that solve gym-aloha's two tasks, planned from where the objects will lie."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from smp_bringup.robot import Robot, load_robot
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.simulation import load_simulation
from smp_bringup.tasks.experts import ScriptedMotion
from smp_bringup.tasks.handover import OPEN, hand_over, pick_from_above
from smp_bringup.tasks.script import Hand, Script
from smp_bringup.types import FloatArray

_TABLE_Z = {"box": 0.02, "peg": 0.01, "socket": 0.022}
"""Height of each object's middle once it has fallen on the table [m]; the environment drops them from 5 cm."""
_PITCH = np.pi / 2 * 0.9
"""Hands look down at what they pick [rad]."""
_GRASP_Z = 0.024
"""Fingers go no deeper [m]."""
_BACK = 0.03
"""Peg and socket are grasped so far behind their middle, seen from the other [m]."""
_SQUEEZE = -0.01
"""Fingers are told to close further than they can [m]: the servos of the environment are soft."""
_MEETING = (0.5, 0.2)
"""Where peg and socket meet: y, z [m]."""
_APART, _INSIDE = 0.17, 0.07
"""Distance of their middles before and after the insertion [m]; the peg's tip meets the pin at 0.1."""


def plan(task: str, position: FloatArray) -> ScriptedMotion:
    """Return the motion that solves a layout.

    Args:
        task: transfer_cube or insertion.
        position: (n, 3) middles of the objects as they were drawn, the box, or peg and socket [m].

    Raises:
        UnreachableError: an object is out of reach.
    """
    model, robot = _arms()
    solve: Callable[[Script], None] = partial({"transfer_cube": _transfer, "insertion": _insert}[task], position)
    return ScriptedMotion(solve, model, robot)


@cache
def _arms() -> tuple[object, Robot]:
    """Return the shipped ALOHA, whose arms are those of the environment, for its inverse kinematics."""
    robot = load_robot("aloha")
    return compiled(robot_spec(robot, load_simulation(robot))), robot


def _transfer(position: FloatArray, script: Script) -> None:
    """The right hand picks the cube and the left one takes it."""
    left, right = script.hands["left"], script.hands["right"]
    pick_from_above(right, np.array([*position[0, :2], _TABLE_Z["box"] + 0.012]), 0.0)
    hand_over(right, left, roll=np.pi / 2, gap=0.0)


def _insert(position: FloatArray, script: Script) -> None:
    """Each hand picks one up; they meet in the middle, and the right one pushes the peg in."""
    left, right = script.hands["left"], script.hands["right"]
    peg, socket = position
    y, z = _MEETING
    for hand, name, at in ((left, "socket", socket), (right, "peg", peg)):
        above = _pick(hand, np.array([*at[:2], _TABLE_Z[name]]))
        middle = -hand.outward * _APART / 2
        hand.move(1.1, [middle - hand.outward * _BACK, y, z + above], hand.pointing(_PITCH))
    script.meet()
    for hand in (left, right):
        hand.move(1.4, hand.last.position + [hand.outward * (_APART - _INSIDE) / 2, 0, 0])
        hand.move(0.4)


def _pick(hand: Hand, middle: FloatArray) -> float:
    """Grasp what lies along x behind its middle (3,) [m], and lift it; return how far above the middle [m]."""
    grasp = np.array([middle[0] - hand.outward * _BACK, middle[1], max(_GRASP_Z, middle[2])])
    hand.move(1.2, grasp + [0, 0, 0.09], hand.pointing(_PITCH), OPEN)
    hand.move(0.7, grasp)
    hand.move(0.5, grip=_SQUEEZE)
    hand.move(0.7, grasp + [0, 0, 0.1])
    return float(grasp[2] - middle[2])
