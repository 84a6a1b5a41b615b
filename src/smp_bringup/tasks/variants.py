"""The tasks that benchmark v2 adds: the same scenes, but another hand must lead, or something else is to be done."""

from smp_bringup.tasks.base import AbstractTask
from smp_bringup.tasks.handover_to_bin import HandoverToBin
from smp_bringup.tasks.open_drawer_place import OpenDrawerPlace, TakeFromDrawer
from smp_bringup.tasks.peg_insertion import PegHeldStill, UnplugPeg
from smp_bringup.tasks.press_two_buttons import PressInOrder, PressTwiceHolding
from smp_bringup.tasks.set_down import SetBoxDown, SetTrayDown
from smp_bringup.tasks.stack_blocks import BlocksSideBySide, StackBlocks
from smp_bringup.tasks.transfer_cube import TransferAndPlace, TransferAndReturn, TransferCube

_TURN = 0.52
"""30 degrees."""


def _variant(task: type[AbstractTask], name: str, **attributes: object) -> type[AbstractTask]:
    """Return a task that differs from another in class attributes; config/tasks/NAME.yaml says the rest."""
    return type(name, (task,), {"__doc__": task.__doc__, "name": name, **attributes})


VARIANTS: tuple[type[AbstractTask], ...] = (
    _variant(TransferCube, "transfer_from_left", leads="right"),
    _variant(PressInOrder, "press_left_then_right", leads="left"),
    _variant(SetTrayDown, "tray_to_front", goal=(0.0, 0.41, 0.0)),
    _variant(StackBlocks, "left_block_below", leads="left"),
    _variant(HandoverToBin, "bin_from_right", leads="left"),
    _variant(SetBoxDown, "box_turned_left", goal=(0.0, 0.5, _TURN)),
    _variant(PegHeldStill, "peg_into_held_socket", leads="left"),
    _variant(TakeFromDrawer, "right_opens_left_takes", leads="right"),
    _variant(TransferCube, "transfer_from_right", leads="left"),
    _variant(PressInOrder, "press_right_then_left", leads="right"),
    _variant(SetTrayDown, "tray_turned_right", goal=(0.0, 0.5, -_TURN)),
    _variant(StackBlocks, "right_block_below", leads="right"),
    _variant(HandoverToBin, "bin_from_left", leads="right"),
    _variant(SetBoxDown, "box_to_back", goal=(0.0, 0.59, 0.0)),
    UnplugPeg,
    _variant(OpenDrawerPlace, "left_opens_right_places", leads="left"),
    TransferAndPlace,
    _variant(PressTwiceHolding, "hold_left_press_right_twice", leads="left"),
    _variant(SetTrayDown, "tray_to_back", goal=(0.0, 0.59, 0.0)),
    BlocksSideBySide,
    TransferAndReturn,
    _variant(SetBoxDown, "box_turned_right", goal=(0.0, 0.5, -_TURN)),
    _variant(PegHeldStill, "socket_onto_held_peg", leads="right"),
    _variant(TakeFromDrawer, "left_opens_right_takes", leads="left"),
    _variant(PressTwiceHolding, "hold_right_press_left_twice", leads="right"),
    _variant(SetTrayDown, "tray_turned_left", goal=(0.0, 0.5, _TURN)),
    _variant(SetBoxDown, "box_to_front", goal=(0.0, 0.41, 0.0)),
    _variant(OpenDrawerPlace, "right_opens_left_places", leads="right"),
)
"""In the order of the state track, so that new ones go last; the first 4, 8, 16 and 24 are groups of their own."""
