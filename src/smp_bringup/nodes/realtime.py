"""Real-time options of a process: each is granted, or refused with the reason; nothing is pinned by default."""

import ctypes
import gc
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from smp_bringup.errors import ConfigError

PRIORITY = 50
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
"""Of linux/mman.h; the last locks a page when it is first touched, not all that is mapped and never used."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT_BYTES = 64 * 1024 * 1024
"""Memory for large messages, of strangers: they fit into one segment of shared memory (config/fastdds.xml)."""


@dataclass(frozen=True)
class Grant:
    """What became of one option."""

    option: str
    refused: str = ""
    """Why; empty if it was granted."""

    def __str__(self) -> str:
        return f"refused: {self.refused}" if self.refused else "granted"


def apply(wanted: str, cpus: str) -> list[Grant]:
    """Ask for SCHED_FIFO, locked memory and, if `cpus` names any ("2,3"), an affinity.

    Args:
        wanted: "require", "prefer" or "off".
        cpus: CPU numbers, comma-separated; empty leaves the affinity alone.

    Raises:
        ConfigError: `cpus` is not a list of numbers, or an option is required and refused.
    """
    if wanted == "off":
        return []
    options = [("sched_fifo", _fifo), ("mlockall", _lock_memory)]
    if cpus:
        numbers = _numbers(cpus)
        options.append(("affinity", lambda: os.sched_setaffinity(0, numbers)))
    grants = [_ask(name, option) for name, option in options]
    refused = [f"{grant.option} ({grant.refused})" for grant in grants if grant.refused]
    if wanted == "require" and refused:
        raise ConfigError(f"realtime is required, but refused: {', '.join(refused)}; set realtime to prefer or off")
    return grants


def freeze() -> None:
    """Take what exists now out of the collector's sight, and keep memory that is freed.

    What exists now lives for ever, a collection need not look at it again. Memory that is given back is faulted in
    again, page by page, while a large message is received.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
        libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        kept = libc.malloc(ctypes.c_size_t(_KEPT_BYTES))
        ctypes.memset(kept, 0, _KEPT_BYTES)
        libc.free(kept)
    gc.collect()
    gc.freeze()


def _ask(name: str, option: Callable[[], None]) -> Grant:
    try:
        option()
    except OSError as error:
        return Grant(name, error.strerror or str(error))
    return Grant(name)


def _fifo() -> None:
    # The middleware's threads too: what they receive late is late. They come after the cycles, which a flood of
    # messages would delay otherwise. Processes started from here inherit nothing.
    for thread in os.listdir("/proc/self/task"):
        priority = os.sched_param(PRIORITY if int(thread) == os.getpid() else PRIORITY - 1)
        os.sched_setscheduler(int(thread), os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, priority)


def _lock_memory() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:
        # Locking succeeds now and makes a later allocation fail: worse than not locking.
        raise OSError(0, f"RLIMIT_MEMLOCK is {soft} bytes, not unlimited")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _numbers(cpus: str) -> set[int]:
    try:
        return {int(number) for number in cpus.split(",")}
    except ValueError:
        raise ConfigError(f"cpus must be numbers separated by commas, got '{cpus}'") from None
