"""The DDS environment that every entry point sets, unless the user has set their own."""

import fcntl
import os
from pathlib import Path

from smp_bringup.paths import share

_SHARED_MEMORY = Path("/dev/shm")


def prepare_environment() -> None:
    """Keep discovery on this machine, and give Fast DDS a shared-memory segment that holds camera images."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(share("config", "fastdds.xml")))
    os.environ.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")


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
