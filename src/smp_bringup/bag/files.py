"""Which files a bag consists of: what metadata.yaml says, what the folder holds, what must be unpacked first."""

import re
import shlex
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import zstandard

from smp_bringup import config
from smp_bringup.bag import sqlite_file
from smp_bringup.bag.formats import file_format, folder_format
from smp_bringup.bag.metadata import INFORMATION, METADATA
from smp_bringup.bag.records import MAGIC, ZSTD_MAGIC, Damaged
from smp_bringup.bag.salvage import readable
from smp_bringup.bag.told import Told
from smp_bringup.documents import open_regular
from smp_bringup.errors import BagError, ConfigError, one_line

PARTIAL, BROKEN, REPAIRING = ".partial", ".broken", ".repairing"
"""Ends of the names of folders that are no bags yet, or no longer."""
SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
_STORAGES = {"mcap": MAGIC, "sqlite3": sqlite_file.MAGIC}
_BLOCK = 1 << 14
_MAX_UNPACKED = 1 << 36
_MAX_RATIO = 1000
"""A file that unpacks to more than this many times its size is a bomb."""


class Unpacked:
    """A folder of unpacked files, gone with the last bag that reads them."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="smp_bag_"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


@dataclass(frozen=True)
class BagFiles:
    """The files of a bag, in order, ready to be read."""

    files: tuple[Path, ...]
    storage: str
    """ "mcap" or "sqlite3"."""
    told: Told
    """What metadata.yaml says of its messages."""
    warnings: tuple[str, ...]
    """What is odd about it."""
    lacking: tuple[str, ...]
    """What belongs to the bag and is not read, a sentence each."""
    unpacked: Unpacked | None
    """Holds what was unpacked for as long as the bag is in use."""


def find_files(path: Path) -> BagFiles:
    """Return the files of the bag at a folder or file.

    Raises:
        BagError: it does not exist, is empty, was not closed, is not a bag, or says something wrong about itself.
    """
    try:
        return _found(path)
    except (OSError, ValueError) as error:  # of what cannot be read, or is no name of a file
        raise BagError(f"bag '{path}' cannot be read: {one_line(getattr(error, 'strerror', None) or error)}") from error


def folder_files(path: Path) -> list[Path]:
    """Return the files in a folder that may be those of a bag, in the order of their numbers."""
    return sorted((p for p in path.iterdir() if p.name.endswith(SUFFIXES)), key=_natural)


def folder_metadata(path: Path) -> tuple[dict[str, Any], str]:
    """Return what the metadata.yaml of a folder says, and why it cannot be used; nothing, where there is none."""
    if not (path / METADATA).exists():
        return {}, ""
    try:
        return _information(path), ""
    except BagError as error:
        return {}, str(error).partition(". Run: ")[0]


def repair_command(path: Path) -> str:
    """Return what to run on a damaged bag, so that it can be read by the name it has."""
    folder = path.parent
    if path.is_file() and (folder.name.endswith(PARTIAL) or (folder / METADATA).exists()):
        path = folder
    replaced = path.is_dir() and not path.name.endswith(PARTIAL)
    return f"smp bag repair {shlex.quote(str(path))}" + " --replace" * replaced


def _found(path: Path) -> BagFiles:
    if path.is_file():
        return _ready(path, (path,), {}, [])
    if not path.is_dir():
        raise BagError(f"bag '{path}' does not exist")
    found = folder_files(path)
    if not found and not (path / METADATA).exists():
        what = folder_format(path)
        raise BagError(f"bag '{path}' holds no .mcap or .db3 file" + (f": it holds {what}" if what else ""))
    if not (path / METADATA).exists():
        count = f"found {len(found)} files, read in order" if len(found) > 1 else "reading its file by itself"
        return _ready(path, found, {}, [f"bag '{path}': {METADATA} missing, {count}"])
    told = _information(path)
    every = [_inside(path, name) for name in told["relative_file_paths"]]
    listed = list(dict.fromkeys(every))
    twice = ", ".join(one_line(file.name) for file in listed if every.count(file) > 1)
    odd = [f"bag '{path}': {METADATA} lists {twice} more than once: it is read once"] if twice else []
    beside = ", ".join(one_line(file.name) for file in found if file not in listed)
    lacking = [f"{METADATA} does not list {beside}, which is left out; to read all run: {repair_command(path)}"]
    return _ready(path, listed, told, odd, lacking if beside else [])


def _information(path: Path) -> dict[str, Any]:
    """Return what metadata.yaml says, checked as far as it is used."""
    try:
        told = config.read_yaml(path / METADATA)[INFORMATION]
        names, storage = told["relative_file_paths"], told["storage_identifier"]
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise ConfigError("relative_file_paths is not a list of names")
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else one_line(error)
        what = _format(path / METADATA)
        raise BagError(
            f"bag '{path}': {METADATA} cannot be used: {'it is ' + what if what else reason}{_advice(path)}"
        ) from None
    if str(storage) not in _STORAGES:
        raise BagError(
            f"bag '{path}': storage '{one_line(storage)}' is not supported, only {', '.join(_STORAGES)}: "
            "convert it with ros2 bag convert"
        )
    packing, mode = told.get("compression_format") or "", str(told.get("compression_mode") or "none")
    if mode.lower() != "none" and packing != "zstd":
        raise BagError(f"bag '{path}': compression '{one_line(packing)}' is not supported, only zstd")
    return dict(told)


def _format(file: Path) -> str:
    """Return what a file is, as far as it can be read."""
    try:
        return file_format(file)
    except OSError:
        return ""


def _advice(path: Path) -> str:
    """Return what to do about a bag whose metadata is of no use, if its files may be whole."""
    return f". Run: {repair_command(path)}" if folder_files(path) else ""


def _inside(folder: Path, name: str) -> Path:
    """Return a file that metadata.yaml names; older bags name it with the folder before it."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or not 0 < len(parts) <= 2:
        raise BagError(f"bag '{folder}': {METADATA} names '{one_line(name)}', which leaves the bag's folder")
    if not (folder / parts[-1]).is_file():
        raise BagError(f"bag '{folder}': {METADATA} names {one_line(parts[-1])}, which is not there{_advice(folder)}")
    return folder / parts[-1]


def _ready(
    path: Path, files: Sequence[Path], told: dict[str, Any], warnings: list[str], lacking: Sequence[str] = ()
) -> BagFiles:
    if any(file.is_symlink() for file in files):
        raise BagError(f"bag '{path}': links are not followed; copy the files into the folder")
    scratch, usable = Scratch(), []
    for file in files:
        try:
            usable.append(scratch.ready(file))
        except Damaged as error:
            raise BagError(f"bag '{file}' {error}. Run: {repair_command(path)}") from error
    kinds = {_storage(usable_file, file, path) for usable_file, file in zip(usable, files, strict=True)}
    if len(kinds) > 1:
        raise BagError(f"bag '{path}' mixes {' and '.join(sorted(kinds))} files: read them one by one")
    storage = kinds.pop()
    if told and told["storage_identifier"] != storage:
        raise BagError(f"bag '{path}': {METADATA} says {told['storage_identifier']}, its files are {storage}")
    return BagFiles(
        tuple(usable), storage, Told.of(told), (*warnings, *scratch.said), (*lacking, *scratch.lost), scratch.unpacked
    )


class Scratch:
    """Room for copies of files that cannot be read where they lie; made when the first one is needed."""

    def __init__(self) -> None:
        self.unpacked: Unpacked | None = None
        self.said: list[str] = []
        """What was done to files."""
        self.lost: list[str] = []
        """What of them could not be used."""

    def ready(self, file: Path, partly: bool = False) -> Path:
        """Return the file to read in place of `file`, unpacked and with sqlite3's logs settled.

        Args:
            file: of a bag.
            partly: whether what comes before a broken place is enough.

        Raises:
            Damaged: it cannot be unpacked, and `partly` is false.
            BagError: it unpacks to more than is ever read.
        """
        if _head(file).startswith(ZSTD_MAGIC):
            file, lost = unpack_file(file, self._folder(), partly)
            self.lost += lost
        if _head(file).startswith(sqlite_file.MAGIC) and sqlite_file.logs(file):
            file, said, lost = sqlite_file.with_its_log(file, self._folder())
            self.said += said
            self.lost += lost
        return file

    def _folder(self) -> Path:
        self.unpacked = self.unpacked or Unpacked()
        return self.unpacked.folder


def _storage(file: Path, named: Path, bag: Path) -> str:
    """Return the storage of a file by its first bytes; one that was not closed is refused."""
    head = _head(file)
    if not head:
        others = _advice(bag) if bag.is_dir() and len(folder_files(bag)) > 1 else ""
        raise BagError(f"bag '{named}' is empty (0 bytes): nothing was flushed before the recorder stopped{others}")
    storage = next((name for name, magic in _STORAGES.items() if head.startswith(magic)), None)
    if storage is None:
        what = file_format(file) or f"not an MCAP or SQLite3 bag (starts with {head[:8].hex()})"
        raise BagError(f"bag '{named}' is {what}")
    if storage == "mcap" and not _closed(file):
        count, last_ns, behind = readable(file)
        if behind:
            raise BagError(f"bag '{named}' has {behind} bytes behind its end. Run: {repair_command(bag)}")
        until = f" up to {last_ns / 1e9:.3f} s" if count else ""
        raise BagError(
            f"bag '{named}' was not closed (no footer). {count} messages readable{until}. Run: {repair_command(bag)}"
        )
    return storage


def _closed(file: Path) -> bool:
    size = file.stat().st_size
    with open_regular(file) as stream:
        stream.seek(-min(size, len(MAGIC)), 2)
        return size >= 2 * len(MAGIC) and stream.read() == MAGIC


def unpack_file(file: Path, folder: Path, partly: bool) -> tuple[Path, list[str]]:
    """Return a packed file unpacked in `folder`, and what could not be unpacked; see `Scratch.ready`."""
    target = folder / file.name.removesuffix(".zstd")
    limit = min(_MAX_UNPACKED, _MAX_RATIO * file.stat().st_size)
    try:
        with open_regular(file) as packed, target.open("wb") as out:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            while block := reader.read1(_BLOCK):
                if out.tell() + len(block) > limit:
                    raise BagError(f"bag '{file}' unpacks to more than {limit} bytes: refusing to read it")
                out.write(block)
    except zstandard.ZstdError as error:
        if not partly:
            raise Damaged(f"cannot be unpacked: {one_line(error)}") from error
        return target, [f"{file.name} can be unpacked for {target.stat().st_size} bytes only: {one_line(error)}"]
    return target, []


def _head(file: Path) -> bytes:
    with open_regular(file) as stream:
        return stream.read(16)


def _natural(file: Path) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts _9 before _10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name))
