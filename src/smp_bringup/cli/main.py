"""The `smp` command, and how it ends; the verbs are in `app`, which an emergency stop does not wait for."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from smp_bringup.cli.estop import stop
from smp_bringup.errors import EXIT_CODE, SmpError, one_line
from smp_bringup.output import OUTSIDE, why

_DEBUG = "--debug"


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


def _run(words: Sequence[str]) -> None:
    """Run the verb that is asked for: `smp estop` without what the others import."""
    match words:
        case ["estop"]:
            stop("/")
        case ["estop", "--namespace", namespace]:
            stop(namespace)
    from smp_bringup.cli.app import app

    app()


def main() -> None:
    """Run a verb; a user's mistake, and a disk that is full or not ours, is one line on stderr and exit code 2."""
    debug = _DEBUG in sys.argv[1:2]
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _terminated)
    try:
        try:
            _run(sys.argv[1:])
        finally:
            if sys.stdout is not None:  # as where it was closed
                sys.stdout.flush()  # here, and not after main, where a full disk could not be told any more
    except BrokenPipeError:
        _drop_output()
        sys.exit(128 + signal.SIGPIPE)
    except SmpError as error:
        if debug:
            raise
        _fail(one_line(error))
    except OSError as error:
        if debug or error.errno not in OUTSIDE:
            raise
        where = f"'{one_line(error.filename)}': " if error.filename is not None else "the output cannot be written: "
        _fail(f"{where}{why(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
