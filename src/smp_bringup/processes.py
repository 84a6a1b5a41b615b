"""Independent jobs in several processes."""

from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def unordered(function: Callable[[J], R], jobs: Sequence[J], workers: int, chunk: int = 1) -> Iterator[R]:
    """Yield what `function` makes of each job, in the order they finish; each process takes `chunk` jobs at a time.

    Processes are spawned, because neither GL contexts nor PyTorch's threads survive a fork.
    """
    if not jobs:
        return
    with get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(function, jobs, chunk)
