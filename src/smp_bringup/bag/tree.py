"""Which bags a folder holds, and what in it looks like one and is left out."""

import re
from pathlib import Path

from smp_bringup.bag import sqlite_file
from smp_bringup.bag.files import BROKEN, PARTIAL, REPAIRING, SUFFIXES, repair_command
from smp_bringup.bag.formats import file_format, folder_format
from smp_bringup.bag.metadata import INFORMATION, METADATA
from smp_bringup.bag.records import MAGIC, ZSTD_MAGIC
from smp_bringup.documents import open_regular
from smp_bringup.errors import BagError

_UNFINISHED = (PARTIAL, BROKEN, REPAIRING)
_HEAD_BYTES = 200
_LIKE = re.compile(r"\.(mcap|db3|bag)(\.\w+)?$", re.IGNORECASE)
"""Ends of the names of files that may be bags."""
_ENDINGS = ((MAGIC, ".mcap"), (sqlite_file.MAGIC, ".db3"), (ZSTD_MAGIC, ".mcap.zstd"))


def bag_folders(root: Path) -> list[Path]:
    """Return all bag folders below `root` (itself included), sorted.

    Raises:
        BagError: there is none.
    """
    if not root.exists():
        raise BagError(f"'{root}' does not exist")
    if root.is_file():
        raise BagError(f"'{root}' is a file: name the folder of its bag, or one of bags")
    if not root.is_dir():
        raise BagError(f"'{root}' is a pipe, a socket or a device, no bag and no folder of bags")
    folders = sorted({f.parent for f in root.rglob("*") if _of_a_bag(f) and not _unfinished(f.parent, root)})
    if not folders:
        what = folder_format(root)
        raise BagError(f"no bags below '{root}': " + (f"it holds {what}" if what else "record some with smp record"))
    return folders


def left_out(root: Path) -> list[str]:
    """Return a line for each thing below `root` that is no bag yet, no longer, or of another format."""
    said = []
    for path in sorted(root.rglob("*")):
        if path.is_dir() and path.name.endswith(PARTIAL) and not _unfinished(path.parent, root):
            said.append(f"'{path}' is still being written, or was left half-written: {repair_command(path)}")
        elif path.is_dir() and path.name.endswith(BROKEN):
            said.append(f"'{path}' is the broken original of a repaired bag")
        elif path.is_dir() and path.name.endswith(REPAIRING):
            said.append(f"'{path}' was left by a repair that was cut off: remove it")
        elif not _unfinished(path.parent, root) and (what := _other(path)):
            said.append(f"'{path}' is {what}")
    return said


def _other(path: Path) -> str:
    """Return what a file or link is that may be a bag and is not read as one; nothing of any other."""
    if path.is_symlink() and path.is_dir():
        return f"a link to a folder, which is not followed: name '{path.readlink()}' itself"
    if path.is_dir() or path.name.endswith(SUFFIXES) or not _LIKE.search(path.name):
        return ""
    try:
        with open_regular(path) as stream:
            head = stream.read(_HEAD_BYTES)
        ending = next((ending for magic, ending in _ENDINGS if head.startswith(magic)), "")
        if ending == ".mcap" and path.name.endswith(".active"):
            return "still being written, or was left so: rename it to end in .mcap, then repair it"
        if ending:
            return f"not read under this name: rename it to end in {ending}"
        return file_format(path) or ("" if path.suffix == ".bag" else "no bag that can be read here")
    except OSError as error:
        return f"not readable: {error.strerror}"


def _of_a_bag(file: Path) -> bool:
    if file.name != METADATA:
        return file.name.endswith(SUFFIXES)
    try:
        with open_regular(file) as stream:
            return INFORMATION.encode() in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def _unfinished(folder: Path, root: Path) -> bool:
    return any(part.endswith(_UNFINISHED) for part in folder.relative_to(root).parts)
