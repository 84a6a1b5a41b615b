"""`smp record`: demonstrations to bags, through the running graph or in lockstep."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, Track, console, progress, show_quality, task_names
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.output import try_folder

_TOLD = 5
"""Failures whose reason is told."""

if TYPE_CHECKING:
    from smp_bringup.sim.collect import DemonstrationJob


def record(
    task: Annotated[str, typer.Option(help="Tasks, comma-separated; all: the eight; v2: more.")] = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met by smp eval.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the bags.")] = Path("data/demos"),
    noise: Annotated[float, typer.Option(min=0, max=0.1, help="Tremor on every second episode [rad].")] = 0.0,
    track: Annotated[Track, typer.Option(help="camera: everything; state: object poses, no images (lockstep).")] = (
        Track.CAMERA
    ),
    variation: Annotated[str, typer.Option(help="ordinary, wide, v2 or held_out (lockstep).")] = "ordinary",
    lockstep: Annotated[bool, typer.Option(help="As fast as the simulator runs, without ROS.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes (lockstep only).")] = 2,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    namespace: NamespaceOption = "/",
    keys: Annotated[bool, typer.Option(help="Drive the recorder of a running graph from here.")] = False,
) -> None:
    """Record demonstrations of the scripted operator to rosbag2 folders; existing episodes are kept.

    Live, every episode gets a verdict; exit code 1 if one is rejected.
    """
    if keys:
        _keys(namespace)
        return
    from smp_bringup.robot import load_robot

    body = load_robot(robot)
    if not body.simulation:
        raise ConfigError(
            f"robot '{body.name}' has no simulation for the scripted operator: on the robot run "
            f"smp up --robot {robot} --teleop --record {out} --task TASK, then smp record --keys"
        )
    tasks = list(dict.fromkeys(task_names(task)))
    if lockstep:
        from smp_bringup.sim.collect import DemonstrationJob

        like = DemonstrationJob(body, noise, track=track.value, variation=variation)
        _lockstep(tasks, episodes, seed, out, like, workers)
    elif track is Track.STATE or variation != "ordinary":
        raise ConfigError(f"--track {track.value} --variation {variation} is recorded in lockstep only: add --lockstep")
    else:
        _live(tasks, episodes, seed, out, noise, robot, namespace)


def _lockstep(tasks: list[str], episodes: int, seed: int, out: Path, like: "DemonstrationJob", workers: int) -> None:
    from smp_bringup.sim.collect import collect, jobs, recorded
    from smp_bringup.tasks.variation import load_variation

    load_variation(like.variation)  # an unknown one is named here, before any process starts
    try_folder(out)
    wanted = [job for name in tasks for job in jobs(name, episodes, seed, out, like)]
    missing = sum(not recorded(job) for job in wanted)
    failed, skipped, why = 0, 0, list[str]()
    with progress() as bar:
        line = bar.add_task("recording", total=missing, note="")
        for job, success, reason, lacks in collect(wanted, workers):
            failed, skipped = failed + (not success and not reason), skipped + bool(reason)
            bar.update(line, advance=1, note=f"{job.task}, {failed} failed")
            if reason:
                console.print(f"skipped: {job.task}, seed {job.seed}: {reason}", style="yellow", soft_wrap=True)
            if lacks:
                why.append(f"failed: {job.task}, seed {job.seed}: {lacks}")
    for text in why[:_TOLD]:
        console.print(one_line(text), style="yellow", soft_wrap=True)
    console.print(
        f"{len(wanted) - skipped} bags under {out}; {failed} of the new ones are labelled failures, {skipped} skipped",
        soft_wrap=True,
    )
    if failed + skipped > len(wanted) // 2:
        console.print(
            "most did not succeed: smp robot check says what is odd about the robot's simulation, smp bag check "
            f"{out} what was odd about the episodes",
            style="yellow",
            soft_wrap=True,
        )


def _live(tasks: list[str], episodes: int, seed: int, out: Path, noise: float, robot: str, namespace: str) -> None:
    from smp_bringup.graph import NO_MODEL, build_graph
    from smp_bringup.launcher import Graph

    graph = build_graph(
        robot=robot,
        namespace=namespace,
        model=NO_MODEL,
        sim=True,
        task=tasks[0],
        teleop=True,
        record=str(out),
        noise=noise,
    )
    try_folder(out)
    words: Counter[str] = Counter()
    with Graph(graph, out / "graph.log") as running:
        from smp_bringup.client.record import record_live

        with progress() as bar:
            line = bar.add_task("recording", total=len(tasks) * episodes, note="")
            for done in record_live(running, tasks, episodes, seed, namespace):
                words[done.state["quality"]] += 1
                bar.update(line, advance=1, note=f"{done.task}: {'success' if done.success else 'failure'}")
                show_quality(done.said.partition(f": {done.state['quality']}")[0], done.state)
                console.print(f"        queue: {done.state['queue']}")
    console.print(", ".join(f"{count} {word}" for word, count in words.items()))
    if words["reject"]:
        raise typer.Exit(1)


def _keys(namespace: str) -> None:
    from rich.live import Live
    from rich.text import Text

    from smp_bringup.client.record_console import KEYS, run_console

    help_line = "   ".join(f"[{'space' if key == ' ' else key}] {text}" for key, text in KEYS.items())
    judged = ""
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(state: Mapping[str, str], said: str) -> None:
            nonlocal judged
            if said != judged and "quality" in state and said.startswith("saved"):
                judged = said
                show_quality(said.partition(f": {state['quality']}")[0], state)
            word = "RECORDING" if state["recording"] == "True" else "ready"
            head = f"{word}  {state['seconds']} s  {state['messages']} messages  dropped {state['dropped']}"
            text = Text(head, "bold red" if word == "RECORDING" else "bold")
            text.append(f"  {state['mode']}", "default")
            text.append(f"\ntask {state['task']}   queue {state['queue']}\n{said}\n{help_line}", "default")
            live.update(text, refresh=True)

        run_console(show, namespace)
