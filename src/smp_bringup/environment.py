"""The DDS environment that every entry point sets, unless the user has set their own."""

import fcntl
import os
import sys
from pathlib import Path

from smp_bringup.errors import EXIT_CODE, ConfigError, SmpError, one_line
from smp_bringup.paths import share

_RANGE, _DOMAIN = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_DOMAIN_ID"
MOST_DOMAINS = 232
"""The highest one; ports of higher ones do not exist, and Fast DDS ends a process that asks for one."""
_NETWORK, _STOP = "_network", "_stop"
"""How the names of profiles end that are for the network, and for who only stops."""
_SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 68 * 1024 * 1024
"""What a process takes of it: the segment of config/fast*.xml, and what Fast DDS keeps beside it."""
_TRACING_BYTES = 16 * 1024
"""What LTTng, which rclpy loads, takes of it: a page for each user; without it the import ends with SIGBUS."""
RECEIVE_BYTES = 4 * 1024 * 1024
"""What a socket of ours holds of images that are still to be read (`receiveBufferSize` of config/fast*.xml)."""
_MOST_RECEIVED = Path("/proc/sys/net/core/rmem_max")


class SharedMemoryError(SmpError):
    """There is too little shared memory for the messages of a process."""


def prepare_environment(only_stops: bool = False) -> None:
    """Keep ROS on this machine, and give Fast DDS a shared-memory segment that holds camera images.

    Only the range SUBNET opens the network. For LOCALHOST rmw_fastrtps would add transports of its own to the
    profile's, sockets on every interface and a second segment among them; our profile says all of it by itself.

    Args:
        only_stops: whether this process presses the emergency stop and does nothing else: on this machine it then does
            without shared memory, which takes 45 ms to get and may be full.

    Raises:
        ConfigError: ROS_DOMAIN_ID is none.
    """
    domain_id()
    reach = os.environ.get(_RANGE) or "LOCALHOST"
    rmw = os.environ.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    if _profile_is_ours():
        end = _NETWORK if reach == "SUBNET" else _STOP if only_stops else ""
        os.environ[f"{_fast_dds()}_DEFAULT_PROFILES_FILE"] = str(_profile(end))
        if reach == "LOCALHOST" and rmw.startswith("rmw_fastrtps"):
            reach = "SYSTEM_DEFAULT"
    os.environ.update({_RANGE: reach, "RMW_IMPLEMENTATION": rmw})


def domain_id() -> int:
    """Return the domain that this process's nodes are in.

    Raises:
        ConfigError: it is none; ROS would take "-1" for 0, and "010" for 8.
    """
    domain = os.environ.get(_DOMAIN) or "0"
    if domain not in map(str, range(MOST_DOMAINS + 1)):
        raise ConfigError(f"{_DOMAIN} is '{one_line(domain)}': set it to a whole number from 0 to {MOST_DOMAINS}")
    return int(domain)


def network_reach() -> str:
    """Return in words whom ROS reaches from here, once the environment is prepared."""
    reach = os.environ[_RANGE]
    if not _profile_is_ours() or not os.environ["RMW_IMPLEMENTATION"].startswith("rmw_fastrtps"):
        return f"{_RANGE}={reach}, as your own middleware settings have it"
    return "the network (SUBNET)" if reach == "SUBNET" else "this machine only"


def _fast_dds() -> str:
    """Return the name by which this Fast DDS goes: Jazzy's, whose package is still called fastrtps, has the old one.

    What it reads is named after it, and elements of a profile have other names there. One that it does not know makes
    it refuse the whole profile: it would speak on every interface, and to everybody.
    """
    prefixes = (sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    old = any(Path(prefix, "share", "fastrtps").is_dir() for prefix in prefixes if prefix)
    return "FASTRTPS" if old else "FASTDDS"


def _profile(end: str) -> Path:
    """Return our profile for this Fast DDS: for the network, for who only stops, or for this machine alone."""
    return share("config", f"{_fast_dds().lower()}{end}.xml")


def _profile_is_ours() -> bool:
    """Return whether the user has no Fast DDS profile of their own."""
    return _profile_file() in {"", *(str(_profile(end)) for end in ("", _NETWORK, _STOP))}


def _profile_file() -> str:
    return os.environ.get(f"{_fast_dds()}_DEFAULT_PROFILES_FILE", "")


def before_rclpy() -> None:
    """End the process in one line where importing rclpy would kill it: its tracing (LTTng) maps shared memory.

    Whatever imports rclpy calls this first.
    """
    try:
        require_shared_memory()
    except SharedMemoryError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)


def require_shared_memory(processes: int = 1) -> None:
    """Raise SharedMemoryError where so many processes cannot have their segments; Fast DDS would break in its own way.

    Whoever has a profile of their own knows what that takes, and who only stops has none; the import of rclpy takes a
    page.
    """
    try:
        disk = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return
    free = disk.f_bavail * disk.f_frsize
    segments = _profile_is_ours() and not _profile_file().endswith(f"{_STOP}.xml")
    needed = processes * (SEGMENT_BYTES if segments else _TRACING_BYTES)
    if free < needed:
        raise SharedMemoryError(
            f"{_SHARED_MEMORY} has {_size(free)} free, and {processes} ROS process(es) need {_size(needed)}: "
            f"remove what lies there, or give it more (a container: --shm-size=1g)"
        )


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def small_sockets() -> str:
    """Return why images of stock drivers are lost in this kernel's sockets and what to do, or nothing.

    Whoever has a profile of their own knows what it takes.
    """
    try:
        most = int(_MOST_RECEIVED.read_text())
    except (OSError, ValueError):  # another system, or hidden in a container
        return ""
    if most >= RECEIVE_BYTES or not _profile_is_ours():
        return ""
    return (
        f"the kernel gives a socket {most >> 10} KiB, less than an image: "
        f"sudo sysctl -w net.core.rmem_max={RECEIVE_BYTES} on this machine, then start again"
    )


def remedy(reliable: bool, sockets: str) -> str:
    """Return what to do about messages that a driver sends and we do not hear.

    Args:
        reliable: whether the driver sends again what was lost.
        sockets: what `small_sockets` says.
    """
    if sockets:
        return sockets
    if not reliable:
        return "if the driver sends more: it offers best effort, and what is lost stays lost; set its QoS to reliable"
    return "if the driver sends more: look for load on this machine and on the network"


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
