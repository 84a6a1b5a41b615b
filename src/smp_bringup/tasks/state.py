"""The state track: what the simulator knows of a task's objects, as one vector.

Three slots of nine numbers, position [m] and the first two columns of the rotation matrix
(continuous, unlike angles: Zhou et al., "On the Continuity of Rotation Representations in
Neural Networks", 2019), zeros where a task has fewer objects; then a one-hot of the task:
the eight of benchmark v1 in the order of the alphabet, then the others as they were added.
The eight have vectors that end with them, the beginning of what any other task has: zeros that
follow say nothing, so that policies of the eight need not know how many tasks came later.
"""

from collections.abc import Sequence
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
POSE_SIZE = SLOTS * len(_POSE)
"""The first so many entries are poses."""
FIRST_SIZE = POSE_SIZE + len(GROUPS["all"])
"""So many entries tell of the eight tasks."""


def object_state(task: AbstractTask, data: "mujoco.MjData") -> FloatArray:
    """Return the state vector of a task's objects as they are in `data`: the first D entries of `STATE_NAMES`."""
    state = np.zeros(FIRST_SIZE if task.name in GROUPS["all"] else STATE_SIZE)
    state[:POSE_SIZE] = object_poses(task.objects, data)
    state[STATE_NAMES.index(f"task_{task.name}")] = 1.0
    return state


def object_poses(bodies: Sequence[str], data: "mujoco.MjData") -> FloatArray:
    """Return the poses of up to `SLOTS` bodies in `data`: the first `POSE_SIZE` entries of `STATE_NAMES`."""
    poses = np.zeros(POSE_SIZE)
    for slot, name in enumerate(bodies):
        body = data.body(name)
        start = slot * len(_POSE)
        poses[start : start + 3] = body.xpos
        poses[start + 3 : start + len(_POSE)] = body.xmat.reshape(3, 3)[:, :2].T.ravel()
    return poses
