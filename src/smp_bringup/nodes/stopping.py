"""What SIGINT and SIGTERM do to a node: it ends its turn; what it is only loading, it leaves at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """The node was told to stop while it was loading; no Exception: nothing that recovers from a failure may go on."""


class _Requests:
    """The requests to this process."""

    came = False
    loading = False


_requests = _Requests()


def told_to_stop(*_: object) -> None:
    """Be the handler of SIGINT and SIGTERM, after rclpy's, which end the context: an executor leaves its wait.

    There is no KeyboardInterrupt, which would strike in the middle of a callback, a destructor or a call into C. But in
    `loading` nobody waits at an executor, and Python would take up again whatever call the signal interrupted.
    """
    _requests.came = True
    if _requests.loading:
        _requests.loading = False  # the next request does not strike in the midst of what this one ends
        raise Stopped


@contextmanager
def loading() -> Iterator[None]:
    """Leave the block by `Stopped` as soon as the process is told to stop: nothing in it needs to be finished."""
    if threading.current_thread() is not threading.main_thread() or _requests.loading:  # another one's, or the outer's
        yield
        return
    _require_no_request()
    _requests.loading = True
    try:
        yield
    finally:
        _requests.loading = False
    _require_no_request()  # a request may have struck a destructor, where an exception is lost


def _require_no_request() -> None:
    if _requests.came:
        raise Stopped
