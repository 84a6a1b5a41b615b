"""`smp bag`: check, repair and exchange bags."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import console, progress, show_quality, write_json
from smp_bringup.errors import EXIT_CODE, ConfigError, SmpError, UnknownNameError, one_line
from smp_bringup.output import try_file, try_new_folder

if TYPE_CHECKING:
    from smp_bringup.record.config import QualityConfig
    from smp_bringup.record.quality import Quality

app = typer.Typer(no_args_is_help=True, help="Check, repair, import and export bags.")


@app.command()
def check(
    bags: Annotated[list[Path], typer.Argument(help="Bags, or folders of bags.")],
    settings: Annotated[str, typer.Option(help="Thresholds in config/recording, or a path.")] = "default",
    robot: Annotated[str | None, typer.Option(help="Robot, where the bags carry none.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the verdicts here.")] = None,
    quiet: Annotated[bool, typer.Option(help="Name only the bags with findings.")] = False,
) -> None:
    """Test every checksum and judge every episode; exit code 1 if one is rejected, 2 if one cannot be read."""
    from smp_bringup.record.config import load_recording
    from smp_bringup.record.quality import Level

    try_file(json)
    bounds = load_recording(settings).quality
    verdicts: dict[str, dict[str, str]] = {}
    broken, worst = 0, Level.KEEP
    for text in _left_out(bags):
        console.print(f"left out: {text}", style="yellow", soft_wrap=True)
    for path in _found(bags):
        try:
            quality, warnings = _judge(path, bounds, robot)
        except SmpError as error:
            broken += 1
            verdicts[str(path)] = {"error": str(error)}
            console.print(f"error: {one_line(error)}", style="red", soft_wrap=True)
            continue
        worst = max(worst, quality.level)
        verdicts[str(path)] = quality.notes()
        if quality.findings or not quiet:
            show_quality(one_line(path), quality.notes())
        for text in warnings:
            console.print(f"        {text}", style="yellow", soft_wrap=True)
    words = [v.get("quality", "unreadable") for v in verdicts.values()]
    console.print(", ".join(f"{words.count(w)} {w}" for w in ("keep", "warn", "reject", "unreadable") if w in words))
    write_json(json, verdicts)
    if broken or worst is Level.REJECT:
        raise typer.Exit(EXIT_CODE if broken else 1)


@app.command()
def repair(
    bag: Annotated[Path, typer.Argument(help="Broken bag: a folder (also NAME.partial) or a file.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the repaired bag [beside the broken one].")] = None,
    replace: Annotated[
        bool, typer.Option(help="Give it the name of the broken one, which becomes NAME.broken.")
    ] = False,
) -> None:
    """Recover what is whole into a new bag, and say exactly what was lost; no file of the broken one is changed."""
    from rich.table import Table

    from smp_bringup.bag.repair import repair as run

    try_new_folder(out)
    report = run(bag, out, replace)
    table = Table("topic", "recovered", "known lost", "last message [s]", title=str(report.folder))
    end = max(topic.last_ns for topic in report.topics)
    for topic in report.topics:
        last = f"{(topic.last_ns - end) / 1e9:+.3f}" if topic.recovered else ""
        table.add_row(topic.topic, str(topic.recovered), str(topic.missing), last)
    console.print(table)
    for text in report.damage:
        console.print(f"damage: {text}", soft_wrap=True)
    console.print(f"{report.recovered} messages recovered, {report.missing} known lost")
    if not report.closed:
        console.print("the recorder did not close this bag: what arrived after its last flush is gone uncounted")


@app.command("to-lerobot")
def to_lerobot(
    bags: Annotated[list[Path], typer.Argument(help="Bags, or folders of bags.")],
    out: Annotated[Path, typer.Option(help="New folder of the dataset.")],
    video: Annotated[str, typer.Option(help="lossless, or compact: a tenth of the size.")] = "lossless",
    failures: Annotated[bool, typer.Option(help="Export failed episodes too.")] = False,
) -> None:
    """Write bags as a LeRobotDataset v3.0."""
    from smp_bringup.exchange.to_lerobot import export
    from smp_bringup.exchange.video import CODECS

    if video not in CODECS:
        raise UnknownNameError("video", video, CODECS)
    try_new_folder(out)
    with progress() as bar:
        line = bar.add_task("exporting", total=None, note="")
        done = export(
            _found(bags), out, video, failures, lambda count, total: bar.update(line, completed=count, total=total)
        )
    console.print(f"{done.episodes} episodes, {done.frames} frames in {out}")
    for sentence in done.said:
        console.print(f"warning: {sentence}", style="yellow", soft_wrap=True)


@app.command("from-lerobot")
def from_lerobot(
    dataset: Annotated[Path, typer.Argument(help="Folder of a LeRobotDataset v3.0 or v2.1.")],
    out: Annotated[Path, typer.Option(help="Folder of the bags.")],
    robot: Annotated[str | None, typer.Option(help="Robot, where the dataset is not of our making.")] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping in config/imports, or a path, where its names or units are not ours.")
    ] = None,
) -> None:
    """Write every episode of a LeRobotDataset v3.0 or v2.1 as a bag."""
    from smp_bringup.exchange.from_lerobot import import_dataset
    from smp_bringup.mapping.document import load_mapping
    from smp_bringup.robot import load_robot

    if robot and mapping:
        raise ConfigError(f"--robot {robot} and --mapping {mapping}: a mapping names its robot, give one of the two")
    try_new_folder(out)
    theirs = load_mapping(mapping) if mapping else None
    named = theirs.robot if theirs else robot
    with progress() as bar:
        line = bar.add_task("importing", total=None, note="")
        imported = import_dataset(
            dataset,
            out,
            load_robot(named) if named else None,
            lambda done, total: bar.update(line, completed=done, total=total),
            theirs,
        )
    for sentence in (*imported.said, *imported.outside):
        console.print(f"warning: {sentence}", soft_wrap=True)
    console.print(f"{len(imported.folders)} bags under {out}")


@app.command("import")
def import_(
    bag: Annotated[Path, typer.Argument(help="Bag of another recorder.")],
    mapping: Annotated[str, typer.Option(help="Mapping in config/imports, or a path to a YAML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bag.")],
) -> None:
    """Rewrite a foreign bag with the topics and joints of a robot file."""
    from smp_bringup.exchange.foreign import Importer
    from smp_bringup.mapping.document import load_mapping

    try_new_folder(out)
    importer = Importer(bag, load_mapping(mapping))
    folder, reasons = importer.write(out), importer.reasons()
    for reason in reasons:
        console.print(reason, style="yellow", soft_wrap=True)
    for sentence in (*importer.said(), *importer.outside):
        console.print(f"warning: {sentence}", soft_wrap=True)
    refused = sum(causes.total() for causes in importer.refused.values())
    console.print(f"wrote {folder}; {refused} messages refused")


def _found(bags: list[Path]) -> list[Path]:
    from smp_bringup.bag.tree import bag_folders

    return [folder for bag in bags for folder in ([bag] if bag.is_file() else bag_folders(bag))]


def _left_out(bags: list[Path]) -> list[str]:
    from smp_bringup.bag.tree import left_out

    return [text for bag in bags if bag.is_dir() for text in left_out(bag)]


def _judge(path: Path, bounds: "QualityConfig", robot: str | None) -> tuple["Quality", tuple[str, ...]]:
    from smp_bringup.bag.reader import open_bag
    from smp_bringup.record.check import judge_bag
    from smp_bringup.robot import load_robot

    opened = open_bag(path)
    opened.verify()
    return judge_bag(opened, load_robot(robot) if robot else opened.robot(), bounds), opened.source.warnings
