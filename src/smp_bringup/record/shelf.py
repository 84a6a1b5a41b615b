"""What lies in a folder of bags, as a list that a page shows; read without looking into the messages."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smp_bringup.bag.files import folder_metadata
from smp_bringup.bag.marks import MARK, OUTCOME, TRAINING, USE, read_marks
from smp_bringup.bag.metadata import METADATA
from smp_bringup.bag.tree import bag_folders
from smp_bringup.errors import BagError, one_line
from smp_bringup.record.stops import STOPPED

_MOST = 1000
"""Episodes of a list, the newest."""
_LONGEST = 300
_WORD = re.compile("[a-z_]{1,20}")
_known: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
"""What was read before, by folder, and the times of its files."""


def shelf(root: Path) -> list[dict[str, Any]]:
    """Return the bags below a folder, the newest first; of each name, task, outcome, verdict, use, length, time, size.

    Links are not followed: what is listed lies in the folder.
    """
    try:
        folders = bag_folders(root)
    except BagError:
        return []
    inside = root.resolve()
    entries = [_entry(root, folder) for folder in folders if folder.resolve().is_relative_to(inside)]
    return sorted(entries, key=lambda entry: (-entry["at_s"], entry["name"]))[:_MOST]


def _entry(root: Path, folder: Path) -> dict[str, Any]:
    times = _time(folder / METADATA), _time(folder / MARK)
    before, entry = _known.get(str(folder), ((0, 0), {}))
    if before != times or not entry:
        entry = _read(root, folder)
        _known[str(folder)] = times, entry
    return entry


def _time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _read(root: Path, folder: Path) -> dict[str, Any]:
    told, wrong = folder_metadata(folder)
    said = told.get("custom_data")
    words = {str(k): one_line(str(v)[:_LONGEST]) for k, v in said.items()} if isinstance(said, Mapping) else {}
    try:
        words |= read_marks(folder)
    except BagError as error:
        wrong = wrong or str(error)
    at_s = _number(told, "starting_time", "nanoseconds_since_epoch") / 1e9
    quality = words.get("quality", "")
    return {
        "name": one_line(folder.relative_to(root)),
        "path": str(folder.absolute()),
        "task": words.get("task", "") or "unnamed",
        "outcome": words.get(OUTCOME, "unlabelled"),
        "quality": quality if _WORD.fullmatch(quality) else "unknown",
        "reasons": [reason for reason in words.get("reasons", "").split("; ") if reason],
        "use": words.get(USE, TRAINING),
        "stopped": words.get(STOPPED, ""),
        "check": words.get("stopped_check", ""),
        "reason": words.get("stopped_reason", ""),
        "when": words.get("stopped_at", "").replace("T", " ")[:19],
        "at_s": at_s,
        "date": _date(at_s),
        "duration_s": round(_number(told, "duration", "nanoseconds") / 1e9, 2),
        "mib": round(sum(_size(file) for file in folder.iterdir()) / (1 << 20), 2),
        "wrong": one_line(wrong)[:_LONGEST],
    }


def _number(told: Mapping[str, Any], key: str, unit: str) -> int:
    """Return a time of metadata.yaml [ns]; 0 where it says none."""
    inner = told.get(key)
    value = inner.get(unit) if isinstance(inner, Mapping) else None
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else 0


def _date(at_s: float) -> str:
    """Return the day of a time; nothing of one before clocks were set."""
    return datetime.fromtimestamp(at_s, UTC).astimezone().date().isoformat() if at_s > 1e9 else ""


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0
