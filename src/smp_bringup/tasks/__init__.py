"""The two-arm tasks; each has a scripted expert and a success predicate."""

from smp_bringup import physics as physics  # first: it says in one line when MuJoCo cannot be imported
from smp_bringup.registry import Registry
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.tasks.handover_to_bin import HandoverToBin
from smp_bringup.tasks.lift_tray import LiftTray
from smp_bringup.tasks.open_drawer_place import OpenDrawerPlace
from smp_bringup.tasks.peg_insertion import PegInsertion
from smp_bringup.tasks.press_two_buttons import PressTwoButtons
from smp_bringup.tasks.squeeze_lift_box import SqueezeLiftBox
from smp_bringup.tasks.stack_blocks import StackBlocks
from smp_bringup.tasks.transfer_cube import TransferCube

TASKS: Registry[type[AbstractTask]] = Registry("task")
for _task in (
    TransferCube,
    PressTwoButtons,
    LiftTray,
    HandoverToBin,
    PegInsertion,
    SqueezeLiftBox,
    OpenDrawerPlace,
    StackBlocks,
):
    TASKS.register(_task.name)(_task)
