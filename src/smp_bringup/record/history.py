"""How long the other episodes of a task are, as their metadata says."""

from pathlib import Path

from smp_bringup import config
from smp_bringup.bag.metadata import INFORMATION, METADATA
from smp_bringup.errors import ConfigError

_LOOK_AT = 50
"""The newest so many episodes are enough."""
_LONGEST_NS = 1 << 62


def lengths_s(task: Path, leave_out: Path | None = None) -> list[float]:
    """Return the lengths [s] of the bags in a task's folder, but one; what cannot be read is left out."""
    lengths = []
    for path in sorted(task.glob(f"*/{METADATA}"))[-_LOOK_AT:]:
        if path == leave_out:
            continue
        try:
            information = config.read_yaml(path)[INFORMATION]
            nanoseconds = information["duration"]["nanoseconds"]
            if type(nanoseconds) in (int, float) and 0 < nanoseconds < _LONGEST_NS:  # NaN is not
                lengths.append(nanoseconds / 1e9)
        except (ConfigError, KeyError, TypeError, ValueError, OSError):
            continue
    return lengths
