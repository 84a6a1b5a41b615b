"""Two motions that several tasks share: picking from above, and passing from hand to hand."""

from collections.abc import Sequence

import mujoco
import numpy as np

from smp_bringup.tasks.script import Hand
from smp_bringup.types import FloatArray

OPEN = 0.06
"""Opening [m] of an open hand."""
CLOSED = 0.016
"""Opening [m] that squeezes an object of 3.5 to 4 cm."""
_BACK = 0.13
"""So far [m] a hand stays away before it takes, and draws back after it gave."""


def nearest_quarter(yaw: float) -> float:
    """Return the turn within 45 degrees that lines the fingers up with a face of a box turned by `yaw` [rad]."""
    return float((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def pick_from_above(
    hand: Hand, grasp: FloatArray, yaw: float, height: float = 0.1, pitch: float = np.pi / 2 * 0.9
) -> None:
    """Open above `grasp` (3,) [m], looking `pitch` [rad] down, go down, close and lift by `height` [m]."""
    down = hand.pointing(pitch, nearest_quarter(yaw))
    above = grasp + [0, 0, height]
    hand.move(1.1, above, down, OPEN)
    hand.move(0.7, grasp)
    hand.move(0.4, grip=CLOSED)
    hand.move(0.6, above)


def handed_over(data: mujoco.MjData, lifted: bool, touching: Sequence[bool]) -> bool:
    """Return whether the hand that has the object alone in the air got it from another hand.

    Args:
        data: its `userdata[0]` remembers which hand had it first.
        lifted: whether the object is in the air.
        touching: per hand, whether it touches the object.
    """
    if not lifted or sum(touching) != 1:
        return False
    holder = 1 + list(touching).index(True)
    if data.userdata[0] == 0:
        data.userdata[0] = holder
    return bool(data.userdata[0] != holder)


def hand_over(give: Hand, take: Hand, roll: float, gap: float) -> None:
    """Bring the held object to the middle, take it from the other side, let go and draw back.

    Args:
        give: the hand that holds the object.
        take: the hand that takes it.
        roll: turn of the taker's fingers about its own axis [rad].
        gap: distance between the hands' grasp points along x [m].
    """
    point, pitch = np.array([0.0, 0.5, give.meeting.height]), give.meeting.pitch
    give.move(1.4, point, give.pointing(pitch))
    meeting = give.now_s
    grasp = point - [take.outward * gap, 0, 0]
    ready = grasp - _BACK * np.array([take.outward * np.cos(pitch), 0, -np.sin(pitch)])
    take.move(meeting - 0.5 - take.now_s, ready, take.pointing(pitch, roll=roll), OPEN)
    take.move(0.9, grasp)
    take.move(0.4, grip=CLOSED)
    give.until(take.now_s)
    give.move(0.35, grip=OPEN)
    take.until(give.now_s)
    give.move(0.7, point - _BACK * np.array([give.outward * np.cos(pitch), 0, -np.sin(pitch)]))
