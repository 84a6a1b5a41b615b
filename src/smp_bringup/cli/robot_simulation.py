"""Writes a simulation of a robot beside its file, and into that file its name, and homes where it needs others."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from smp_bringup.cli.show import console
from smp_bringup.commission.files import safety_settings
from smp_bringup.commission.propose_simulation import propose_simulation, simulation_yaml
from smp_bringup.config import build
from smp_bringup.documents import parse_yaml
from smp_bringup.errors import ConfigError, OutputError, one_line
from smp_bringup.output import write_text
from smp_bringup.paths import PACKAGE_URI
from smp_bringup.robot import Robot, build_robot, load_robot
from smp_bringup.simulation import Simulation

FILE = "simulation.yaml"
_NAMED = re.compile(r"^simulation:.*$", re.MULTILINE)
_NAME = re.compile(r"^name:.*$", re.MULTILINE)


def write_simulation(file: str, force: bool) -> None:
    """Write the simulation of a robot.

    Raises:
        ConfigError: the robot does not load, has no description, or none with two arms that can hold.
        OutputError: a simulation is there, or the file names another, and nobody said to overwrite it.
    """
    path = Path(file)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"'{one_line(file)}' is no path to a YAML file: name that of your robot, e.g. my_robot/robot.yaml"
        )
    out = path.parent / FILE
    if out.exists() and not force:
        raise OutputError(f"{out} exists: somebody may have corrected it; overwrite by --force")
    robot = load_robot(file)
    if robot.simulation and not force and Path(robot.simulation) != out:
        raise OutputError(f"{file} names the simulation '{robot.simulation}' already: name another one by --force")
    described = robot.description
    model = described if described.startswith(PACKAGE_URI) or not described else os.path.relpath(described, path.parent)
    console.print(
        "looking how the fingers close and from where the hands reach the table: up to a minute", soft_wrap=True
    )
    proposed = propose_simulation(robot, safety_settings(robot), model)
    text = simulation_yaml(proposed)
    build(Simulation, parse_yaml(text, FILE), FILE)
    said = named(path.read_text(), proposed.homes)
    require_homes(build_robot(parse_yaml(said, path.name), path.name), robot, proposed.homes)
    write_text(out, text)
    write_text(path, said)
    for note in proposed.notes:
        console.print(one_line(note), soft_wrap=True)
    if proposed.homes:
        changed = ", ".join(f"{name} {value:g}" for name, value in proposed.homes.items())
        console.print(f"homes in {path}, over the table, in the place of the old ones: {changed}", soft_wrap=True)


def require_homes(done: Robot, before: Robot, homes: Mapping[str, float]) -> None:
    """Raise ConfigError where a changed robot file has other homes than were meant, as where a neighbour has them."""
    for joint in before.joints:
        wanted = homes.get(joint.name, joint.home)
        if done.joint(joint.name).home != wanted:
            at = ", ".join(f"{name} {home:g}" for name, home in homes.items())
            raise ConfigError(
                f"the robot file does not say a home of each of its joints where it could be changed (joint "
                f"'{one_line(joint.name)}'): write these homes, and run this again: {at}"
            )


def named(text: str, homes: Mapping[str, float]) -> str:
    """Return the text of a robot file that names the simulation and has other homes; all else stays as it is.

    Raises:
        ConfigError: a joint or its home is not on a line where it is found.
    """
    line = f"simulation: {FILE}"
    text = _NAMED.sub(line, text, 1) if _NAMED.search(text) else _NAME.sub(lambda name: f"{name[0]}\n{line}", text, 1)
    for joint, home in homes.items():
        entry = re.compile(rf"(name:\s*['\"]?{re.escape(joint)}['\"]?\s*[,\n][^}}]*?\bhome:\s*)(-?[0-9.eE+-]+)")
        text, count = entry.subn(lambda found, home=home: f"{found[1]}{home:g}", text, 1)  # type: ignore[misc]
        if not count:
            raise ConfigError(
                f"the robot file has no home of '{one_line(joint)}' that could be changed: write {home:g}"
            )
    return text
