"""The DDS environment that every entry point sets, unless the user has set their own."""

import fcntl
import os
from pathlib import Path

from smp_bringup.errors import SmpError
from smp_bringup.paths import share

_SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 68 * 1024 * 1024
"""What a process takes of it: the segment of config/fastdds.xml, and what Fast DDS keeps beside it."""


class SharedMemoryError(SmpError):
    """There is too little shared memory for the messages of a process."""


def prepare_environment() -> None:
    """Keep discovery on this machine, and give Fast DDS a shared-memory segment that holds camera images."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(share("config", "fastdds.xml")))
    os.environ.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")


def require_shared_memory(processes: int = 1) -> None:
    """Raise SharedMemoryError where so many processes cannot have their segments; Fast DDS would break in its own way.

    Whoever has a profile of their own knows what it takes.
    """
    if os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE") != str(share("config", "fastdds.xml")):
        return
    try:
        disk = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return
    free, needed = disk.f_bavail * disk.f_frsize, processes * SEGMENT_BYTES
    if free < needed:
        raise SharedMemoryError(
            f"{_SHARED_MEMORY} has {free >> 20} MiB free, and {processes} ROS process(es) need {needed >> 20} MiB: "
            f"remove what lies there, or give it more (a container: --shm-size=1g)"
        )


def free_shared_memory() -> int:
    """Remove the shared memory that killed processes have left, 64 MiB each; return how many had.

    As `fastdds shm clean` does: the owner of a segment locks the file beside it for as long as it lives.
    """
    dead = 0
    for lock in _SHARED_MEMORY.glob(f"fastdds_{'[0-9a-f]' * 16}_el"):
        segment = lock.with_name(lock.name.removesuffix("_el"))
        try:
            with lock.open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                segment.unlink(missing_ok=True)
                lock.unlink()
                dead += 1
        except OSError:  # it lives, or is another user's, or is gone already
            continue
    return dead
