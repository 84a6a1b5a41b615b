"""`smp robot check` and `smp robot new`: a robot's files, and what is wrong with them and with its running graph."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.text import Text

from smp_bringup.cli.show import NamespaceOption, console
from smp_bringup.commission.finding import Finding, Level, fine
from smp_bringup.errors import EXIT_CODE, ConfigError, OutputError, SmpError, one_line

if TYPE_CHECKING:
    from smp_bringup.robot import Robot

app = typer.Typer(no_args_is_help=True, help="Connect a robot: write its files, and see what is wrong with them.")

_WORDS = {Level.WARN: ("warn", "yellow"), Level.ERROR: ("error", "red")}
_ROBOT, _SAFETY = "robot.yaml", "safety.yaml"

Words: TypeAlias = list[str] | None
SecondsOption = Annotated[float, typer.Option(min=1, max=60, help="For how long the graph is listened to [s].")]
SimTimeOption = Annotated[bool, typer.Option("--use-sim-time", help="Stamps are of /clock.")]


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="Robot in config/robots, or a path to a YAML file.")],
    urdf: Annotated[str, typer.Option(help="Its URDF; without it, the description that the file names.")] = "",
    live: Annotated[bool, typer.Option("--live", help="Then look at the running graph, topic by topic.")] = False,
    seconds: SecondsOption = 3.0,
    use_sim_time: SimTimeOption = False,
    namespace: NamespaceOption = "/",
) -> None:
    """Say what is wrong with a robot file, and with --live with the graph; exit code 2 if something must be mended."""
    from smp_bringup.commission.files import check_file

    found, robot = check_file(file, urdf, namespace)
    if live and robot is not None:
        found += _look(robot, seconds, use_sim_time, namespace)
    _show(found, file)
    if not fine(found):
        raise typer.Exit(EXIT_CODE)


def _look(robot: "Robot", seconds: float, use_sim_time: bool, namespace: str) -> list[Finding]:
    """Return what is wrong with the running graph."""
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.client.robot_watch import follow_clock, look_at_robot
    from smp_bringup.commission.files import safety_settings
    from smp_bringup.commission.live import check_live

    safety = safety_settings(robot)
    with graph_client("smp_robot", namespace) as client:
        if use_sim_time:
            follow_clock(client)
        seen = look_at_robot(client, robot, safety.state_timeout_s, seconds)
        return check_live(robot, safety, seen, client.get_namespace())


def _show(found: Sequence[Finding], what: str) -> None:
    for finding in sorted(found, key=lambda finding: -finding.level):
        word, colour = _WORDS[finding.level]
        console.print(Text(f"{word:<6}", colour).append(finding.line, "default"), soft_wrap=True)
    errors = sum(finding.level == Level.ERROR for finding in found)
    word, colour = ("fine", "green") if not errors else ("error", "red")
    text = f"{what}: {errors} to mend, {len(found) - errors} to look at"
    console.print(Text(f"{word:<6}", colour).append(one_line(text), "default"), soft_wrap=True)


@app.command()
def new(
    out: Annotated[Path, typer.Option(help="Folder for robot.yaml and safety.yaml.")],
    urdf: Annotated[str, typer.Option(help="URDF, or package://PKG/PATH; without: /robot_description.")] = "",
    from_graph: Annotated[
        bool, typer.Option("--from-graph", help="Look at the running graph for joint states, cameras and controllers.")
    ] = False,
    name: Annotated[str, typer.Option(help="Of the robot.")] = "",
    arm: Annotated[Words, typer.Option(help="NAME=JOINT,JOINT: an arm, instead of those found; repeat it.")] = None,
    also: Annotated[str, typer.Option(help="torso,head: limbs that are driven too although they are no arms.")] = "",
    copies: Annotated[str, typer.Option(help="left,right: so many robots of this URDF stand there.")] = "",
    at: Annotated[Words, typer.Option(help="COPY=X,Y,Z,ROLL,PITCH,YAW: where it stands [m], [rad]; repeat it.")] = None,
    camera: Annotated[Words, typer.Option(help="NAME=TOPIC: a camera, instead of those seen; repeat it.")] = None,
    state: Annotated[Words, typer.Option(help="NAME=TOPIC: joint states of an arm; repeat it.")] = None,
    command: Annotated[Words, typer.Option(help="NAME=INTERFACE:TOPIC: commands of an arm; repeat it.")] = None,
    leader: Annotated[Words, typer.Option(help="NAME=TOPIC: joint states of a leader arm; repeat it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    seconds: SecondsOption = 3.0,
    namespace: NamespaceOption = "/",
) -> None:
    """Write a robot file and a safety file from a URDF, and from the running graph if it is asked for."""
    from smp_bringup.cli.robot_new import COPIES, URDF, pairs, write_robot
    from smp_bringup.commission.files import check_file
    from smp_bringup.commission.propose import Told
    from smp_bringup.description.copies import place_of

    if not urdf and not from_graph:
        raise ConfigError("nothing to begin with: give --urdf FILE, or --from-graph while the robot's drivers run")
    if at and not copies:
        raise ConfigError("--at places the copies of --copies; the URDF of a whole robot says where its arms stand")
    made = [_ROBOT, _SAFETY, *([COPIES] if copies else [] if urdf else [URDF])]
    _require_new([] if force else [out / each for each in made])
    arms = {each: tuple(joints.split(",")) for each, joints in pairs("arm", arm or ()).items()}
    told = Told(
        name,
        arms,
        _words(also),
        _words(copies),
        {copy: place_of(copy, text) for copy, text in pairs("at", at or ()).items()},
        pairs("state", state or ()),
        pairs("command", command or ()),
        pairs("leader", leader or ()),
    )
    try:
        path = write_robot(out, urdf, told, pairs("camera", camera or ()), from_graph, yes, force, seconds, namespace)
    except typer.Abort:
        raise SmpError("no answer: run it in a terminal, or give --yes to take the defaults") from None
    found, _ = check_file(str(path), urdf)
    _show(found, os.fspath(path))
    if not fine(found):
        raise typer.Exit(EXIT_CODE)


@app.command()
def shapes(
    file: Annotated[str, typer.Argument(help="Path to a robot file, which names a description.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite shapes that are there.")] = False,
) -> None:
    """Write the shapes of the links anew, after the URDF or the robot file was changed; the robot file stays."""
    from smp_bringup.cli.robot_shapes import renew_shapes

    renew_shapes(file, force)


@app.command()
def simulation(
    file: Annotated[str, typer.Argument(help="Path to a robot file, which names a description.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a simulation that is there.")] = False,
) -> None:
    """Write a simulation of the robot for the tasks of the scripted operator, and name it in the robot file."""
    from smp_bringup.cli.robot_simulation import write_simulation
    from smp_bringup.commission.files import check_file

    write_simulation(file, force)
    found, _ = check_file(file)
    _show(found, file)
    if not fine(found):
        raise typer.Exit(EXIT_CODE)


def _require_new(paths: Sequence[Path]) -> None:
    """Raise OutputError where one of these files exists."""
    if there := [path for path in paths if path.exists()]:
        names = ", ".join(map(str, there))
        raise OutputError(f"{one_line(names)} exists: name another folder by --out, or overwrite it by --force")


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))
