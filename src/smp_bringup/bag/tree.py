"""Which bags a folder holds, and what in it looks like one and is left out."""

from pathlib import Path

from smp_bringup.bag.files import BROKEN, PARTIAL, REPAIRING, SUFFIXES, repair_command
from smp_bringup.bag.formats import file_format, folder_format
from smp_bringup.bag.metadata import INFORMATION, METADATA
from smp_bringup.documents import open_regular
from smp_bringup.errors import BagError

_UNFINISHED = (PARTIAL, BROKEN, REPAIRING)
_HEAD_BYTES = 200


def bag_folders(root: Path) -> list[Path]:
    """Return all bag folders below `root` (itself included), sorted.

    Raises:
        BagError: there is none.
    """
    if not root.exists():
        raise BagError(f"'{root}' does not exist")
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
        elif path.suffix == ".bag" and path.is_file() and (what := file_format(path)):
            said.append(f"'{path}' is {what}")
    return said


def _of_a_bag(file: Path) -> bool:
    if file.name != METADATA:
        return file.name.endswith(SUFFIXES)
    with open_regular(file) as stream:
        return INFORMATION.encode() in stream.read(_HEAD_BYTES)


def _unfinished(folder: Path, root: Path) -> bool:
    return any(part.endswith(_UNFINISHED) for part in folder.relative_to(root).parts)
