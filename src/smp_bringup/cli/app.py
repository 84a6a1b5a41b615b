"""The verbs of `smp`: one per file, heavy imports inside the verbs."""

from typing import Annotated

import typer

from smp_bringup import __version__
from smp_bringup.cli import (
    bag,
    bench,
    bridge,
    calibrate,
    chaos,
    console,
    demo,
    doctor,
    evaluate,
    export,
    operate,
    record,
    replay,
    robot,
    run,
    security,
    top,
    train,
    up,
    view,
    why,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Learned two-arm manipulation: record, train, evaluate, replay, and run on ROS 2.",
)
app.command("demo")(demo.demo)
app.command("record")(record.record)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("eval")(evaluate.evaluate)
app.command("replay")(replay.replay)
app.add_typer(bag.app, name="bag")
app.add_typer(robot.app, name="robot")
app.command("up")(up.up)
app.command("run")(run.run)
for _name, _verb in operate.verbs().items():
    app.command(_name)(_verb)
app.command("top")(top.top)
app.command("why")(why.why)
app.command("console")(console.console)
app.command("bridge")(bridge.bridge)
app.command("view")(view.view)
app.command("chaos")(chaos.chaos)
app.command("doctor")(doctor.doctor)
app.command("security")(security.security)
app.add_typer(bench.app, name="bench")
app.add_typer(calibrate.app, name="calibrate")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Take what stands before the verb; `main` looks for it too."""


@app.command("version")
def _version() -> None:
    """Print the version."""
    print(__version__)
