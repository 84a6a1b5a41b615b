"""What an episode lacks for its success, in words, by the predicate that judges it; nothing for those not told here."""

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from smp_bringup.simulation import SIDES
from smp_bringup.tasks.base import AbstractTask, tilt_of, touching
from smp_bringup.tasks.handover_to_bin import HandoverToBin
from smp_bringup.tasks.lift_tray import LiftTray
from smp_bringup.tasks.open_drawer_place import OpenDrawerPlace
from smp_bringup.tasks.peg_insertion import PegHeldStill, PegInsertion
from smp_bringup.tasks.press_two_buttons import PressTwoButtons
from smp_bringup.tasks.set_down import SetBoxDown, SetTrayDown
from smp_bringup.tasks.squeeze_lift_box import SqueezeLiftBox
from smp_bringup.tasks.stack_blocks import BlocksSideBySide, StackBlocks
from smp_bringup.tasks.transfer_cube import TransferCube

Words = Callable[[Any, mujoco.MjModel, mujoco.MjData], str]

_UP_M = 0.08
"""As high as most predicates want a thing."""


def shortfall(task: AbstractTask, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    """Return how far the scene is from what `task` wants; empty if its predicate is not told of."""
    words = _BY_PREDICATE.get(type(task).succeeds)
    return words(task, model, data) if words else ""


def _height(data: mujoco.MjData, body: str, wanted_m: float = _UP_M) -> str:
    short_m = wanted_m - float(data.body(body).xpos[2])
    return f"the {body} is {_cm(short_m)} below the height that counts" if short_m > 0 else f"the {body} is high enough"


def _apart(data: mujoco.MjData, body: str, where: str, goal: np.ndarray) -> str:
    return f"the {body} is {_cm(float(np.linalg.norm(data.body(body).xpos[:2] - goal[:2])))} from {where}"


def _held(model: mujoco.MjModel, data: mujoco.MjData, *geoms: str) -> str:
    hands = [side for side in SIDES if touching(model, data, side, *geoms)]
    return f"touched by the {' and the '.join(hands)} hand" if hands else "touched by no hand"


def _cm(distance_m: float) -> str:
    return f"{100 * distance_m:.1f} cm"


def _transfer(task: TransferCube, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    passed = "it was never lifted" if data.userdata[0] == 0 else "it was lifted by one hand first"
    return f"{_height(data, 'cube')}, {_held(model, data, 'cube')}; {passed}"


def _press(task: PressTwoButtons, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    down_mm = {side: -1000 * float(data.joint(f"button_{side}").qpos[0]) for side in SIDES}
    told = ", ".join(f"the {side} button is {max(0.0, mm):.0f} mm down" for side, mm in down_mm.items())
    return f"{told}; each must be 6 mm down, at nearly the same time"


def _tray(task: LiftTray, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    load, tray = data.body("load").xpos, data.body("tray").xpos
    off = float(np.linalg.norm(load[:2] - tray[:2]))
    tilt = np.rad2deg(tilt_of(data, "tray"))
    return f"{_height(data, 'tray')}, tilted by {tilt:.0f} degrees; the block is {_cm(off)} from its middle"


def _bin(task: HandoverToBin, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    passed = "was passed on" if data.userdata[1] else "was not passed from hand to hand"
    return f"{_apart(data, 'block', 'the middle of the bin', data.body('bin').xpos)} and {passed}"


def _peg(task: PegInsertion, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    apart = float(np.linalg.norm(data.body("peg").xpos - data.body("socket").xpos))
    return f"peg and socket are {_cm(apart)} apart (middles); {_height(data, 'peg')}, {_height(data, 'socket')}"


def _box(task: SqueezeLiftBox, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    up = _height(data, "box", float(model.geom("box").size[2]) + _UP_M)
    return f"{up}, tilted by {np.rad2deg(tilt_of(data, 'box')):.0f} degrees"


def _drawer(task: OpenDrawerPlace, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    where = _apart(data, "block", "the middle of the drawer", data.body("drawer").xpos)
    return f"{where}, {_held(model, data, 'block')}"


def _stack(task: StackBlocks, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    low, high = sorted((data.body(f"block_{side}").xpos for side in SIDES), key=lambda p: p[2])
    beside, above = float(np.linalg.norm(high[:2] - low[:2])), float(high[2] - low[2])
    return f"the blocks are {_cm(beside)} apart on the table's plane, one {_cm(above)} above the other"


def _set_down(task: SetTrayDown | SetBoxDown, model: mujoco.MjModel, data: mujoco.MjData) -> str:
    body = task.objects[0]
    lifted = "was lifted before" if data.userdata[0] else "was never lifted as high as it must be"
    return f"{_apart(data, body, 'its goal', np.array(task.goal))} and {lifted}"


_BY_PREDICATE: dict[Callable[..., bool], Words] = {
    TransferCube.succeeds: _transfer,
    PressTwoButtons.succeeds: _press,
    LiftTray.succeeds: _tray,
    HandoverToBin.succeeds: _bin,
    PegInsertion.succeeds: _peg,
    PegHeldStill.succeeds: _peg,
    SqueezeLiftBox.succeeds: _box,
    OpenDrawerPlace.succeeds: _drawer,
    StackBlocks.succeeds: _stack,
    BlocksSideBySide.succeeds: _stack,
    SetTrayDown.succeeds: _set_down,
    SetBoxDown.succeeds: _set_down,
}
