"""Press two buttons at the same time, one with each hand."""

import mujoco
import numpy as np

from smp_bringup.simulation import SIDES
from smp_bringup.tasks.base import AbstractTask, vivid
from smp_bringup.tasks.script import Hand, Script

_RADIUS = 0.03
_TRAVEL = 0.012
_TOP = 0.045
_SHUT = 0.0
_TIP_M = 0.018
"""The fingertips lie so far beyond the point between the pads."""
_ABOVE = 0.06
_DEEP = _ABOVE + 0.02
"""From where a hand hovers down to where it presses."""


class PressTwoButtons(AbstractTask):
    """Success: both buttons are down together."""

    name = "press_two_buttons"
    objects = ("button_left", "button_right")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add a button on a spring for each side."""
        for side in ("left", "right"):
            base = mjcf.worldbody.add_body(name=f"base_{side}", mocap=True)
            base.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[0, 0, 0.012],
                size=[0.045, 0.012, 0],
                rgba=[0.1, 0.1, 0.1, 1],
                contype=0,
                conaffinity=0,
            )
            cap = mjcf.worldbody.add_body(name=f"button_{side}", pos=[0, 0.5, 0], gravcomp=1)
            for axis, vector in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
                slide = cap.add_joint(name=f"button_{side}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=vector)
                slide.armature = 1000
            cap.add_joint(
                name=f"button_{side}",
                type=mujoco.mjtJoint.mjJNT_SLIDE,
                axis=[0, 0, 1],
                stiffness=300,
                damping=6,
                springref=0.0,
                range=[-_TRAVEL, 0],
                limited=True,
            )
            cap.add_geom(
                name=f"button_{side}",
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[0, 0, _TOP - 0.012],
                size=[_RADIUS, 0.012, 0],
                rgba=[0.8, 0.2, 0.2, 1],
                mass=0.05,
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw where each button stands, and its colour."""
        for side, sign in (("left", -1), ("right", 1)):
            x, y = self.draw(rng, "x", "y")
            data.joint(f"button_{side}_x").qpos[0] = sign * x
            data.joint(f"button_{side}_y").qpos[0] = y - 0.5
            data.mocap_pos[model.body(f"base_{side}").mocapid[0]] = [sign * x, y, 0]
            model.geom(f"button_{side}").rgba = vivid(rng, self.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether both buttons are at least 6 mm down, and went down at nearly the same time."""
        down = _down(data)
        for i, pressed in enumerate(down):
            since = data.userdata[i] or data.time
            data.userdata[i] = since if pressed else 0.0
        return all(down) and bool(abs(data.userdata[0] - data.userdata[1]) < self.limit("apart_s"))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Hover over each button with closed fingers, press both, stay, draw back."""
        script.stagger()
        for side, hand in script.hands.items():
            _hover(hand, data, side)
        script.meet()
        for hand in script.hands.values():
            above = hand.last.position
            hand.move(0.8, above - [0, 0, _DEEP])
            hand.move(0.5)
            hand.move(0.6, above)


class PressInOrder(PressTwoButtons):
    """Success: the button of the hand that leads went down and up again, and then the other went down."""

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the second button is down after the first; once they were down together, never."""
        first, second = _ordered(_down(data), self.leads)
        stage = data.userdata[0]  # 0: nothing yet, 1: first is down, 2: and up again, 3: spoilt
        if second and stage < 2:
            stage = 3
        elif first != (stage % 2 == 1) and stage < 2:
            stage += 1
        data.userdata[0] = stage
        return bool(stage == 2 and second and not first)

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Hover over both buttons; the hand that leads presses and draws back, then the other presses."""
        first, second = script.ordered()
        for side, hand in script.hands.items():
            _hover(hand, data, side)
        _press(first)
        second.until(first.now_s)
        _press(second)


class PressTwiceHolding(PressTwoButtons):
    """Success: while the hand that leads keeps its button down, the other button goes down twice."""

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the second button is down for the second time since the first went down, which still is."""
        held, pressed = _ordered(_down(data), self.leads)
        stage = data.userdata[0]  # 0: second was up since first is down, 1: down, 2: up again, 3: down again
        if not held:
            stage = 0 if not pressed else -1  # what was pressed before must come up first
        elif pressed != (stage % 2 == 1) and stage < 3:
            stage += 1
        data.userdata[0] = stage
        return bool(held and stage == 3 and pressed)

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Hover over both buttons; the hand that leads presses and stays, the other presses twice."""
        holder, other = script.ordered()
        for side, hand in script.hands.items():
            _hover(hand, data, side)
        holder.move(0.8, holder.last.position - [0, 0, _DEEP])
        other.until(holder.now_s)
        _press(other)
        _press(other)
        holder.until(other.now_s)


def _down(data: mujoco.MjData) -> list[bool]:
    """Return whether each button (left, right) is at least 6 mm down."""
    return [data.joint(f"button_{side}").qpos[0] < -0.006 for side in SIDES]


def _ordered(down: list[bool], leads: str) -> list[bool]:
    """Return the states (left, right) of the buttons with that of the side that leads first."""
    return down if leads == SIDES[0] else down[::-1]


def _hover(hand: Hand, data: mujoco.MjData, side: str) -> None:
    """Go above a button with closed fingers."""
    above = data.geom(f"button_{side}").xpos + [0, 0, 0.012 + _TIP_M + _ABOVE]
    hand.move(1.4, above, hand.pointing(np.pi / 2 * 0.9), _SHUT)


def _press(hand: Hand) -> None:
    """Press the button below, and draw back."""
    above = hand.last.position
    hand.move(0.6, above - [0, 0, _DEEP])
    hand.move(0.2)
    hand.move(0.5, above)
