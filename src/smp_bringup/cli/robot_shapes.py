"""Writes the shapes of a robot's links: capsules made of its description, a file an arm, for arm_distance."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smp_bringup.arm import Arm
from smp_bringup.cli.show import console
from smp_bringup.config import dump
from smp_bringup.description.arm_geometry import Placed, Shapes, arm_geometries
from smp_bringup.errors import ConfigError, OutputError, one_line
from smp_bringup.output import write_text
from smp_bringup.robot import load_robot

_NAME = "{}_shapes.yaml"


def require_new_shapes(folder: Path, arms: Sequence[str], force: bool) -> None:
    """Raise OutputError where files of shapes exist that nobody said to overwrite."""
    there = [name for arm in arms if (folder / (name := _NAME.format(arm))).exists()]
    if there and not force:
        raise OutputError(
            f"{', '.join(there)} exist in {folder}: somebody may have corrected them; overwrite by --force"
        )


def write_shapes(folder: Path, arm: str, placed: Placed, source: str) -> str:
    """Write the shapes of an arm, and return the name of their file; `source` is what they were made from."""
    text = f"# Frames and capsules of {one_line(arm)}, made by smp robot from {one_line(source)}\n"
    write_text(folder / _NAME.format(arm), text + dump(placed.geometry))
    return _NAME.format(arm)


def unseen(found: Shapes) -> list[str]:
    """Return what arm_distance does not see of a description, a line each."""
    said = (
        ("does not look at what stands still", found.left_out),
        ("takes these for standing at zero, as they are no joints here, wherever they really are", found.frozen),
        ("does not see links that have no collision shape", found.bare),
    )
    return [f"arm_distance {text}: {', '.join(names)}" for text, names in said if names]


def renew_shapes(file: str, force: bool) -> None:
    """Write the shapes of a robot file anew, and say what the file must say of them.

    Raises:
        ConfigError: the robot does not load, has no description, or that has no shapes of its arms.
        OutputError: shapes are there, and nobody said to overwrite them.
    """
    path = Path(file)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"'{one_line(file)}' is no path to a YAML file: name that of your robot, e.g. my_robot/robot.yaml"
        )
    robot, folder = load_robot(file), path.parent
    require_new_shapes(folder, [arm.name for arm in robot.arms], force)
    found = arm_geometries(robot)
    for arm, placed in zip(robot.arms, found.placed, strict=True):
        name = write_shapes(folder, arm.name, placed, robot.description)
        if todo := _differs(
            arm, replace(arm, geometry=str(folder / name), base=placed.base, carried_by=placed.carried_by)
        ):
            console.print(one_line(f"arm {arm.name}: write {todo}"), soft_wrap=True)
    for line in unseen(found):
        console.print(one_line(line), soft_wrap=True)


def _differs(arm: Arm, wanted: Arm) -> str:
    """Return what an arm of the robot file must say that it does not."""
    lines = []
    if not arm.geometry or Path(arm.geometry).resolve() != Path(wanted.geometry).resolve():
        lines.append(f"geometry: {Path(wanted.geometry).name}")
    if any(abs(a - b) > 1e-6 for a, b in zip(arm.base, wanted.base, strict=True)):
        lines.append(f"base: [{', '.join(f'{value:g}' for value in wanted.base)}]")
    if arm.carried_by != wanted.carried_by:
        lines.append(f"carried_by: {wanted.carried_by or repr('')}")
    return ", ".join(lines)
