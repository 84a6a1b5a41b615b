"""`smp eval`: closed-loop success in lockstep, without ROS."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smp_bringup.action.seam import DEFAULT_SEAM, SEAMS
from smp_bringup.cli.show import Track, console, progress, task_names, write_json
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.output import try_file, try_folder
from smp_bringup.paths import FLAGSHIP

if TYPE_CHECKING:
    from smp_bringup.bench.episodes import Episode
    from smp_bringup.bench.evaluate import EpisodeJob
    from smp_bringup.robot import Robot


def evaluate(
    policy: Annotated[str, typer.Option(help="Shipped model, a checkpoint folder, or lerobot:PATH.")] = FLAGSHIP,
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks, v2, or all that it was trained to do.")] = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met in training.")] = 0,
    variation: Annotated[str, typer.Option(help="ordinary, wide (benchmark v1) or held_out.")] = "ordinary",
    track: Annotated[Track | None, typer.Option(help="What the policy must see; its own track if left out.")] = None,
    action_offset: Annotated[float, typer.Option(help="The arms stand so far beside every setpoint [rad].")] = 0.0,
    sensor_noise: Annotated[float, typer.Option(min=0, help="On joints [rad] and object poses [m].")] = 0.0,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the trained policy's settings; may be repeated.")
    ] = None,
    seam: Annotated[str, typer.Option(help="How chunks are joined: latest, blend, inpaint or prefix.")] = DEFAULT_SEAM,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    swap_images: Annotated[bool, typer.Option(help="Control: show the policy another episode's layout.")] = False,
    knockout: Annotated[str, typer.Option(help="Control: spoil the gate: all, heaviest or permuted experts.")] = "",
    say: Annotated[str, typer.Option(help="What a policy with words is told [the text of each task].")] = "",
    into_card: Annotated[bool, typer.Option(help="Write the result into the checkpoint's card.")] = False,
    out: Annotated[Path, typer.Option(help="Of the report and the finished episodes.")] = (Path("out/eval")),
    resume: Annotated[bool, typer.Option(help="Go on with an evaluation of the same arguments.")] = False,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Run a policy in the simulator and report its success with 95 % intervals."""
    from smp_bringup.bench.episodes import EpisodeFile
    from smp_bringup.bench.evaluate import EpisodeJob, arguments, run, summary
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot

    try_file(json)
    folder, body = find_model(policy), load_robot(robot)
    names, changes = task_names(tasks, folder), tuple(change or ())
    sees = _track(policy, folder, body, variation, track, swap_images, changes, seam, knockout)
    first = EpisodeJob(names[0], body, folder, seed, 0, swap_images, variation, action_offset, sensor_noise, changes)
    _try_words(policy, folder, body, names, say)
    first = replace(first, seam=seam, say=say, knockout=knockout)
    try_folder(out)
    try_file(out / "report.html")
    if into_card:
        try_folder(folder)
    file = EpisodeFile(out, folder.resolve().name, arguments(first), resume)
    films = out / "films" / file.path.stem
    jobs = [replace(first, films=films, task=name, episode=i) for name in names for i in range(episodes)]
    missing = [job for job in jobs if (job.task, job.episode) not in file.done]
    with progress() as bar:
        line = bar.add_task("evaluating", total=len(jobs), completed=len(jobs) - len(missing), note="")
        for _, episode in run(missing, workers):
            file.append(episode)
            bar.update(line, advance=1, note=f"{episode.task} {'succeeded' if episode.success else 'failed'}")
    finished = [file.done[job.task, job.episode] for job in jobs]
    report = {"policy": policy, "track": sees, **_conditions(first, sees), **summary(finished)}
    _print(report)
    write_json(json, report)
    _page(out / "report.html", report, finished, films, episodes)
    if into_card:
        from smp_bringup.training.save import add_evaluation

        add_evaluation(folder, report)
    if file.lost is not None:
        raise file.lost


def _conditions(job: "EpisodeJob", sees: str) -> dict[str, Any]:
    """Return what an evaluation on the track `sees` was made under, as its report says it."""
    from smp_bringup.sim.state_track import STATE_SEAM

    names = ("seed", "variation", "swap_images", "action_offset", "sensor_noise")
    told = {name: value for name in ("say", "knockout") if (value := getattr(job, name))}
    seam = STATE_SEAM if sees == "state" else job.seam
    return {**{name: getattr(job, name) for name in names}, "seam": seam, "set": list(job.changes), **told}


def _track(
    policy: str,
    folder: Path,
    robot: "Robot",
    variation: str,
    track: Track | None,
    swap_images: bool,
    changes: tuple[str, ...],
    seam: str,
    knockout: str,
) -> str:
    """Return the track of a policy; what does not fit is said before any process starts."""
    from smp_bringup.bench.knockout import knocked_out
    from smp_bringup.pipeline import build_planner, build_policy
    from smp_bringup.sim.state_track import STATE_SEAM
    from smp_bringup.tasks.variation import load_variation

    load_variation(variation)
    if seam not in SEAMS:
        raise UnknownNameError("seam", seam, SEAMS)
    built = build_policy(folder, robot, changes=changes)
    sees = built.config.track
    if sees == "state" and seam not in (DEFAULT_SEAM, STATE_SEAM):
        raise ConfigError(
            f"--seam {seam}: policy '{policy}' is of the state track, where the newest chunk is followed from its "
            f"arrival (seam {STATE_SEAM}): leave out --seam, or take a policy that sees cameras"
        )
    build_planner(built, robot, seam)  # raises where they do not fit
    if knockout:
        knocked_out(built, knockout)
    if track is not None and track.value != sees:
        raise ConfigError(f"policy '{policy}' is of the {sees} track, --track {track.value} was asked for")
    if sees == "state" and swap_images:
        raise ConfigError(f"policy '{policy}' is of the state track and sees no images to swap")
    return sees


def _page(path: Path, report: dict[str, Any], finished: "Sequence[Episode]", films: Path, episodes: int) -> None:
    """Write what is to be looked at."""
    from smp_bringup.bench.report import eval_page
    from smp_bringup.page.facts import facts
    from smp_bringup.page.parts import Command, write_page

    name, track = report["policy"], f"{report['track']}, layouts {report['variation']}, seed {report['seed']}"
    told = facts(name, date.today().isoformat(), sys.argv[1:], track=track, finished_episodes=str(films.parents[1]))
    failed = [task for task, row in report["tasks"].items() if row["successes"] < row["episodes"]]
    named = shlex.quote(name)
    steps = (
        [Command(f"smp demo --model {named} --task {failed[0]}", "See a task that failed, in real time:")]
        if failed
        else []
    )
    if episodes < 20:
        steps.append(Command(f"smp eval --policy {named} --episodes 50", "Narrower intervals, from more episodes:"))
    steps.append(
        Command(
            f"smp replay data/demos --model {named} --criteria default --report out/replay",
            "Success in this simulator says nothing of your robot. There, before any arm moves, replay bags of yours:",
        )
    )
    write_page(path, eval_page(f"smp eval: {name}", told, report, finished, films, steps))
    console.print(f"report: {path}", soft_wrap=True)


def _try_words(policy: str, folder: Path, robot: "Robot", tasks: Sequence[str], say: str) -> None:
    """Raise ConfigError where the policy does not know what it is to be told, before any process starts."""
    from smp_bringup.pipeline import build_policy
    from smp_bringup.tasks.variation import load_task

    built = build_policy(folder, robot)
    if say and not built.config.words:
        raise ConfigError(f"policy '{policy}' is not told in words what to do: leave out --say")
    for sentence in [say] if say else [load_task(name).text for name in tasks]:
        built.words_of(sentence)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    from smp_bringup.page.facts import FEWEST_FOR_INTERVAL

    table = Table(
        "task",
        "success",
        "95 % interval",
        "time [s]",
        "collisions",
        "jerk",
        title=f"{report['policy']}, {report['track']} track, {report['variation']}, seed {report['seed']}",
        caption="time: median of the successes; collisions: arms / table; jerk: RMS [rad/s^3]",
    )
    for name, row in {**report["tasks"], "all": report["all"]}.items():
        low, high = row["interval"]
        share, hits = f"{row['successes']}/{row['episodes']}", row["collisions"]
        table.add_row(
            name,
            share,
            f"{low:.2f} - {high:.2f}" if row["episodes"] >= FEWEST_FOR_INTERVAL else "-",
            str(row["median_time_s"] or "-"),
            f"{hits['arms']} / {hits['table']}",
            f"{row['jerk']:.0f}",
        )
    console.print(table)
    gate, latency = report["gate"], report["latency_ms"]
    console.print(
        f"active experts {report['active_experts']['mean']}; flip rate {gate['flip_rate']}, total variation "
        f"{gate['total_variation']}, usage entropy {gate['usage_entropy']} of {gate['largest_entropy']}"
    )
    stages = ", ".join(f"{k} {v['p50']} / {v['p99']}" for k, v in report["stage_ms"].items())
    console.print(f"inference p50 / p99 [ms]: {latency['p50']} / {latency['p99']} ({stages})")
