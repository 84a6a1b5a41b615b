"""What joint states say, against the joints of a robot file."""

from collections.abc import Sequence
from math import pi

import numpy as np

from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.commission.seen import HeardJoints, Message
from smp_bringup.errors import nearest
from smp_bringup.joints import DriverJoints, Joint
from smp_bringup.types import FloatArray

_BEYOND = 0.02
"""Share of a joint's range that it may stand outside its limits."""
_TURNS = 2 * 2 * pi
"""No joint stands farther from zero [rad]: it is said in degrees."""


def check_joints(
    about: str, topic: str, joints: Sequence[Joint], driver: DriverJoints, heard: Sequence[Message]
) -> list[Finding]:
    """Return what is wrong with what is said of an arm's joints.

    Args:
        about: the arm.
        topic: of the messages.
        joints: (n,) of the arm.
        driver: the same joints (n,) as they are told of on the topic.
        heard: messages in the order they came.
    """
    said = [message for message in heard if isinstance(message, HeardJoints)]
    if not said:
        return []
    names = said[-1].names
    if missing := [name for name in driver.names if not any(name in message.names for message in said)]:
        return [_missing(about, topic, missing, names)]
    part = [message for message in said if set(driver.names) <= set(message.names)]
    if not part:
        text = f"{topic}: no message has all of {', '.join(driver.names)}; the last has {_listed(names)}"
        return [error(about, text, "let one message say all joints of an arm, or make an arm of each")]
    found = []
    if len(part) < len(said):
        text = f"{topic}: {len(said) - len(part)} of {len(said)} messages lack joints of the arm, which are refused"
        found.append(warning(about, text, "let each message on this topic say all joints"))
    if any(len(set(message.names)) < len(message.names) for message in part):
        return [*found, error(about, f"{topic}: a joint is named twice in one message", "name each joint once")]
    if any(len(message.position) != len(message.names) for message in part):
        counts = f"{len(part[-1].position)} positions for {len(part[-1].names)} names"
        return [*found, error(about, f"{topic}: {counts}", "let its driver give each joint a position")]
    rows = np.array([[message.position[message.names.index(name)] for name in driver.names] for message in part])
    return found + _values(about, topic, joints, driver, rows)


def _missing(about: str, topic: str, missing: Sequence[str], names: Sequence[str]) -> Finding:
    meant = "".join(dict.fromkeys(nearest(name, names) for name in missing))
    text = f"{topic} never names {', '.join(missing)}{meant}; it names {_listed(names)}"
    todo = "write its names in the robot file: prefix: of the arm, or driver: {name: THEIRS} of the joint"
    return error(about, text, todo)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "nothing"


def _values(about: str, topic: str, joints: Sequence[Joint], driver: DriverJoints, rows: FloatArray) -> list[Finding]:
    """Return what is wrong with positions (m, n), as the driver says them."""
    found, finite = [], np.isfinite(rows)
    bad = [name for i, name in enumerate(driver.names) if not finite[:, i].all()]
    if bad:
        text = f"{topic}: position of {', '.join(bad)} is not a finite number"
        found.append(error(about, text, "let its driver measure it, or take the joint out of the robot file"))
    last = driver.ours(rows[-1])
    far = [i for i in range(len(joints)) if finite[-1, i] and _looks_mistaken(joints[i], last[i])]
    if far:
        text = ", ".join(f"{joints[i].name} at {last[i]:.4g} {joints[i].kind.unit}" for i in far)
        angles = any(joints[i].turns for i in far)
        hint = "degrees" if angles else "millimetres"
        limits = "min: -180, max: 180" if angles else "min: 0, max: 80"
        todo = f"say in driver: {{{limits}}} what the driver says where we say min and max"
        return [*found, error(about, f"{topic}: {text}: this looks like {hint}", todo)]
    for i, joint in enumerate(joints):
        beyond = _BEYOND * (joint.max - joint.min)
        if finite[-1, i] and not joint.min - beyond <= last[i] <= joint.max + beyond:
            text = f"{topic}: {joint.name} is at {last[i]:.4g}, outside [{joint.min:g}, {joint.max:g}]"
            todo = "bring it inside by hand, or look at sign, zero and unit of its driver: in the robot file"
            found.append(warning(about, text, todo))
    return found


def _looks_mistaken(joint: Joint, position: float) -> bool:
    """Return whether a position is of another unit: farther away than any joint of its kind stands."""
    return abs(position) > (_TURNS if joint.turns else joint.kind.position)
