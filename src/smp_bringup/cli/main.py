"""The `smp` command: one verb per file, heavy imports inside the verbs."""

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from smp_bringup import __version__
from smp_bringup.cli import (
    bag,
    bench,
    bridge,
    calibrate,
    chaos,
    demo,
    doctor,
    evaluate,
    operate,
    record,
    replay,
    robot,
    run,
    security,
    top,
    train,
    up,
)
from smp_bringup.errors import EXIT_CODE, SmpError, one_line
from smp_bringup.output import OUTSIDE, why

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
app.add_typer(robot.app, name="robot")
app.command("up")(up.up)
app.command("run")(run.run)
for _name, _verb in operate.verbs().items():
    app.command(_name)(_verb)
app.command("top")(top.top)
app.command("bridge")(bridge.bridge)
app.command("chaos")(chaos.chaos)
app.command("doctor")(doctor.doctor)
app.command("security")(security.security)
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


def _fail(text: str) -> NoReturn:
    _drop_output()
    print(f"error: {text}", file=sys.stderr)
    sys.exit(EXIT_CODE)


def _drop_output() -> None:
    """Let what standard output did not take go, so that Python does not try it again at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run a verb; a user's mistake, and a disk that is full or not ours, is one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _terminated)
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # as where it was closed
                sys.stdout.flush()  # here, and not after main, where a full disk could not be told any more
    except BrokenPipeError:
        _drop_output()
        sys.exit(128 + signal.SIGPIPE)
    except SmpError as error:
        if _debug:
            raise
        _fail(one_line(error))
    except OSError as error:
        if _debug or error.errno not in OUTSIDE:
            raise
        where = f"'{one_line(error.filename)}': " if error.filename is not None else "the output cannot be written: "
        _fail(f"{where}{why(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
