"""The list of a checkpoint's files with their hashes; nothing is parsed before its hash is right."""

import hashlib
import json
from pathlib import Path

from smp_bringup.errors import ModelError, one_line

MANIFEST = "manifest.json"
FORMAT = 2
"""Of the files of a checkpoint; format 1 had the settings of every kind of policy in one list."""
_MAX_FILE = 1 << 30
_REFUSED = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
_REFUSED_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""Zip archives (torch's format) and pickles of protocol 2 to 5, under whatever name."""


def write_manifest(folder: Path) -> None:
    """Write the manifest of every other file in `folder`."""
    files = {p.name: _digest(p.read_bytes()) for p in sorted(folder.iterdir()) if p.name != MANIFEST}
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n", encoding="utf-8")


def read_checked(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that the manifest lists, each with the hash that it states.

    Raises:
        ModelError: the folder or manifest is missing, a file is missing, altered, a link, too
            large, or a pickle.
    """
    if not folder.is_dir():
        raise ModelError(f"model folder '{folder}' does not exist: train one with smp train")
    stray = [p.name for p in folder.iterdir() if p.suffix in _REFUSED]
    if stray:
        raise ModelError(f"'{folder}/{stray[0]}': pickle-based model files are refused; export to ONNX or safetensors")
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"'{folder}' has no {MANIFEST}: it is not a checkpoint, or was copied in part")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, files = content.get("format", 1), content["files"]
        wanted = {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"'{path}' is not a manifest: {one_line(error)}") from None
    if found != FORMAT:
        raise ModelError(
            f"'{folder}' is a checkpoint of format {one_line(found)}, this version reads format {FORMAT}: "
            "train it anew, or convert format 1 with tools/migrate_checkpoint.py"
        )
    return {name: _read(folder, name, digest) for name, digest in wanted.items()}


def _read(folder: Path, name: str, wanted: str) -> bytes:
    path = folder / name
    if Path(name).name != name or path.is_symlink():
        raise ModelError(f"'{folder}': file '{one_line(name)}' leaves the model folder")
    if not path.is_file():
        raise ModelError(f"'{folder}' lacks {name}, which its manifest lists")
    if path.stat().st_size > _MAX_FILE:
        raise ModelError(f"'{path}' is larger than {_MAX_FILE >> 20} MiB")
    content = path.read_bytes()
    if content.startswith(_REFUSED_MAGIC):
        raise ModelError(f"'{path}': pickle-based model files are refused; export to ONNX or safetensors")
    found = _digest(content)
    if found != wanted:
        raise ModelError(f"{name} sha256 is {found[:8]}.., manifest says {wanted[:8]}..: refusing to load '{folder}'")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
