"""Which files a bag consists of: what metadata.yaml says, what the folder holds, what must be unpacked first."""

import re
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import zstandard

from smp_bringup import config
from smp_bringup.bag.metadata import INFORMATION, METADATA
from smp_bringup.bag.salvage import readable
from smp_bringup.bag.storage import MCAP_MAGIC, SQLITE_MAGIC, ZSTD_MAGIC
from smp_bringup.errors import BagError, ConfigError, one_line

_STORAGES = {"mcap": MCAP_MAGIC, "sqlite3": SQLITE_MAGIC}
_SUFFIXES = (".mcap", ".db3", ".zstd")
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
    packed_messages: bool
    """Whether every message is compressed by itself."""
    warnings: tuple[str, ...]
    unpacked: Unpacked | None
    """Holds what was unpacked for as long as the bag is in use."""


def find_files(path: Path) -> BagFiles:
    """Return the files of the bag at a folder or file.

    Raises:
        BagError: it does not exist, is empty, was not closed, is not a bag, or says something wrong about itself.
    """
    if path.is_file():
        return _ready(path, (path,), {}, ())
    if not path.is_dir():
        raise BagError(f"bag '{path}' does not exist")
    found = sorted((p for p in path.iterdir() if p.suffix in _SUFFIXES), key=_natural)
    if not found:
        raise BagError(f"bag '{path}' holds no .mcap or .db3 file")
    if not (path / METADATA).exists():
        count = f"found {len(found)} files, read in order" if len(found) > 1 else "reading its file by itself"
        return _ready(path, found, {}, (f"bag '{path}': {METADATA} missing, {count}",))
    told = _information(path)
    return _ready(path, [_inside(path, name) for name in told["relative_file_paths"]], told, ())


def _information(path: Path) -> dict[str, Any]:
    """Return what metadata.yaml says, checked as far as it is used."""
    try:
        told = config.read_yaml(path / METADATA)[INFORMATION]
        names, storage = told["relative_file_paths"], told["storage_identifier"]
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise ConfigError("relative_file_paths is not a list of names")
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise BagError(f"bag '{path}': {METADATA} cannot be used: {reason}") from None
    if storage not in _STORAGES:
        raise BagError(
            f"bag '{path}': storage '{one_line(storage)}' is not supported, only {', '.join(_STORAGES)}: "
            "convert it with ros2 bag convert"
        )
    packing, mode = told.get("compression_format") or "", (told.get("compression_mode") or "none").lower()
    if mode != "none" and packing != "zstd":
        raise BagError(f"bag '{path}': compression '{one_line(packing)}' is not supported, only zstd")
    return {**told, "compression_mode": mode}


def _inside(folder: Path, name: str) -> Path:
    """Return a file that metadata.yaml names; older bags name it with the folder before it."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or len(parts) > 2:
        raise BagError(f"bag '{folder}': {METADATA} names '{one_line(name)}', which leaves the bag's folder")
    if not (folder / parts[-1]).exists():
        raise BagError(f"bag '{folder}': {METADATA} names {one_line(parts[-1])}, which is not there")
    return folder / parts[-1]


def _ready(path: Path, files: Sequence[Path], told: dict[str, Any], warnings: tuple[str, ...]) -> BagFiles:
    if any(file.is_symlink() for file in files):
        raise BagError(f"bag '{path}': links are not followed; copy the files into the folder")
    unpacked, usable = None, list(files)
    for i, file in enumerate(files):
        if _head(file).startswith(ZSTD_MAGIC):
            unpacked = unpacked or Unpacked()
            usable[i] = _unpack(file, unpacked.folder)
    kinds = {_storage(usable_file, file) for usable_file, file in zip(usable, files, strict=True)}
    if len(kinds) > 1:
        raise BagError(f"bag '{path}' mixes {' and '.join(sorted(kinds))} files: read them one by one")
    storage = kinds.pop()
    if told and told["storage_identifier"] != storage:
        raise BagError(f"bag '{path}': {METADATA} says {told['storage_identifier']}, its files are {storage}")
    return BagFiles(tuple(usable), storage, told.get("compression_mode") == "message", warnings, unpacked)


def _storage(file: Path, named: Path) -> str:
    """Return the storage of a file by its first bytes; one that was not closed is refused."""
    head = _head(file)
    if not head:
        raise BagError(f"bag '{named}' is empty (0 bytes): nothing was flushed before the recorder stopped")
    storage = next((name for name, magic in _STORAGES.items() if head.startswith(magic)), None)
    if storage is None:
        raise BagError(f"bag '{named}' is not an MCAP or SQLite3 bag (starts with {head[:8].hex()})")
    if storage == "mcap":
        with file.open("rb") as stream:
            stream.seek(-min(file.stat().st_size, len(MCAP_MAGIC)), 2)
            if file.stat().st_size < 2 * len(MCAP_MAGIC) or stream.read() != MCAP_MAGIC:
                count, last_ns = readable(file)
                until = f" up to {last_ns / 1e9:.3f} s" if count else ""
                raise BagError(
                    f"bag '{named}' was not closed (no footer). {count} messages readable{until}. "
                    f"Run: smp bag repair {named.parent if named.parent.name.endswith('.partial') else named}"
                )
    return storage


def _unpack(file: Path, folder: Path) -> Path:
    target = folder / file.name.removesuffix(".zstd")
    limit = min(_MAX_UNPACKED, _MAX_RATIO * file.stat().st_size)
    try:
        with file.open("rb") as packed, target.open("wb") as out:
            reader = zstandard.ZstdDecompressor().stream_reader(packed)
            while block := reader.read(1 << 20):
                if out.tell() + len(block) > limit:
                    raise BagError(f"bag '{file}' unpacks to more than {limit} bytes: refusing to read it")
                out.write(block)
    except zstandard.ZstdError as error:
        raise BagError(f"bag '{file}' cannot be unpacked: {one_line(error)}") from error
    return target


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(16)


def _natural(file: Path) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts _9 before _10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name))
