"""Writes the files of a new robot: reads the URDF, looks at the graph, asks, and loads what comes of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import typer

from smp_bringup.cli.show import console
from smp_bringup.commission.draft import Draft, robot_yaml, safety_yaml
from smp_bringup.commission.propose import Ask, Offer, Told, chosen_limbs, offers_of, propose_arms, rate_and_drivers
from smp_bringup.commission.propose_cameras import action_period_s, propose_cameras, split_pair
from smp_bringup.commission.seen import GraphSeen
from smp_bringup.config import build
from smp_bringup.description.copies import Place, composed, place_of
from smp_bringup.description.limbs import Limbs, find_limbs
from smp_bringup.description.urdf import parse_urdf
from smp_bringup.documents import MOST_XML_BYTES, parse_yaml, read_bytes
from smp_bringup.errors import ConfigError, SmpError, one_line
from smp_bringup.output import try_folder, write_text
from smp_bringup.paths import PACKAGE_URI, located
from smp_bringup.robot import build_robot, load_robot
from smp_bringup.safety.config import SafetyConfig

URDF, COPIES = "robot.urdf", "copies.urdf"
"""Descriptions that are written: what the graph said, and what was made of the URDF of one of several robots."""


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """Return what an option that is repeated says, NAME=VALUE each; raises ConfigError where a name comes twice."""
    found = dict(split_pair(option, word) for word in words)
    if len(found) < len(words):
        raise ConfigError(f"--{option} names one twice: {', '.join(words)}")
    return found


def write_robot(
    out: Path,
    urdf: str,
    told: Told,
    cameras: Mapping[str, str],
    from_graph: bool,
    yes: bool,
    force: bool,
    seconds: float,
    namespace: str,
) -> Path:
    """Write the files of a robot, and return the robot file.

    Args:
        out: folder.
        urdf: file, or package://PACKAGE/PATH; empty: /robot_description of the graph.
        told: what the user says of the arms.
        cameras: topics by name.
        from_graph: whether the running graph is looked at.
        yes: take the default of every question.
        force: overwrite files of shapes.
        seconds: for how long the graph is listened to [s].
        namespace: of the graph.

    Raises:
        ConfigError: it is no URDF, or what was said does not fit it.
        OutputError: the files cannot be written.
    """
    try_folder(out)
    text, seen, offers = _graph(not urdf, seconds, namespace) if from_graph else ("", None, [])
    path = located(urdf) if urdf else out / URDF
    source = one_line(path.name) if urdf else "/robot_description"
    one = read_bytes(path, MOST_XML_BYTES) if urdf else text
    model = parse_urdf(one, source)

    def ask(question: str, default: str) -> str:
        return default if yes else str(typer.prompt(one_line(question), default=default))

    name = told.name or ask("Name of the robot", one_line(model.name) or "my_robot")
    limbs = find_limbs(model)
    arms = propose_arms(chosen_limbs(model, limbs, told, ask), told, seen, offers, ask)
    shown, left_out = propose_cameras(cameras, [arm.name for arm in arms], seen, ask)
    rate, drivers = rate_and_drivers(arms, seen, offers)
    described = urdf if urdf.startswith(PACKAGE_URI) else os.path.relpath(path, out)
    written = {} if urdf else {URDF: text}
    if told.copies:
        places = _places(told, ask)
        described, written = (COPIES, {COPIES: composed(one, path, name, places)}) if places else ("", {})
    notes = (*_left_out(limbs, {joint.name for arm in arms for joint in arm.joints}), *left_out)
    period_s = action_period_s(shown)
    draft = Draft(name, tuple(arms), shown, drivers, "safety.yaml", described, rate, period_s, source, notes)
    draft = _in_namespace(draft, namespace)
    draft = _write(out, draft, written)
    if draft.description:
        _add_shapes(out, draft, force)
    return out / "robot.yaml"


def _add_shapes(out: Path, draft: Draft, force: bool) -> None:
    """Write the shapes of the arms' links out of the description; without them the files stay as they are."""
    from smp_bringup.cli.robot_shapes import require_new_shapes, unseen, write_shapes
    from smp_bringup.description.arm_geometry import arm_geometries

    require_new_shapes(out, [arm.name for arm in draft.arms], force)
    console.print("taking the shapes of the links from the description: up to a minute")
    try:
        found = arm_geometries(load_robot(str(out / "robot.yaml")))
    except SmpError as why:
        console.print(one_line(f"arm_distance is left out: {why}"), soft_wrap=True)
        return
    arms = []
    for arm, placed in zip(draft.arms, found.placed, strict=True):
        name = write_shapes(out, arm.name, placed, draft.source)
        arms.append(replace(arm, geometry=name, base=placed.base, carried_by=placed.carried_by))
    notes = unseen(found)
    for note in notes:
        console.print(one_line(note), soft_wrap=True)
    _write(out, replace(draft, arms=tuple(arms), notes=(*draft.notes, *notes)), {})


def _places(told: Told, ask: Ask) -> dict[str, Place]:
    """Return where each copy stands; nothing where nobody knows.

    Raises:
        ConfigError: it is told of some copies only, or of what is none.
    """
    if wrong := sorted(set(told.places) - set(told.copies)):
        raise ConfigError(f"--at {one_line(wrong[0])}: no such copy; --copies names {', '.join(told.copies)}")
    if told.places:
        if missing := [copy for copy in told.copies if copy not in told.places]:
            raise ConfigError(f"--at says nothing of {', '.join(missing)}: add --at {missing[0]}=X,Y,Z,ROLL,PITCH,YAW")
        return {copy: told.places[copy] for copy in told.copies}
    places = {}
    for copy in told.copies:
        said = ask(f"Where does {copy} stand, as X,Y,Z,ROLL,PITCH,YAW in m and rad, or none", "none")
        if said == "none":
            return {}  # without all of them no distance is known
        places[copy] = place_of(copy, said)
    return places


def _graph(description: bool, seconds: float, namespace: str) -> tuple[str, GraphSeen, list[Offer]]:
    """Return the description of the running graph if it is asked for, what was seen, and where setpoints can go."""
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.client.robot_watch import controlled_joints, look_around, robot_description

    with graph_client("smp_robot", namespace) as client:
        text = robot_description(client) if description else ""
        seen = look_around(client, seconds)
        nodes = {end.node for topic in seen.topics.values() for end in topic.subscribers}
        return text, seen, offers_of(seen, controlled_joints(client, sorted(nodes)))


def _left_out(limbs: Limbs, taken: set[str]) -> list[str]:
    """Return a line for each group of joints that move and are not in the robot file."""
    lines = []
    for limb in limbs.limbs:
        names = [joint.name for joint in limb.joints if joint.name not in taken]
        if names:
            lines.append(f"left out: {', '.join(names)}; --also {limb.name} takes what belongs to it")
    reasons = dict.fromkeys(reason for _, reason in limbs.dropped)
    for reason in reasons:
        lines.append(f"left out: {', '.join(name for name, why in limbs.dropped if why == reason)}: {reason}")
    return lines


def _in_namespace(draft: Draft, namespace: str) -> Draft:
    """Return a draft whose names are relative to where the nodes are: the file then serves in other namespaces too."""
    front = f"/{namespace.strip('/')}/".replace("//", "/")

    def inside(name: str) -> str:
        return name.removeprefix(front)

    arms = tuple(
        replace(
            arm,
            state_topic=inside(arm.state_topic),
            command_topic=inside(arm.command_topic),
            leader_topic=inside(arm.leader_topic),
        )
        for arm in draft.arms
    )
    cameras = tuple(replace(camera, topic=inside(camera.topic)) for camera in draft.cameras)
    return replace(draft, arms=arms, cameras=cameras, drivers=tuple(inside(name) for name in draft.drivers))


def _write(out: Path, draft: Draft, descriptions: Mapping[str, str]) -> Draft:
    """Write the files, but only what loads; return what was written: a description that cannot be shown is left out."""
    robot, safety = robot_yaml(draft), safety_yaml(draft)
    build_robot(parse_yaml(robot, "robot.yaml"), "robot.yaml")
    build(SafetyConfig, parse_yaml(safety, "safety.yaml"), "safety.yaml")
    for file, text in descriptions.items():
        write_text(out / file, text)
    if draft.description and (why := _cannot_be_shown(out, draft.description)):
        note = f"description: {draft.description} is left out, and arm_distance with it: {why}"
        console.print(one_line(note), soft_wrap=True)
        draft = replace(draft, description="", notes=(*draft.notes, note))
        robot = robot_yaml(draft)
    write_text(out / "safety.yaml", safety)
    write_text(out / "robot.yaml", robot)
    return draft


def _cannot_be_shown(out: Path, description: str) -> str:
    """Return why MuJoCo refuses a description; nothing if it takes it."""
    from smp_bringup.description.model import Description

    try:
        Description(description if description.startswith(PACKAGE_URI) else str(out / description))
    except SmpError as error:
        return str(error)
    return ""
