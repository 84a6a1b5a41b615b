"""How a bag is kept safe on disk while it is written (`storage:` in config/recording/*.yaml)."""

from dataclasses import dataclass, field

from smp_bringup.config import spec


@dataclass(frozen=True)
class StorageConfig:
    """How an episode is kept safe on disk."""

    chunk_kib: int = field(default=1024, metadata=spec(ge=4, le=1 << 16, unit="KiB"))
    """A chunk is written when it is so large."""
    flush_s: float = field(default=0.4, metadata=spec(gt=0, le=10, unit="s"))
    """A chunk is written when it is so old: what a kill can cost."""
    sync_s: float = field(default=4.0, metadata=spec(gt=0, le=60, unit="s"))
    """Period of fsync: what a power cut can cost."""
    min_free_gib: float = field(default=2.0, metadata=spec(ge=0, le=1000, unit="GiB"))
    """Below this no episode begins, and an open one is closed."""
    min_free_s: float = field(default=60.0, metadata=spec(ge=0, le=3600, unit="s"))
    """The same, as time of writing at the present rate."""
    queue_mib: float = field(default=256.0, metadata=spec(ge=1, le=1 << 14, unit="MiB"))
    """Messages that may wait for the disk; what does not fit is dropped and counted."""
    reserve_mib: float = field(default=8.0, metadata=spec(ge=0, le=1024, unit="MiB"))
    """Set aside on the disk, so that a full one can still be closed cleanly."""
