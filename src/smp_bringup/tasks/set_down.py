"""Lift the tray, or the box without handles, with both hands, and set it down shifted or turned."""

import mujoco
import numpy as np

from smp_bringup.simulation import SIDES
from smp_bringup.tasks.base import touching, yaw_of
from smp_bringup.tasks.handover import OPEN
from smp_bringup.tasks.lift_tray import LiftTray
from smp_bringup.tasks.script import Hand, Script
from smp_bringup.tasks.squeeze_lift_box import SqueezeLiftBox
from smp_bringup.types import FloatArray

Goal = tuple[float, float, float]
"""x, y [m], and the turn about the vertical [rad]."""
_STEPS = 3
"""A turn is carried out in so many straight pieces."""


class SetTrayDown(LiftTray):
    """Success: the tray, once lifted, stands at the goal with the block on it, and no hand touches it."""

    goal: Goal

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the tray was up and level with its load, and is down at the goal, released."""
        if super().succeeds(model, data):
            data.userdata[0] = 1
        tray, load = data.body("tray").xpos, data.body("load").xpos
        carries = np.linalg.norm(load[:2] - tray[:2]) < self.limit("off_centre") and load[2] < 0.08
        return bool(
            data.userdata[0]
            and tray[2] < 0.012
            and carries
            and near(data, "tray", self.goal, self.limit("off_place"), self.limit("off_turn_deg"))
            and not any(touching(model, data, side, f"handle_{side}") for side in SIDES)
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Lift, carry to the goal, set down, let go."""
        super().solve(model, data, script)
        carry(script, data.body("tray").xpos.copy(), yaw_of(data, "tray"), self.goal, 0.148)
        for hand in script.hands.values():
            hand.move(0.35, grip=OPEN)
            hand.move(0.6, hand.last.position + [0, 0, 0.1])


class SetBoxDown(SqueezeLiftBox):
    """Success: the box, once lifted, stands at the goal."""

    goal: Goal

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the box was up and level, and is down at the goal."""
        if super().succeeds(model, data):
            data.userdata[0] = 1
        down = data.body("box").xpos[2] < model.geom("box").size[2] + 0.006
        off_place, off_turn = self.limit("off_place"), self.limit("off_turn_deg")
        return bool(data.userdata[0] and down and near(data, "box", self.goal, off_place, off_turn))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Lift, carry to the goal, set down, draw back."""
        super().solve(model, data, script)
        carry(script, data.body("box").xpos.copy(), yaw_of(data, "box"), self.goal, 0.118)
        c, s = np.cos(self.goal[2]), np.sin(self.goal[2])
        for hand in script.hands.values():
            hand.move(0.6, hand.last.position - hand.outward * 0.06 * np.array([c, s, 0.0]))


def near(data: mujoco.MjData, body: str, goal: Goal, off_m: float, off_deg: float) -> bool:
    """Return whether a body is so near to a goal, and turned so nearly like it."""
    turn = (yaw_of(data, body) - goal[2] + np.pi) % (2 * np.pi) - np.pi
    return bool(np.linalg.norm(data.body(body).xpos[:2] - goal[:2]) < off_m and abs(turn) < np.deg2rad(off_deg))


def carry(script: Script, start: FloatArray, yaw: float, goal: Goal, height: float) -> None:
    """Carry what both hands have lifted, and lower it by `height` [m].

    Args:
        script: whose hands hold the object.
        start: where it lay (3,) [m].
        yaw: and how it was turned [rad].
        goal: where it is to lie.
        height: so far it was lifted [m].
    """
    held = {hand: (hand.last.position, hand.last.rotation) for hand in script.hands.values()}
    for share in np.arange(1, _STEPS + 1) / _STEPS:
        turn = _about_vertical(share * (goal[2] - yaw))
        middle = start[:2] + share * (np.array(goal[:2]) - start[:2])
        for hand, (position, rotation) in held.items():
            arm = turn @ (position - [*start[:2], 0.0])
            hand.move(1.5 / _STEPS, arm + [*middle, 0.0], turn @ rotation)
    for hand in script.hands.values():
        _lower(hand, height)


def _lower(hand: Hand, height: float) -> None:
    hand.move(1.0, hand.last.position - [0, 0, height])
    hand.move(0.2)


def _about_vertical(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
