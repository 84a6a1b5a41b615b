"""The state track: what the simulator knows of a task's objects, as one vector of fixed size.

Three slots of nine numbers, position [m] and the first two columns of the rotation matrix
(continuous, unlike angles: Zhou et al., "On the Continuity of Rotation Representations in
Neural Networks", 2019), zeros where a task has fewer objects; then a one-hot of the task.
"""

from typing import TYPE_CHECKING

import numpy as np

from smp_bringup.tasks import TASKS
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.types import FloatArray

if TYPE_CHECKING:
    import mujoco

SLOTS = 3
_POSE = ("x", "y", "z", "xx", "xy", "xz", "yx", "yy", "yz")
"""Position, then the body's x and y axes in the world."""

STATE_NAMES = (
    *(f"object{slot}_{entry}" for slot in range(SLOTS) for entry in _POSE),
    *(f"task_{name}" for name in sorted(TASKS)),
)
STATE_SIZE = len(STATE_NAMES)
"""D."""
POSE_SIZE = SLOTS * len(_POSE)
"""The first so many entries are poses."""


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
