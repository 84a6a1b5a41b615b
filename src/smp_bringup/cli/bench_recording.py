"""`smp bench recording`: the command loop without and with a recorder."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, write_json
from smp_bringup.output import try_file, try_folder


def recording(
    seconds: Annotated[float, typer.Option(min=2, help="Length of each of the two runs.")] = 20.0,
    task: Annotated[str, typer.Option(help="Task that the scripted operator shows.")] = "transfer_cube",
    out: Annotated[Path | None, typer.Option(help="Folder of the bag, which is kept [a temporary one].")] = None,
    settings: Annotated[str, typer.Option(help="Recorder's settings in config/recording, or a path.")] = "default",
    robot: Annotated[str, typer.Option(help="Robot in config/robots.")] = "aloha",
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
) -> None:
    """Run the simulated graph under teleoperation twice and compare the commands that reach the arms."""
    from rich.table import Table

    from smp_bringup.client.record_cost import recording_cost

    try_file(json)
    try_folder(out)
    result = recording_cost(robot, task, seconds, out, settings)
    table = Table("recording", "rate [Hz]", "gap p99 [ms]", "gap max [ms]", "to disk [MB/s]")
    for word, row in result.items():
        table.add_row(word, *(f"{row[k]:.2f}" for k in ("rate_hz", "gap_p99_ms", "gap_max_ms", "written_mb_s")))
    console.print(table)
    write_json(json, result)
