"""Phases of a task as the operator's grippers tell them: every opening or closing begins one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smp_bringup.joints import Joint
from smp_bringup.replay.run import ReplayResult
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, nanoseconds

_SWING = 0.25
"""A gripper that uses less than this share of its range does not open or close."""
_HYSTERESIS = 0.15
"""A crossing of the middle counts once the gripper is this share of its swing beyond it."""
_MATCH_NS = nanoseconds(1.0)
"""Events farther apart are not the same event."""


class GripperEvent(NamedTuple):
    """A gripper passes the middle of its swing."""

    stamp_ns: int
    opens: bool


def gripper_events(stamps_ns: np.ndarray, position: FloatArray, joint: Joint) -> list[GripperEvent]:
    """Return when a gripper (N,) opens and closes."""
    low, high = float(position.min()), float(position.max())
    swing = high - low
    if swing < _SWING * (joint.max - joint.min):
        return []
    share = (position - low) / swing
    events: list[GripperEvent] = []
    opened, crossing = bool(share[0] > 0.5), 0
    for i in range(1, len(share)):
        if (share[i] > 0.5) != (share[i - 1] > 0.5):
            crossing = i
        beyond = share[i] > 0.5 + _HYSTERESIS if not opened else share[i] < 0.5 - _HYSTERESIS
        if beyond:
            opened = not opened
            events.append(GripperEvent(int(stamps_ns[crossing]), opened))
    return events


def match_events(theirs: Sequence[GripperEvent], ours: Sequence[GripperEvent]) -> tuple[list[float], int, int]:
    """Return the delays of ours [s] against theirs, and how many of theirs and of ours have no counterpart."""
    free, delays = list(ours), []
    for event in theirs:
        near = [e for e in free if e.opens == event.opens and abs(e.stamp_ns - event.stamp_ns) <= _MATCH_NS]
        if near:
            best = min(near, key=lambda e: abs(e.stamp_ns - event.stamp_ns))
            free.remove(best)
            delays.append((best.stamp_ns - event.stamp_ns) / 1e9)
    return delays, len(theirs) - len(delays), len(free)


def phases(result: ReplayResult, robot: Robot) -> list[str]:
    """Return the phase of each chunk: "start", then what the last gripper event was, e.g. "right_gripper closed"."""
    marks: list[tuple[int, str]] = []
    if len(result.leader_ns) > 1:
        for i, joint in enumerate(robot.joints):
            if joint.gripper:
                marks += [
                    (event.stamp_ns, f"{joint.name} {'opened' if event.opens else 'closed'}")
                    for event in gripper_events(result.leader_ns, result.leader[:, i], joint)
                ]
    marks.sort()
    at = np.array([stamp for stamp, _ in marks], dtype=np.int64)
    labels = ["start", *(label for _, label in marks)]
    return [labels[int(np.searchsorted(at, chunk.stamp_ns, side="right"))] for chunk in result.chunks]
