"""The `smp` command: one verb per file, heavy imports inside the verbs."""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from smp_bringup import __version__
from smp_bringup.cli import bag, bench, calibrate, chaos, demo, doctor, evaluate, record, replay, top, train, up
from smp_bringup.errors import EXIT_CODE, SmpError, one_line

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
app.command("eval")(evaluate.evaluate)
app.command("replay")(replay.replay)
app.add_typer(bag.app, name="bag")
app.command("up")(up.up)
app.command("top")(top.top)
app.command("chaos")(chaos.chaos)
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench")
app.add_typer(calibrate.app, name="calibrate")

_debug = False


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    global _debug
    _debug = debug


@app.command("version")
def _version() -> None:
    """Print the version."""
    print(__version__)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Leave every `with` on the way out, so that no process of ours and no half-written file stays behind."""
    sys.exit(128 + number)


def main() -> None:
    """Run a verb; a user's mistake is one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except SmpError as error:
        if _debug:
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
