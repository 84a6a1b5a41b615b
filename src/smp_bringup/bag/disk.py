"""A file that can still be finished when its disk is full."""

import errno
import os
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
MIB = 1 << 20


def free_bytes(folder: Path) -> int:
    """Return what may still be written to the file system of `folder`."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class ReservedFile:
    """Unbuffered writing with some room set aside beside the file, given up when the disk is full."""

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        """Create `path` and set room aside; OSError where there is none."""
        self._reserve = path.with_name("reserve")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._position = 0
        self.full = False
        """Whether the reserve had to be given up."""
        try:
            if reserve_bytes:
                room = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o644)
                try:
                    os.posix_fallocate(room, 0, reserve_bytes)
                finally:
                    os.close(room)
        except OSError:
            self.close()
            raise

    def write(self, data: bytes) -> int:
        """Write all of `data`; OSError if not even the reserve is enough."""
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(self._file, rest)
            except OSError as error:
                if error.errno not in _FULL or not self._reserve.exists():
                    raise
                self._reserve.unlink()
                self.full = True
                continue
            rest, self._position = rest[written:], self._position + written
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._position

    def flush(self) -> None:
        """Do nothing: every write has gone to the system already."""

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file and give the reserve back."""
        os.close(self._file)
        self._reserve.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in `folder`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
