"""How the tools of LeRobot end by an error of ours, or at Ctrl-C beside our graph: as `smp` does."""

import sys
from collections.abc import Callable
from types import TracebackType

from smp_bringup.errors import EXIT_CODE, SmpError, one_line

_INTERRUPTED = 130


def say_errors() -> None:
    """Let an uncaught `SmpError`, also one that LeRobot wrapped, be one line and exit code 2 in this process.

    All else goes to whoever was asked before: LeRobot's own mistakes are told as LeRobot tells them.
    """

    def said(error: BaseException) -> str:
        ours = _ours(error)
        return f"error: {one_line(ours)}" if ours else ""

    _hook(said, EXIT_CODE)


def say_interrupt(line: str) -> None:
    """Let Ctrl-C be this line and exit code 130 in this process."""
    _hook(lambda error: line if isinstance(error, KeyboardInterrupt) else "", _INTERRUPTED)


def _hook(said: Callable[[BaseException], str], code: int) -> None:
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (line := said(error)):
            before(kind, error, trace)
            return
        print(line, file=sys.stderr)
        sys.exit(code)  # of a hook, Python takes it for its own

    sys.excepthook = hook


def _ours(error: BaseException | None) -> SmpError | None:
    """Return the error of ours that another one came from."""
    while error is not None and not isinstance(error, SmpError):
        error = error.__cause__
    return error
