"""`smp record`: demonstrations to bags, through the running graph or in lockstep."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import Track, console, progress, task_names
from smp_bringup.errors import ConfigError


def record(
    task: Annotated[str, typer.Option(help="Task, a comma-separated list, or all.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met by smp eval.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the bags.")] = Path("data/demos"),
    noise: Annotated[float, typer.Option(min=0, max=0.1, help="Tremor on every second episode [rad].")] = 0.0,
    track: Annotated[Track, typer.Option(help="camera: everything; state: object poses, no images (lockstep).")] = (
        Track.CAMERA
    ),
    lockstep: Annotated[bool, typer.Option(help="As fast as the simulator runs, without ROS.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes (lockstep only).")] = 2,
    robot: Annotated[str, typer.Option(help="Robot in config/robots.")] = "aloha",
) -> None:
    """Record demonstrations of the scripted operator to rosbag2 folders; existing episodes are kept."""
    tasks = task_names(task)
    if track is Track.STATE and not lockstep:
        raise ConfigError("--track state records in lockstep only: the live graph has cameras; add --lockstep")
    if lockstep:
        _lockstep(tasks, episodes, seed, out, noise, track.value, workers, robot)
    else:
        _live(tasks, episodes, seed, out, noise, robot)


def _lockstep(
    tasks: list[str], episodes: int, seed: int, out: Path, noise: float, track: str, workers: int, robot: str
) -> None:
    from smp_bringup.sim.collect import collect, jobs

    wanted = [job for name in tasks for job in jobs(name, robot, episodes, seed, out, noise, track)]
    failed = 0
    with progress() as bar:
        line = bar.add_task("recording", total=sum(not job.folder.exists() for job in wanted), note="")
        for job, success in collect(wanted, workers):
            failed += not success
            bar.update(line, advance=1, note=f"{job.task}, {failed} failed")
    console.print(f"{len(wanted)} bags under {out}; {failed} of the new ones are labelled failures")


def _live(tasks: list[str], episodes: int, seed: int, out: Path, noise: float, robot: str) -> None:
    from smp_bringup.graph import build_graph
    from smp_bringup.launcher import Graph

    graph = build_graph(robot=robot, model=None, sim=True, task=tasks[0], teleop=True, record=str(out), noise=noise)
    out.mkdir(parents=True, exist_ok=True)
    with Graph(graph, out / "graph.log") as running:
        from smp_bringup.nodes.live_record import record_live

        with progress() as bar:
            line = bar.add_task("recording", total=len(tasks) * episodes, note="")
            for name, folder, success in record_live(running, tasks, episodes, seed):
                bar.update(line, advance=1, note=f"{name}: {'success' if success else 'failure'}, {folder}")
