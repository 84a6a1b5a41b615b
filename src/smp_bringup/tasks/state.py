"""The state track: what the simulator knows of a task's objects, as one vector of fixed size.

Three slots of nine numbers, position [m] and the first two columns of the rotation matrix
(continuous, unlike angles: Zhou et al., "On the Continuity of Rotation Representations in
Neural Networks", 2019), zeros where a task has fewer objects; then a one-hot of the task:
the eight of benchmark v1 in the order of the alphabet, then the others as they were added,
so that what a policy of the eight is told is the beginning of what any other is told.
"""

from typing import TYPE_CHECKING

import numpy as np

from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.types import FloatArray

if TYPE_CHECKING:
    import mujoco

SLOTS = 3
_POSE = ("x", "y", "z", "xx", "xy", "xz", "yx", "yy", "yz")
"""Position, then the body's x and y axes in the world."""

STATE_NAMES = (
    *(f"object{slot}_{entry}" for slot in range(SLOTS) for entry in _POSE),
    *(f"task_{name}" for name in sorted(GROUPS["all"])),
    *(f"task_{name}" for name in TASKS if name not in GROUPS["all"]),
)
STATE_SIZE = len(STATE_NAMES)
"""D."""
POSE_SIZE = SLOTS * len(_POSE)
"""The first so many entries are poses."""
FIRST_SIZE = POSE_SIZE + len(GROUPS["all"])
"""So many entries tell the eight tasks apart."""


def object_state(task: AbstractTask, data: "mujoco.MjData") -> FloatArray:
    """Return the state vector (D,) of a task's objects as they are in `data`."""
    state = np.zeros(STATE_SIZE)
    for slot, name in enumerate(task.objects):
        body = data.body(name)
        start = slot * len(_POSE)
        state[start : start + 3] = body.xpos
        state[start + 3 : start + len(_POSE)] = body.xmat.reshape(3, 3)[:, :2].T.ravel()
    state[STATE_NAMES.index(f"task_{task.name}")] = 1.0
    return state


def needed(states: FloatArray) -> FloatArray:
    """Return the entries (N, D') that frames (N, D) need: where all show the eight tasks, no entry of any other."""
    return states if states[:, FIRST_SIZE:].any() else states[:, :FIRST_SIZE]
