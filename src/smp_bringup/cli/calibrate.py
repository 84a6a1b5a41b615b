"""`smp calibrate`: what the robot file must say about the sensors, measured."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console
from smp_bringup.output import try_file, try_folder

app = typer.Typer(no_args_is_help=True, help="Measure what the robot file says about the sensors.")


@app.command("latency")
def latency(
    bag: Annotated[Path, typer.Argument(help="Recording of 15 s: one joint of each arm swings in view.")],
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    out: Annotated[Path | None, typer.Option(help="Write the robot file with the latencies here.")] = None,
) -> None:
    """Estimate each camera's delay against the joints, say how sure that is, and write the robot file."""
    from rich.table import Table

    from smp_bringup.bag.reader import open_bag
    from smp_bringup.errors import BagError
    from smp_bringup.paths import named_config
    from smp_bringup.replay.latency import camera_latencies, write_robot
    from smp_bringup.robot import load_robot

    try_file(out)
    loaded = load_robot(robot)
    estimates = camera_latencies(open_bag(bag), loaded)
    table = Table("camera", "latency [ms]", "95 % [ms]", "explained", "robot file [ms]", "")
    for camera in (camera for camera in loaded.cameras if camera.name in estimates):
        found = estimates[camera.name]
        table.add_row(
            camera.name,
            f"{1e3 * found.latency_s:.0f}",
            f"+/- {1e3 * found.error_s:.1f}",
            f"{100 * found.agreement:.0f} %",
            f"{1e3 * camera.latency_s:.0f}",
            found.doubt or "sure",
        )
    console.print(table)
    doubts = [f"{name}: {found.doubt}" for name, found in estimates.items() if found.doubt]
    if doubts:
        raise BagError(f"not sure enough to write, {'; '.join(doubts)}: swing one joint of each arm faster")
    if out is not None:
        write_robot(named_config("robots", robot), out, {n: max(0.0, e.latency_s) for n, e in estimates.items()})
        console.print(f"written to {out}")


@app.command("wiggle")
def wiggle(
    out: Annotated[Path, typer.Argument(help="Folder of the bag.")],
    delay_ms: Annotated[float, typer.Option(min=0, max=300, help="Cameras stamp their frames so late [ms].")] = 0.0,
    seconds: Annotated[float, typer.Option(min=5, max=300, help="Length.")] = 16.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the layout.")] = 1,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Record a wiggle of the simulated robot with a known delay of its cameras."""
    from smp_bringup.robot import load_robot
    from smp_bringup.sim.wiggle import record_wiggle
    from smp_bringup.sim.world import World
    from smp_bringup.tasks import TASKS

    loaded = load_robot(robot)
    try_folder(out.parent)
    world = World(TASKS["lift_tray"](), loaded)
    try:
        record_wiggle(world, loaded, out, delay_ms / 1e3, seconds, seed)
    finally:
        world.close()
    console.print(f"recorded {out}: stamps {delay_ms:g} ms after the exposures")
