"""Ends what DDS began, in bounded time."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy

_CLOSE_S = 20.0


@contextmanager
def bounded_closing(limit_s: float = _CLOSE_S) -> Iterator[None]:
    """End this process, saying where it is, if the block takes longer than `limit_s`.

    Fast DDS 3.2.3 can lock itself up while an endpoint is taken away (https://github.com/eProsima/Fast-DDS/issues/6502).
    Python's global lock is held there: no signal handler and no thread of Python could end the process any more.
    """
    try:
        faulthandler.dump_traceback_later(limit_s, exit=True)
    except (AttributeError, OSError, RuntimeError, ValueError):  # standard error is closed or no file: nobody is told
        yield
        return
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def end_rclpy() -> None:
    """End rclpy's context, in bounded time."""
    with bounded_closing():
        rclpy.try_shutdown()
