"""A simulation proposed for a robot out of its description: its hands, where it stands, its homes, cameras and pace."""

from dataclasses import dataclass, replace

import numpy as np

from smp_bringup.commission.place_robot import place_robot, with_homes
from smp_bringup.commission.propose_hands import Hands, find_hands, with_grip
from smp_bringup.commission.simulated import check_simulated, usable_pace
from smp_bringup.commission.watched import unwatched
from smp_bringup.description.model import Description
from smp_bringup.description.movers import Movers
from smp_bringup.documents import dump_yaml
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.simulation import ModelJoint, Part, SimCamera, SimHand, Simulation

_WIDE = 10_000
_CAMERA_M = 0.1
"""A camera at a wrist is so far beside the hand, and as far behind its tool centre point [m]."""
_OVER = ((0.0, -0.15, 0.95), (0.0, 0.5, 0.1), 50.0)
"""Where a camera that no arm carries is, what it looks at, and its angle of view."""
_APART_M = 0.35
_AWAY_M = 0.4
"""Hands that are farther from where they would wait get homes there: arms that hang down come up by luck."""


@dataclass(frozen=True)
class Proposed:
    """A simulation, and what the robot file has to say with it."""

    simulation: Simulation
    homes: dict[str, float]
    """By joint: from where the hands reach the table; empty where they do from the robot file's."""
    notes: tuple[str, ...]
    """What was guessed."""


def propose_simulation(robot: Robot, settings: SafetyConfig, model: str) -> Proposed:
    """Return a simulation of a robot.

    Args:
        robot: with a description.
        settings: that its arms keep, for their pace.
        model: as which its description is named in the simulation.

    Raises:
        ConfigError: it has no description, not two arms, or nothing in it can hold.
    """
    if not robot.description:
        raise ConfigError(f"robot '{robot.name}' has no description: name its URDF, e.g. description: my_robot.urdf")
    description = Description(robot.description, shapes=True)
    movers = Movers(robot, description)
    hands = find_hands(robot, description, movers)
    first = Simulation(
        (Part(robot.description),), hands.hands, _cameras(robot, hands), robot.name, joints=_called(robot, movers)
    )
    added = True
    while added:
        hands, added = with_grip(hands, compiled(robot_spec(robot, first)), robot, first)
        first = replace(first, hands=hands.hands)
    first = replace(first, cameras=_cameras(robot, hands))
    return _standing(robot, settings, first, hands, model)


def _standing(robot: Robot, settings: SafetyConfig, first: Simulation, hands: Hands, model: str) -> Proposed:
    """Return the simulation of a robot that stands where it reaches the table, with homes if it needs others."""
    stand = place_robot(compiled(robot_spec(robot, first)), robot, first)
    placed = replace(first, parts=(replace(first.parts[0], at=stand.at),))
    homes, notes = dict[str, float](), list(hands.notes)
    if stand.away_m > _AWAY_M or check_simulated(robot, placed, settings, whole=False):
        changed = {name: home for name, home in stand.homes.items() if home != round(robot.joint(name).home, 3)}
        homes, said = watched_homes(robot, settings, changed)
        found = check_simulated(with_homes(robot, homes), placed, settings, whole=False)
        notes += [*said, *(one_line(f"{each.about}: {each.found}") for each in found)]
    pace = usable_pace(with_homes(robot, homes), placed, settings)
    parts = (replace(placed.parts[0], model=model),)
    return Proposed(replace(placed, parts=parts, pace=pace), homes, tuple(notes))


def watched_homes(robot: Robot, settings: SafetyConfig, homes: dict[str, float]) -> tuple[dict[str, float], list[str]]:
    """Return homes over the table and what is to be said of them; none where the real arms would be watched less.

    Args:
        robot: with the homes of its file.
        settings: that its arms keep.
        homes: by joint [rad], [m].
    """
    less = set(unwatched(with_homes(robot, homes), settings)) - set(unwatched(robot, settings))
    if not less:
        return homes, []
    at = ", ".join(f"{name} {home:g}" for name, home in homes.items())
    said = (
        f"homes stay as they are: over the table, at {at}, these links are so near each other that arm_distance would "
        f"not look at them, on the real robot either: {', '.join(sorted(less))}"
    )
    return {}, [one_line(said)]


def _called(robot: Robot, movers: Movers) -> dict[str, ModelJoint]:
    """Return the joints that the description calls otherwise, or has in other units."""
    found = dict[str, ModelJoint]()
    for joint in robot.joints:
        told = joint.driver_range if joint.gripper else (joint.min, joint.max)
        if told != (joint.min, joint.max):
            found[joint.name] = ModelJoint(movers.called[joint.name], *told)
        elif movers.called[joint.name] != joint.name:
            found[joint.name] = ModelJoint(movers.called[joint.name])
    return found


def _cameras(robot: Robot, hands: Hands) -> dict[str, SimCamera]:
    """Return where cameras may be: those of an arm behind its fingers, others over the table side by side."""
    found, free = dict[str, SimCamera](), 0
    for camera in robot.cameras:
        hand = next((each for each in hands.hands.values() if camera.arm == each.arm), None)
        if hand is not None:
            found[camera.name] = _at_wrist(hand)
            continue
        at, look, angle = _OVER
        side = _APART_M * ((free + 1) // 2) * (-1.0) ** free
        found[camera.name], free = SimCamera((at[0] + side, *at[1:]), look, angle), free + 1
    return found


def _at_wrist(hand: SimHand) -> SimCamera:
    """Return a camera beside a hand that looks between its fingers."""
    quaternion, rotation = np.zeros(4), np.zeros(9)
    mujoco.mju_euler2Quat(quaternion, np.array(hand.tcp[3:]), "XYZ")
    mujoco.mju_quat2Mat(rotation, quaternion)
    axes, tip = rotation.reshape(3, 3), np.array(hand.tcp[:3])
    at, look = tip - _CAMERA_M * axes[:, 0] + _CAMERA_M * axes[:, 2], tip + 0.02 * axes[:, 0]
    return SimCamera(_three(at), _three(look), 65.0, hand.body)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 4) + 0.0 for value in values)
    return x, y, z


def simulation_yaml(proposed: Proposed) -> str:
    """Return the text of a simulation file."""
    simulation = proposed.simulation
    part = simulation.parts[0]
    lines = [
        "# Made by smp robot simulation; keys and conventions: docs/simulation.md.",
        "# tcp, closed and travel are what the collision shapes of the fingers say; see smp up --sim, smp view --live",
        *(f"# {one_line(note)}" for note in proposed.notes),
        f"text: {_plain(simulation.text)}",
        f"pace: {simulation.pace:g}",
        "parts:",
        f"  - {_plain({'model': part.model, 'at': list(part.at)})}",
        "hands:",
    ]
    for side, hand in simulation.hands.items():
        lines += [f"  {side}:", *(f"    {key}: {_plain(value)}" for key, value in _hand(hand).items())]
    if simulation.joints:
        lines.append("joints:")
        for name, said in simulation.joints.items():
            told = {key: getattr(said, key) for key in ("name", "at_min", "at_max") if getattr(said, key) is not None}
            lines.append(f"  {name}: {_plain(told)}")
    lines.append("cameras:")
    for name, camera in simulation.cameras.items():
        told = {"carried_by": camera.carried_by} if camera.carried_by else {}
        told |= {"at": list(camera.at), "look": list(camera.look), "fovy": camera.fovy}
        lines.append(f"  {name}: {_plain(told)}")
    return "\n".join(lines) + "\n"


def _hand(hand: SimHand) -> dict[str, object]:
    told: dict[str, object] = {"arm": hand.arm}
    if hand.gripper:
        told |= {"gripper": hand.gripper, "closed": hand.closed, "travel": hand.travel}
    told |= {"body": hand.body, "tcp": list(hand.tcp), "fingers": list(hand.fingers)}
    return told | ({"keep": list(hand.keep)} if hand.keep else {})


def _plain(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else dump_yaml([value], _WIDE).strip()[1:-1]
