"""The list of a checkpoint's files with their hashes; nothing is parsed before its hash is right.

The manifest also says which checkpoint a folder holds while another one takes its place: the new files wait in the
folder `NEW` inside it, the new manifest replaces the old one in one step, then the files take their places. So whoever
reads finds the whole old checkpoint or the whole new one, also where the process that writes dies in between.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from smp_bringup.documents import open_regular, parse_json, read_bytes
from smp_bringup.errors import ConfigError, ModelError, one_line

MANIFEST = "manifest.json"
NEW = ".new"
FORMAT = 2
"""Of the files of a checkpoint; format 1 had the settings of every kind of policy in one list."""
_MAX_FILE = 1 << 30
_REFUSED = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
_REFUSED_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""Zip archives (torch's format) and pickles of protocol 2 to 5, under whatever name; but these bytes may also be the
length of a safetensors header (640 of them, say), so what is whole safetensors is none of them."""
_MOST_HEADER = 100_000_000
"""Bytes that the format allows for the header of a safetensors file."""

T = TypeVar("T")


def write_checked(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `files` the checkpoint in `folder`, instead of the one that may be there.

    A kill at any instant leaves the old checkpoint (or no folder, where there was none) or the new one, whole.
    Writers wait for each other; others may read meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent):
        _write_alone(folder, files)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for other writers of checkpoints in a folder; a killed one holds nothing."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_alone(folder: Path, files: Mapping[str, bytes]) -> None:
    if not folder.exists():
        beside = folder.with_name(folder.name + ".partial")
        shutil.rmtree(beside, ignore_errors=True)
        _write(beside, files)
        beside.rename(folder)
        return
    old = _settle(folder)  # where the last writer died
    _write(folder / NEW, files)
    (folder / NEW / MANIFEST).replace(folder / MANIFEST)
    for name in old.keys() - _settle(folder).keys():
        (folder / name).unlink(missing_ok=True)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = {name: _digest(content) for name, content in sorted(files.items())}
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, "files": digests}, indent=1) + "\n", encoding="utf-8")


def _settle(folder: Path) -> dict[str, str]:
    """Let the files that wait take their places; return what the manifest lists, or nothing where it is none."""
    try:
        _, listed = _manifest(folder)
    except ModelError:
        listed = {}
    for name, digest in listed.items():
        waiting = folder / NEW / name
        if waiting.is_file() and _digest(waiting.read_bytes()) == digest:
            waiting.replace(folder / name)
    shutil.rmtree(folder / NEW, ignore_errors=True)
    return listed


def read_checked(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that the manifest lists, each with the hash that it states.

    Raises:
        ModelError: the folder or manifest is missing, a file is missing, altered, a link, too
            large, or a pickle.
    """
    return _of_one_checkpoint(folder, dict)


def open_checked(folder: Path) -> "Sealed":
    """Check every file as `read_checked` does, and keep none of them in memory."""

    def checked(files: Sealed) -> Sealed:
        for name in files:
            files[name]
        return files

    return _of_one_checkpoint(folder, checked)


class Sealed(Mapping[str, bytes]):
    """The files that a manifest lists: each is read, and its hash compared, whenever it is asked for."""

    def __init__(self, folder: Path, listed: Mapping[str, str]) -> None:
        self._folder, self._listed = folder, listed
        self.size: dict[str, int] = {}
        """Of every file that was read [bytes]."""

    def __getitem__(self, name: str) -> bytes:
        """Return what a file holds; raises ModelError where that is not what the manifest states."""
        content = _read(self._folder, name, self._listed[name])
        self.size[name] = len(content)
        return content

    def __contains__(self, name: object) -> bool:
        return name in self._listed

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def _of_one_checkpoint(folder: Path, use: "Callable[[Sealed], T]") -> T:
    """Return what `use` makes of the files of a folder; once more where another checkpoint comes in between."""
    if not folder.is_dir():
        raise ModelError(f"model folder '{folder}' does not exist: train one with smp train")
    stray = [p.name for p in folder.iterdir() if p.suffix in _REFUSED]
    if stray:
        raise ModelError(f"'{folder}/{stray[0]}': pickle-based model files are refused; export to ONNX or safetensors")
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"'{folder}' has no {MANIFEST}: it is not a checkpoint, or was copied in part")
    while True:
        before = _version(path)
        try:
            return use(_sealed(folder))
        except ModelError:
            if _version(path) == before:  # else another checkpoint took the place of this one meanwhile
                raise


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _sealed(folder: Path) -> Sealed:
    found, listed = _manifest(folder)
    if found != FORMAT:
        raise ModelError(
            f"'{folder}' is a checkpoint of format {one_line(found)}, this version reads format {FORMAT}: "
            "train it anew, or convert format 1 with tools/migrate_checkpoint.py"
        )
    return Sealed(folder, listed)


def _manifest(folder: Path) -> tuple[object, dict[str, str]]:
    """Return the format that the manifest states, and its files with their hashes; none leads out of the folder."""
    path = folder / MANIFEST
    try:
        content = parse_json(read_bytes(path), path.name)
        found, files = content.get("format", 1), content["files"]
        listed = {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ConfigError, KeyError, AttributeError) as error:
        raise ModelError(f"'{path}' is not a manifest: {one_line(error)}") from None
    for name in listed:
        if (
            Path(name).name != name or name == ".." or not name.isprintable()
        ):  # no name of a file, or one that leads out
            raise _leaves(folder, name)
    return found, listed


def _read(folder: Path, name: str, wanted: str) -> bytes:
    if (folder / NEW).is_symlink():
        raise _leaves(folder, NEW)
    found = ""
    for place in (folder, folder / NEW, folder):  # it may take its place between the first look and the second
        content = _content(place / name)
        digest = "" if content is None else _digest(content)
        if content is not None and digest == wanted:
            return content
        found = found or digest
    if not found:
        raise ModelError(f"'{folder}' lacks {name}, which its manifest lists")
    raise ModelError(f"{name} sha256 is {found[:8]}.., manifest says {wanted[:8]}..: refusing to load '{folder}'")


def _content(path: Path) -> bytes | None:
    """Return what a file holds, if it is there; raises ModelError for a link, a pickle, or one that is too large."""
    try:
        if path.is_symlink():
            raise _leaves(path.parent, path.name)
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MAX_FILE:
                raise ModelError(f"'{path}' is larger than {_MAX_FILE >> 20} MiB")
            content = file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error.strerror}") from None
    if content.startswith(_REFUSED_MAGIC) and not is_safetensors(content):
        raise ModelError(f"'{path}': pickle-based model files are refused; export to ONNX or safetensors")
    return content


def is_safetensors(content: bytes) -> bool:
    """Return whether bytes are a whole safetensors file: a header of JSON, then the tensors that it lists, no more."""
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(_MOST_HEADER, len(content) - 8):
        return False
    try:
        header = parse_json(content[8 : 8 + size], "header", _MOST_HEADER)
        header.pop("__metadata__", None)
        places = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
        ends = [0, *(end for _, end in places)]
        return [start for start, _ in places] == ends[:-1] and ends[-1] == len(content) - 8 - size
    except (ConfigError, KeyError, TypeError, ValueError):
        return False


def _leaves(folder: Path, name: str) -> ModelError:
    return ModelError(f"'{folder}': file '{one_line(name)}' leaves the model folder")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
