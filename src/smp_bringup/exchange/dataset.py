"""A LeRobotDataset v3.0 or v2.1 as its files say it: features, episodes, rows, images, none of it believed unread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from smp_bringup.documents import json_value
from smp_bringup.errors import BagError, one_line
from smp_bringup.exchange.foreign_files import (
    columns_of,
    filled,
    read_json,
    read_lines,
    read_table,
    reading,
    vectors,
    whole_numbers,
)
from smp_bringup.mapping import layout
from smp_bringup.output import require_utf8
from smp_bringup.types import FloatArray

_MAX_RATE_HZ = 1000.0
_LONGEST_S = 1e6
_HALF = 0.5
"""A frame belongs to a row if it is less than so many periods away."""


@dataclass(frozen=True)
class Episode:
    """One row of meta/episodes."""

    number: int
    length: int
    tasks: tuple[str, ...]
    row: Mapping[str, Any]

    def whole(self, key: str) -> int:
        """Return a whole number of the row; raises BagError where it is none."""
        value = self.row.get(key)
        if type(value) is not int or not 0 <= value < 1 << 31:
            raise BagError(f"episode {self.number}: {key} in meta/episodes is {one_line(value)[:40]}, no whole number")
        return value

    def seconds(self, key: str) -> float:
        """Return a time [s] of the row; raises BagError where it is none."""
        value = self.row.get(key)
        if not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise BagError(f"episode {self.number}: {key} in meta/episodes is {one_line(value)[:40]}, no time")
        return float(value)


class Dataset:
    """The metadata of a dataset; raises BagError for what does not hold together."""

    def __init__(self, root: Path) -> None:
        """Read meta/info.json."""
        self.root = root
        require_utf8(root)
        if not root.is_dir():
            raise BagError(f"dataset '{root}' is no folder: name the one that holds meta/info.json")
        if not (root / layout.INFO).is_file():
            raise BagError(f"dataset '{root}' has no {layout.INFO}: is it a LeRobotDataset {layout.VERSION}?")
        self.info = read_json(root / layout.INFO)
        found = self.info.get("codebase_version")
        if found not in (layout.VERSION, layout.OLD_VERSION):
            raise BagError(
                f"dataset '{root}' has version {one_line(found)[:40]}, {layout.VERSION} and {layout.OLD_VERSION} are "
                "read: convert with LeRobot"
            )
        self._old = found == layout.OLD_VERSION
        features, rate = self.info.get("features"), self.info.get("fps")
        if not isinstance(features, dict) or not all(isinstance(f, dict) for f in features.values()):
            raise BagError(f"dataset '{root}': features in {layout.INFO} must map names to their shapes and types")
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= _MAX_RATE_HZ:
            raise BagError(
                f"dataset '{root}': fps in {layout.INFO} is {one_line(repr(rate))[:40]}, expected a number up to 1000"
            )
        self.features: dict[str, dict[str, Any]] = features
        self.rate_hz = float(rate)

    @cached_property
    def origin(self) -> dict[str, dict[str, str]]:
        """The attachments of each episode's bag, by its number; nothing, where we did not write the dataset."""
        path = self.root / layout.ORIGIN
        data = read_json(path) if path.exists() else {}
        for files in data.values():
            if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
                raise BagError(f"'{path}' must map episodes to files and their texts")
        return data

    def told(self, episode: Episode) -> dict[str, Any]:
        """Return what the bag of an episode said of it, where we wrote the dataset."""
        with reading(self.root / layout.ORIGIN):
            told = json_value(self.origin.get(str(episode.number), {}).get("episode.json", "{}"))
        return told if isinstance(told, dict) else {}

    @cached_property
    def episodes(self) -> list[Episode]:
        """All episodes by number; raises BagError where one is missing, twice there, or not told in whole."""
        found: dict[int, Episode] = {}
        for path, row in self._episode_rows():
            episode = _episode(path, row)
            if episode.number in found:
                raise BagError(f"'{path}' names episode {episode.number} twice")
            found[episode.number] = episode
        total = self.info.get("total_episodes")
        if not found or (type(total) is int and total != len(found)):
            shown = one_line(total)[:40]
            raise BagError(
                f"dataset '{self.root}': {layout.INFO} says {shown} episodes, meta/episodes names {len(found)}"
            )
        return [found[number] for number in sorted(found)]

    def _episode_rows(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield what is said of each episode, and the file that says it."""
        if self._old:
            path = self.root / layout.OLD_EPISODES
            yield from ((path, row) for row in read_lines(path))
            return
        for path in sorted((self.root / "meta/episodes").rglob("*.parquet")):
            columns = [name for name in columns_of(path) if not name.startswith("stats/")]
            table = read_table(path, columns)
            with reading(path):
                rows = table.to_pylist()
            yield from ((path, row) for row in rows)

    @cached_property
    def tasks(self) -> dict[int, str]:
        """Texts of the tasks by number; nothing, where the dataset has no such table."""
        if self._old:
            path = self.root / layout.OLD_TASKS
            rows = read_lines(path) if path.exists() else []
            return {row[layout.TASK]: str(row.get("task")) for row in rows if type(row.get(layout.TASK)) is int}
        path = self.root / layout.TASKS
        if not path.exists():
            return {}
        names = columns_of(path)
        text = next((name for name in ("task", "__index_level_0__") if name in names), None)
        if text is None:
            return {}
        table = read_table(path, [layout.TASK, text])
        numbers = whole_numbers(table, layout.TASK, path)
        return dict(zip(numbers.tolist(), map(str, table[text].to_pylist()), strict=True))

    def size(self, key: str) -> tuple[int, int]:
        """Return (height, width) of a camera's images, whichever axis comes first."""
        feature = self.features[key]
        shape, names = feature.get("shape"), feature.get("names")
        if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)):
            raise BagError(
                f"dataset '{self.root}': {key} has shape {one_line(shape)[:60]}, expected [height, width, 3]"
            )
        if isinstance(names, list) and len(names) == 3 and all(isinstance(name, str) for name in names):
            first = names[0].startswith("channel")
        else:
            first = shape[0] == 3 != shape[2]
        height, width, channels = (shape[1], shape[2], shape[0]) if first else shape
        if channels != 3:
            raise BagError(f"dataset '{self.root}': {key} has {channels} channels, only images of 3 are read")
        return height, width

    def table_path(self, episode: Episode) -> Path:
        """Return where the rows of an episode are."""
        if self._old:
            return filled(self.root, self.info.get("data_path"), self._old_place(episode))
        place = {name: episode.whole(f"data/{name}") for name in ("chunk_index", "file_index")}
        return filled(self.root, self.info.get("data_path"), place)

    def video(self, episode: Episode, key: str) -> tuple[Path, float]:
        """Return the video of a camera, and where in it [s] an episode begins."""
        if self._old:
            return filled(self.root, self.info.get("video_path"), self._old_place(episode) | {"video_key": key}), 0.0
        head = f"videos/{key}"
        place = {name: episode.whole(f"{head}/{name}") for name in ("chunk_index", "file_index")}
        start, end = episode.seconds(f"{head}/from_timestamp"), episode.seconds(f"{head}/to_timestamp")
        if (end - start) * self.rate_hz < episode.length - _HALF:
            raise BagError(
                f"episode {episode.number}: {key} lasts {end - start:.3f} s, "
                f"its {episode.length} rows need more at {self.rate_hz:g} Hz"
            )
        return filled(self.root, self.info.get("video_path"), place | {"video_key": key}), start

    def require_own_frames(self, key: str) -> None:
        """Raise BagError where two episodes would be shown by the same frames of a camera's video."""
        shown: dict[Path, list[tuple[float, float, int]]] = {}
        for episode in self.episodes:
            path, start_s = self.video(episode, key)
            end_s = start_s + (episode.length - _HALF) / self.rate_hz
            shown.setdefault(path, []).append((start_s, end_s, episode.number))
        for path, places in shown.items():
            for (_, end_s, one), (start_s, _, other) in pairwise(sorted(places)):
                if start_s < end_s:
                    raise BagError(
                        f"'{path}': frames of episode {one} end at {end_s:.3f} s, those of episode {other} begin at "
                        f"{start_s:.3f} s: from_timestamp of {key} in meta/episodes cannot be right"
                    )

    def _old_place(self, episode: Episode) -> dict[str, int | str]:
        """Return what stands in the paths of v2.1, which has a file for each episode."""
        size = self.info.get("chunks_size")
        if type(size) is not int or size < 1:
            raise BagError(f"dataset '{self.root}': chunks_size in {layout.INFO} is {one_line(size)[:40]}, no number")
        return {"episode_chunk": episode.number // size, "episode_index": episode.number}


def _episode(path: Path, row: Mapping[str, Any]) -> Episode:
    number, length, tasks = row.get("episode_index"), row.get("length"), row.get("tasks") or []
    if type(number) is not int or not 0 <= number < 1_000_000 or type(length) is not int or length < 1:
        shown = one_line(f"episode_index {number}, length {length}")[:80]
        raise BagError(f"'{path}' has an episode with {shown}; both must be whole numbers, length at least 1")
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise BagError(f"'{path}', episode {number}: tasks must be a list of texts")
    return Episode(number, length, tuple(tasks), row)


@dataclass(frozen=True)
class Rows:
    """The rows of one episode, in order."""

    table: pa.Table
    path: Path
    vectors: Mapping[str, FloatArray]
    """(N, D) by feature."""
    frame: np.ndarray
    """(N,) number of each row's frame in the episode."""
    time_s: FloatArray
    """(N,) its timestamp."""


class Tables:
    """The rows of episodes; each file is read once, while its episodes are asked for one after another."""

    def __init__(self, dataset: Dataset, widths: Mapping[str, int], others: Sequence[str] = ()) -> None:
        """Take the width of each vector, and `others` to have in the table, beside stamp and task where they are."""
        self._dataset, self._widths = dataset, dict(widths)
        self._columns = [*widths, layout.TIMESTAMP, layout.FRAME, layout.EPISODE, *others]
        self._path: Path | None = None
        self._table: pa.Table = None
        self._order = self._sorted = np.empty(0, dtype=np.int64)

    def rows(self, episode: Episode) -> Rows:
        """Return the rows of an episode; raises BagError where one is missing, or out of step with its time."""
        path = self._dataset.table_path(episode)
        if path != self._path:
            optional = [name for name in columns_of(path) if name in (layout.STAMP, layout.TASK)]
            self._table = read_table(path, [*self._columns, *optional])
            numbers = whole_numbers(self._table, layout.EPISODE, path)
            self._order = np.argsort(numbers, kind="stable")
            self._sorted, self._path = numbers[self._order], path
        first, end = np.searchsorted(self._sorted, [episode.number, episode.number + 1])
        if end - first != episode.length:
            raise BagError(
                f"'{path}' has {end - first} rows of episode {episode.number}, meta/episodes says {episode.length}"
            )
        mine = np.sort(self._order[first:end])
        with reading(path):
            table = self._table.take(pa.array(mine))
        frame = whole_numbers(table, layout.FRAME, path)
        time_s = vectors(table, layout.TIMESTAMP, 1, path)[:, 0]
        apart = (time_s - time_s[0]) * self._dataset.rate_hz - (frame - frame[0])
        if np.any(np.diff(frame) <= 0) or np.any(np.diff(time_s) <= 0) or np.abs(apart).max() >= _HALF:
            raise BagError(
                f"'{path}', episode {episode.number}: {layout.TIMESTAMP} and {layout.FRAME} do not rise together at "
                f"{self._dataset.rate_hz:g} Hz"
            )
        if frame[0] < 0 or frame[-1] > 1 << 31 or time_s[-1] - time_s[0] > _LONGEST_S:
            raise BagError(f"'{path}', episode {episode.number}: {layout.FRAME} or {layout.TIMESTAMP} is out of bounds")
        values = {name: vectors(table, name, width, path) for name, width in self._widths.items()}
        return Rows(table, path, values, frame, time_s)


def frame_times(dataset: Dataset, start_s: float, rows: Rows) -> tuple[list[float], float]:
    """Return when [s] the frame of each row is shown in a video, and how far off [s] it may be."""
    return (start_s + rows.frame / dataset.rate_hz).tolist(), _HALF / dataset.rate_hz
