"""The limbs of a robot, from the tree of its joints: arms, the hands at their ends, and what is neither."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smp_bringup.description.urdf import TURNING, Urdf, UrdfJoint

_LEAST_ARM = 4
"""An arm has no fewer joints that turn, one after the other: heads and grippers have fewer."""
_GRIPS = re.compile(r"grip|finger|jaw|knuckle|thumb|hand(?!le)", re.IGNORECASE)
"""What a joint at the end of an arm is called that opens and closes."""
_FINGER = re.compile(r"finger|jaw|knuckle|thumb", re.IGNORECASE)
"""What a joint is called that is a part of a hand, whatever hangs behind it."""
_NO_ARM = re.compile(r"head|neck|leg|hip|knee|ankle|foot|wheel|caster|rotor|thigh|calf|haa|hfe|kfe", re.IGNORECASE)
"""What joints of legs, wheels and heads are called; the tree alone does not tell them from an arm."""
_IDLE = "nothing drives it: no transmission and no ros2_control tag names it, as they do others of its hand"
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}


@dataclass(frozen=True)
class Limb:
    """Some joints of a robot that belong together."""

    name: str
    kind: str
    """arm, hand or other."""
    joints: tuple[UrdfJoint, ...]
    """From the root outwards."""
    arm: str = ""
    """Of a hand: the arm that carries it."""


@dataclass(frozen=True)
class Limbs:
    """What a URDF was taken for."""

    limbs: tuple[Limb, ...]
    """Arms, each with its hand behind it, then what is neither."""
    dropped: tuple[tuple[str, str], ...]
    """Joints that move and were left out, and why."""


def find_limbs(urdf: Urdf) -> Limbs:
    """Return the limbs of a robot.

    An arm is a chain of joints that each move the next, at least four of which turn. What hangs behind its end, and the
    joints at the end that slide or are named as fingers are, is its hand. The joints before a fork are a torso.
    """
    behind: dict[str, list[UrdfJoint]] = {joint.name: [] for joint in urdf.joints if joint.moves}
    waiting = list[UrdfJoint]()
    for joint in urdf.joints:
        if joint.moves:
            above = urdf.before(joint)
            (waiting if above is None else behind[above.name]).append(joint)
    arms, others = list[tuple[list[UrdfJoint], list[UrdfJoint]]](), list[list[UrdfJoint]]()
    while waiting:
        chain = _chain(waiting.pop(0), behind)
        lead, arm, end = _cut(chain, behind)
        next_ones = behind[chain[-1].name]
        if not arm or _is_no_arm(arm) or any(_holds_arm(joint, behind) for joint in next_ones):
            others.append(chain)
            waiting = next_ones + waiting
            continue
        arms.append((arm, end + _below(next_ones, behind)))
        others += [lead] if lead else []
    limbs, idle = _named(urdf, arms, others)
    mimics = [(joint.name, f"mimics {joint.mimics}") for joint in urdf.joints if joint.mimics]
    return Limbs(tuple(limbs), (*mimics, *idle))


def _named(
    urdf: Urdf, arms: Sequence[tuple[Sequence[UrdfJoint], Sequence[UrdfJoint]]], others: Sequence[Sequence[UrdfJoint]]
) -> tuple[list[Limb], list[tuple[str, str]]]:
    """Return limbs of arms with their hands and of other chains, and the joints of hands that nothing drives."""
    limbs, idle = list[Limb](), list[tuple[str, str]]()
    for name, (arm, hand) in zip(_arm_names([arm for arm, _ in arms]), arms, strict=True):
        limbs.append(Limb(name, "arm", tuple(arm)))
        driven = [joint for joint in hand if joint.name in urdf.actuated] or hand
        idle += [(joint.name, _IDLE) for joint in hand if joint not in driven]
        limbs += [Limb(f"{name}_hand", "hand", tuple(driven), name)] if driven else []
    taken = {limb.name for limb in limbs}
    for chain in others:
        name = _free(_word(_common(chain)) or _word(chain[0].name), taken)
        taken.add(name)
        limbs.append(Limb(name, "other", tuple(chain)))
    return limbs, idle


def _is_no_arm(joints: Sequence[UrdfJoint]) -> bool:
    return any(_NO_ARM.search(joint.name) for joint in joints)


def _holds_arm(first: UrdfJoint, behind: dict[str, list[UrdfJoint]]) -> bool:
    """Return whether an arm begins with a joint, or somewhere behind it: then what is before is a torso."""
    chain = _chain(first, behind)
    return bool(_cut(chain, behind)[1]) or any(_holds_arm(joint, behind) for joint in behind[chain[-1].name])


def _chain(first: UrdfJoint, behind: dict[str, list[UrdfJoint]]) -> list[UrdfJoint]:
    """Return joints from `first` on up to a fork."""
    chain = [first]
    while len(behind[chain[-1].name]) == 1:
        chain.append(behind[chain[-1].name][0])
    return chain


def _below(joints: Sequence[UrdfJoint], behind: dict[str, list[UrdfJoint]]) -> list[UrdfJoint]:
    """Return joints and all behind them, a branch at a time."""
    return [each for joint in joints for each in (joint, *_below(behind[joint.name], behind))]


def _cut(
    chain: list[UrdfJoint], behind: dict[str, list[UrdfJoint]]
) -> tuple[list[UrdfJoint], list[UrdfJoint], list[UrdfJoint]]:
    """Return what carries an arm, the arm, and what is at its end; without an arm, the whole chain first."""
    start, stop = 0, len(chain)
    while (
        stop > 0
        and not _turns_hand(chain[stop - 1], behind)
        and (_grips(chain[stop - 1]) or chain[stop - 1].kind not in TURNING)
    ):
        stop -= 1
    while start < stop and chain[start].kind not in TURNING:
        start += 1
    turning = [joint for joint in chain[start:stop] if joint.kind in TURNING]
    if len(turning) < _LEAST_ARM:
        return chain, [], []
    return chain[:start], chain[start:stop], chain[stop:]


def _grips(joint: UrdfJoint) -> bool:
    return bool(_GRIPS.search(joint.name))


def _turns_hand(joint: UrdfJoint, behind: dict[str, list[UrdfJoint]]) -> bool:
    """Return whether a joint turns a whole hand, although it is called by it: several fingers hang behind it."""
    return joint.kind in TURNING and len(behind[joint.name]) > 1 and not _FINGER.search(joint.name)


def _arm_names(arms: Sequence[Sequence[UrdfJoint]]) -> list[str]:
    """Return a name for each arm: its side where its joints say one, else what their names share."""
    names: list[str] = []
    for arm in arms:
        side = _side(arm)
        common = side or (_word(_common(arm)) if len(arms) > 1 else "")
        names.append(_free(common or "arm", set(names)))
    return names


def _side(joints: Sequence[UrdfJoint]) -> str:
    """Return left or right, where every joint says so."""
    said = [{_SIDES[part] for part in _parts(joint.name) if part in _SIDES} for joint in joints]
    shared = set.intersection(*said) if said else set()
    return shared.pop() if len(shared) == 1 else ""


def _parts(name: str) -> list[str]:
    """Return the parts of a name: of left_arm_joint1, LeftArmJoint1 and left-arm.joint_1 alike."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)]


def _common(joints: Sequence[UrdfJoint]) -> str:
    """Return the parts that all names begin with."""
    shared = []
    for parts in zip(*(_parts(joint.name) for joint in joints), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "_".join(part for part in shared if part != "joint")


def _word(text: str) -> str:
    """Return what an arm can be called."""
    return re.sub(r"^[^A-Za-z]+", "", re.sub(r"[^A-Za-z0-9_]+", "_", text)).strip("_")[:40]


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet."""
    name = name or "part"
    return next(each for k in range(1, 1000) if (each := name if k == 1 else f"{name}_{k}") not in taken)
