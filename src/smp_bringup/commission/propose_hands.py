"""Which entries of a robot file are the arms that tasks take for left and right, and what grips at their ends."""

from dataclasses import dataclass, replace

from smp_bringup.arm import Arm
from smp_bringup.commission.fingers import Fingers
from smp_bringup.commission.simulated import written_opening
from smp_bringup.description.model import Description
from smp_bringup.description.movers import Movers
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.simulation import SIDES, SimHand, Simulation

_LEAST_ARM = 4
"""An arm has no fewer joints that turn."""
_FREE = 7
"""An arm of so many has one that a pose leaves free, mostly its third."""
_NOWHERE = (0.0,) * 6


@dataclass(frozen=True)
class Hands:
    """The hands of a robot."""

    hands: dict[str, SimHand]
    """By side; where between the fingers `tcp` is, is not known yet."""
    more: dict[str, tuple[tuple[str, ...], ...]]
    """By side: bodies that may be the other jaw, the likelier ones first: of other fingers, of what carries them."""
    notes: tuple[str, ...]
    """What was guessed."""


def find_hands(robot: Robot, description: Description, movers: Movers) -> Hands:
    """Return the two hands of a robot out of its description.

    Raises:
        ConfigError: it has not two arms, or one of them carries nothing that could hold.
    """
    hands, more, notes = dict[str, SimHand](), dict[str, tuple[tuple[str, ...], ...]](), list[str]()
    for side, arm in zip(SIDES, _two_arms(robot), strict=True):
        if side not in arm.name:
            notes.append(f"arm {arm.name} is taken for the {side} one")
        hands[side], more[side], said = _hand(robot, arm, description, movers)
        notes += [f"hand {side}: {text}" for text in said]
    return Hands(hands, more, tuple(notes))


def with_grip(hands: Hands, model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> tuple[Hands, bool]:
    """Return hands whose tool centre points, `closed` and `travel` are those of their fingers.

    The second value is whether fingers were added, which the model does not have as such yet: make it anew, ask again.
    """
    found, notes, rest, added = dict[str, SimHand](), list(hands.notes), dict(hands.more), False
    for side, hand in hands.hands.items():
        fingers = Fingers(model, robot, simulation, side)
        grip = fingers.grip()
        if grip is not None:
            closed, travel = written_opening(grip)
            tcp = grip.tcp.six
            found[side] = replace(hand, tcp=tcp, closed=closed, travel=travel)
        elif not hand.gripper:
            found[side] = replace(hand, tcp=fingers.pointed().six)
        elif rest[side]:
            found[side], added = replace(hand, fingers=(*rest[side][0], *hand.fingers)), True
            rest[side] = rest[side][1:]
        else:
            found[side] = hand
            notes.append(f"hand {side}: no fingers that close were found: write tcp, closed and travel yourself")
    return Hands(found, rest, tuple(dict.fromkeys(notes))), added


def _two_arms(robot: Robot) -> tuple[Arm, Arm]:
    """Return the left and the right arm."""
    arms = [arm for arm in robot.arms if sum(joint.turns for joint in arm.joints) >= _LEAST_ARM and not arm.is_base]
    arms = [arm for arm in arms if not _carried(robot, arm, arms)]
    sided = [[arm for arm in arms if side in arm.name] for side in SIDES]
    if all(len(found) == 1 for found in sided) and sided[0] != sided[1]:
        return sided[0][0], sided[1][0]
    if len(arms) == len(SIDES):
        return arms[0], arms[1]
    raise ConfigError(
        f"robot '{robot.name}': the tasks need two arms of {_LEAST_ARM} turning joints or more, called left and right; "
        f"the robot file has {', '.join(one_line(arm.name) for arm in arms) or 'none'}: "
        "two of one kind are written by smp robot new --copies left,right --at ..."
    )


def _carried(robot: Robot, arm: Arm, others: list[Arm]) -> bool:
    """Return whether an entry stands on another of them: a hand of many joints."""
    names = {joint.name for other in others if other is not arm for joint in other.joints}
    return arm.carried_by in names


def _hand(
    robot: Robot, arm: Arm, description: Description, movers: Movers
) -> tuple[SimHand, tuple[tuple[str, ...], ...], list[str]]:
    """Return what grips at the end of an arm, what may be its other jaw, and what was guessed."""
    last = movers.called[[joint.name for joint in arm.joints if not joint.gripper][-1]]
    behind = [link for link in description.links if last in description.movers(link)]
    own = {movers.called[joint.name] for joint in arm.joints if not joint.gripper}
    grips = [
        joint.name
        for entry in robot.arms
        for joint in entry.joints
        if movers.called[joint.name] not in own
        and any(movers.called[joint.name] in description.movers(link) for link in behind)
    ]
    shaped = [link for link in behind if movers.has_shape(link)]
    if not shaped:
        raise ConfigError(
            f"arm '{arm.name}': what its last joint carries has no collision shape that could hold: give the links of "
            "its hand a <collision> in the URDF, or take another one of this robot"
        )
    turning = [joint.name for joint in arm.joints if joint.turns]
    keep = (turning[2],) if len(turning) >= _FREE else ()
    for name in grips:
        gripper = movers.called[name]
        fingers = tuple(link for link in shaped if gripper in description.movers(link))
        if fingers:
            joint = description.model.joint(gripper)
            carrier: str = description.model.body(description.model.body(int(joint.bodyid[0])).parentid[0]).name
            said = [f"of its {len(grips)} joints {name} alone opens it"] if len(grips) > 1 else []
            beside = {movers.called[other] for other in grips if other != name}
            others = tuple(each for each in shaped if each not in fingers and beside & description.movers(each))
            still = tuple(each for each in shaped if description.movers(each) == description.movers(carrier))
            more = tuple(filter(None, (others, still)))
            return SimHand(arm.name, carrier, _NOWHERE, fingers, name, keep=keep), more, said
    body = shaped[-1]
    return SimHand(arm.name, body, _NOWHERE, (body,), keep=keep), (), ["nothing opens it"]
