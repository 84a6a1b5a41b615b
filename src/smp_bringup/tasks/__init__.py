"""The two-arm tasks; each has a scripted expert and a success predicate."""

from collections.abc import Iterable

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
from smp_bringup.tasks.variants import VARIANTS

EIGHT: tuple[type[AbstractTask], ...] = (
    TransferCube,
    PressTwoButtons,
    LiftTray,
    HandoverToBin,
    PegInsertion,
    SqueezeLiftBox,
    OpenDrawerPlace,
    StackBlocks,
)

TASKS: Registry[type[AbstractTask]] = Registry("task")
for _task in (*EIGHT, *VARIANTS):
    TASKS.register(_task.name)(_task)

GROUPS = {
    "all": tuple(task.name for task in EIGHT),
    "v2": tuple(TASKS),
    **{f"v2_{count}": tuple(task.name for task in VARIANTS[:count]) for count in (4, 8, 16, 24)},
}
"""Names that stand for several tasks: benchmark v1, which the shipped models do, benchmark v2, and parts of it."""


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of tasks, groups replaced by what is in them; what is neither stays."""
    return tuple(dict.fromkeys(task for name in names for task in GROUPS.get(name, (name,))))
