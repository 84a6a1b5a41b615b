"""Files and folders that results go to: tried before the work is done, and written whole or not at all."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smp_bringup.errors import OutputError, one_line

_TRIED_BYTES = 1 << 16
"""A disk that cannot take so much is full."""
_PARTIAL = ".partial"
"""Stands behind a file's name while it is written."""
_LONGEST_END = ".repairing"
"""Stands behind a folder's name while it is made."""
OUTSIDE = {
    number
    for name in ("EACCES", "EDQUOT", "EEXIST", "EFBIG", "EIO", "EISDIR", "ELOOP", "EMFILE", "ENAMETOOLONG", "ENODEV")
    + ("ENOENT", "ENOSPC", "ENOTDIR", "ENOTEMPTY", "ENXIO", "EPERM", "EROFS", "ESTALE", "ETXTBSY")
    if (number := getattr(errno, name, None)) is not None
}
"""Errors of the system that the disk, its rights and its names cause, not our code."""


def try_file(path: Path | None) -> None:
    """Make sure that a result can be written to `path`, and make its folder; None is no file.

    Raises:
        OutputError: it cannot, as far as can be known before.
    """
    if path is None:
        return
    try:
        with suppress(FileNotFoundError):
            path.stat()  # raises for a name that no file can have, and for links in a circle
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.is_char_device():
            with path.open("ab", buffering=0) as file:
                file.write(b"\n")  # JSON and HTML may begin with it; a device that is full says so
        elif not path.is_fifo():
            with suppress(FileNotFoundError, NotADirectoryError):
                path.with_name(path.name + _PARTIAL).lstat()
            if path.exists():
                path.open("ab").close()
            _fill(Path(os.path.realpath(path)).parent, _TRIED_BYTES)  # where a link leads to, it is written
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None


def try_folder(path: Path | None, room: int = _TRIED_BYTES) -> None:
    """Make the folder `path`, and make sure that files of `room` bytes can be written into it; None is no folder.

    Raises:
        OutputError: it is none, or cannot be written to, or its disk is full.
    """
    if path is None:
        return
    try:
        _fill(path, room)
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None


def try_new_folder(path: Path | None) -> None:
    """Make sure that a folder `path` can be made, where nothing stands yet; None is no folder.

    Raises:
        OutputError: it cannot, as far as can be known before.
    """
    if path is None:
        return
    try:
        if path.is_symlink() and not path.exists():
            raise FileNotFoundError(errno.ENOENT, "it is a link that leads nowhere")
        with suppress(FileNotFoundError, NotADirectoryError):
            path.with_name((path.name or "x") + _LONGEST_END).lstat()  # raises for a name that no folder can have
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None
    try_folder(path.parent)


@contextmanager
def held_alone(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for a run: two of them would write over each other.

    Args:
        folder: of the run.
        what: runs, in a word.

    Raises:
        OutputError: another run holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"another {what} runs in '{folder}': wait for it, or choose another --out") from None
        yield
    finally:
        os.close(handle)


def require_utf8(path: Path) -> None:
    """Raise OutputError for a name that is no UTF-8, which the libraries of tables and videos cannot open."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise OutputError(f"'{one_line(path)}': its name is not UTF-8, as tables and videos need: rename it") from None


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file in one step: where that fails, what was there before stays.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a device or a pipe
            path.write_bytes(content)
            return
        target = path.resolve()
        partial = target.with_name(target.name + _PARTIAL)
        try:
            partial.write_bytes(content)
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None


def why(error: Exception) -> str:
    """Return the system's own words for an error."""
    if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a file stands where a folder is needed"
    return one_line(error.strerror if isinstance(error, OSError) and error.strerror else error)


def _fill(folder: Path, room: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for start in range(0, room, _TRIED_BYTES):
            file.write(bytes(min(_TRIED_BYTES, room - start)))
        file.flush()
        os.fsync(file.fileno())


def _cannot(path: Path, error: Exception) -> OutputError:
    return OutputError(f"cannot write to '{one_line(path)}': {why(error)}: make room there, or name another place")
