"""Errors a user can cause; each says what was asked, what was found, and what to do.

The command line and the nodes print the message of an `SmpError` on one line and
exit with code 2; any other exception is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

EXIT_CODE = 2
_LONGEST_NAME = 80
"""Characters of a name that nobody knows which stand in a message."""


class SmpError(Exception):
    """Root of everything that a user's input or environment can cause."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross to another process as it is, whatever its class takes to be made of."""
        return _again, (type(self), self.args), self.__dict__


class ConfigError(SmpError):
    """A configuration file is missing, malformed, or outside its allowed range."""


class ModelError(SmpError):
    """A checkpoint folder is incomplete, altered, or does not fit the robot."""


class BagError(SmpError):
    """A bag cannot be read, or lacks what is asked of it."""


class TrainingError(SmpError):
    """A training cannot go on: it diverged, or another one runs in its folder."""


class UnreachableError(SmpError):
    """The scripted operator of a task cannot reach what it must in this layout."""


class StoppedError(SmpError):
    """A safety check stopped the simulated arms for good, where an episode was to go on."""


class InstallError(SmpError):
    """A library, a device or a system file that the request needs is absent."""


class OutputError(SmpError):
    """A file or folder that results go to cannot be written."""


class WorkerError(SmpError):
    """A process that did a part of the work died."""


class UnknownNameError(SmpError):
    """A name is not registered; the message lists the valid ones and the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        super().__init__(f"unknown {kind} '{name}'{nearest(name, choices)}; known: {', '.join(choices) or 'none'}")


def _again(kind: type[SmpError], args: tuple[Any, ...]) -> SmpError:
    return kind.__new__(kind, *args)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known name, or nothing."""
    match = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""


def one_line(text: object) -> str:
    """Return `text` on one line with control characters escaped (foreign strings reach our logs)."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
