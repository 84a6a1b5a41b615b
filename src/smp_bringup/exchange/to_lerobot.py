"""Bags to a LeRobotDataset v3.0: Parquet and MP4, one file an episode."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smp_bringup.bag.aligned import aligned_sets, camera_topics, leader_trajectory
from smp_bringup.bag.reader import Bag, open_bag
from smp_bringup.camera import Camera
from smp_bringup.documents import shown
from smp_bringup.errors import BagError, one_line
from smp_bringup.exchange import statistics
from smp_bringup.exchange.video import pixel_format, write_video
from smp_bringup.mapping import layout
from smp_bringup.output import require_utf8
from smp_bringup.robot import Robot

_MOST_LEFT_OUT = 0.1
"""Share of the reference camera's frames that may be left out without a word: the ends of an episode."""


@dataclass(frozen=True)
class Exported:
    """What became of bags."""

    episodes: int
    frames: int
    said: tuple[str, ...]
    """What a dataset cannot hold, or is better not trained on, a sentence each."""


@dataclass
class _Dataset:
    """What grows episode by episode."""

    robot: Robot
    out: Path
    kind: str
    tasks: list[str] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def videos(self) -> list[Camera]:
        """The cameras in colour: a video of 8 bits a colour cannot hold depth."""
        return [camera for camera in self.robot.cameras if not camera.depth]

    @property
    def rate_hz(self) -> int:
        """Frames per second: those of the reference camera."""
        return round(self.robot.cameras[0].rate_hz)


def export(
    bags: Sequence[Path],
    out: Path,
    kind: str = "lossless",
    failures: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write successful (or unlabelled) bags as a dataset.

    Args:
        bags: folders or files, all of one robot.
        out: new folder.
        kind: of video, see `video.CODECS`.
        failures: whether failed episodes are exported too.
        progress: gets done and total.

    Raises:
        OutputError: the name of `out` is no UTF-8.
        BagError: `out` exists or cannot be written, a bag cannot be read or is of another robot, or none is left;
            nothing is left behind then.
    """
    require_utf8(out)
    if out.exists():
        raise BagError(f"'{out}' exists already: choose another folder")
    opened = [open_bag(path) for path in bags]
    chosen = [bag for bag in opened if failures or bag.outcome != "failure"]
    if not chosen:
        raise BagError(f"all {len(opened)} bags are labelled failures: --failures exports them too")
    robot = chosen[0].robot()
    for bag in chosen:
        other = bag.robot()
        unlike = other.unlike(robot) or ("other videos" if _videos(other) != _videos(robot) else "")
        if unlike:
            where = chosen[0].path
            raise BagError(f"bag '{bag.path}' is of another robot than '{where}': {unlike}; export them apart")
    data = _Dataset(robot, out.with_name(out.name + _PARTIAL), kind)
    _require_rate(data)
    if left_out := [camera.name for camera in robot.cameras if camera.depth]:
        data.said.append(
            f"depth of {', '.join(left_out)} is not exported, it stays in the bags: "
            "videos hold 8 bits a colour, depth has 16"
        )
    try:
        shutil.rmtree(data.out, ignore_errors=True)
        data.out.mkdir(parents=True)
        for done, bag in enumerate(chosen, 1):
            bag.verify()
            _episode(data, bag)
            progress(done, len(chosen))
        _finish(data)
        data.out.rename(out)
    except OSError as error:
        raise BagError(f"dataset '{out}' cannot be written: {one_line(error.strerror or error)}") from error
    finally:
        shutil.rmtree(data.out, ignore_errors=True)
    return Exported(len(data.episodes), data.frames, tuple(data.said))


def _require_rate(data: _Dataset) -> None:
    """Raise BagError for a rate that the format cannot hold, of whole frames a second; say what is rounded."""
    camera = data.robot.cameras[0]
    if data.rate_hz < 1:
        raise BagError(
            f"camera '{camera.name}' gives {camera.rate_hz:g} frames a second, "
            "a LeRobotDataset holds whole numbers from 1 on"
        )
    if data.rate_hz != camera.rate_hz:
        data.said.append(
            f"camera '{camera.name}' gives {camera.rate_hz:g} frames a second, the dataset says {data.rate_hz}: "
            f"the format holds whole ones; the exact times are in {layout.STAMP}"
        )


def _say_what_is_odd(data: _Dataset, bag: Bag, frames: int) -> None:
    """Note that an episode was rejected, or that many of its frames are left out."""
    if bag.episode.get("quality") == "reject":
        reasons = shown(bag.episode.get("reasons", "")) or "no reason given"
        data.said.append(f"bag '{bag.path}' was rejected by its recorder and is exported all the same: {reasons}")
    reference = data.robot.cameras[0]
    there = sum(bag.counts[topic] for topic, camera in camera_topics(bag, data.robot).items() if camera is reference)
    if frames < (1 - _MOST_LEFT_OUT) * there:
        data.said.append(
            f"bag '{bag.path}': {frames} of {there} frames of {reference.name} are exported, "
            "the others have no images and states within the aligner's reach"
        )


_PARTIAL = ".partial"
"""What is written has this after its name until it is whole."""


def _videos(robot: Robot) -> list[tuple[str, int, int, float]]:
    return [(c.name, c.width, c.height, c.rate_hz) for c in robot.cameras]


def _episode(data: _Dataset, bag: Bag) -> None:
    robot, number = bag.robot(), len(data.episodes)
    sets = list(aligned_sets(bag, robot))
    if not sets:
        raise BagError(f"bag '{bag.path}': not one frame is complete")
    _say_what_is_odd(data, bag, len(sets))
    stamps, leader = leader_trajectory(bag, robot)
    at = np.array([s.stamp_ns for s in sets], dtype=np.int64)
    action = np.stack([np.interp(at - stamps[0], stamps - stamps[0], column) for column in leader.T], axis=1)
    text = bag.episode.get("text") or bag.episode.get("task") or "unnamed"
    if text not in data.tasks:
        data.tasks.append(text)
    count = len(sets)
    columns: dict[str, np.ndarray] = {
        layout.STATE: np.stack([s.position for s in sets]).astype(np.float32),
        layout.ACTION: action.astype(np.float32),
        layout.STAMP: at,
        layout.TIMESTAMP: (np.arange(count) / data.rate_hz).astype(np.float32),
        layout.FRAME: np.arange(count),
        layout.EPISODE: np.full(count, number),
        "index": data.frames + np.arange(count),
        layout.TASK: np.full(count, data.tasks.index(text)),
    }
    columns |= {
        layout.VECTORS + vector.name: np.stack([s.vectors[vector.name] for s in sets]).astype(np.float32)
        for vector in data.robot.vectors
    }
    _write(data.out / layout.place(layout.DATA, number), {k: _column(v) for k, v in columns.items()})
    stats = {name: statistics.of_rows(np.atleast_2d(values.T).T) for name, values in columns.items()}
    for camera in data.videos:
        key, frames = layout.IMAGES + camera.name, [s.images[camera.name] for s in sets]
        write_video(data.out / layout.place(layout.VIDEO, number, key), frames, data.rate_hz, data.kind)
        stats[key] = statistics.of_images(frames)
    data.episodes.append(_row(data, number, text, count, stats))
    data.attachments[str(number)] = dict(bag.attachments) | {"episode.json": json.dumps(dict(bag.episode))}
    data.frames += count


def _row(data: _Dataset, number: int, text: str, count: int, stats: Mapping[str, statistics.Stats]) -> dict[str, Any]:
    """Return what meta/episodes says of an episode."""
    chunk, file = divmod(number, layout.FILES_PER_CHUNK)
    row: dict[str, Any] = {
        "episode_index": number,
        "tasks": [text],
        "length": count,
        "data/chunk_index": chunk,
        "data/file_index": file,
        "dataset_from_index": data.frames,
        "dataset_to_index": data.frames + count,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }
    for camera in data.videos:
        head = f"videos/{layout.IMAGES}{camera.name}"
        row |= {f"{head}/chunk_index": chunk, f"{head}/file_index": file}
        row |= {f"{head}/from_timestamp": 0.0, f"{head}/to_timestamp": count / data.rate_hz}
    return row | {f"stats/{name}/{word}": value for name, each in stats.items() for word, value in each.items()}


def _finish(data: _Dataset) -> None:
    out, robot = data.out, data.robot
    rows = data.episodes
    _write(out / layout.place(layout.EPISODES, 0), {key: pa.array([row[key] for row in rows]) for key in rows[0]})
    _write_tasks(out / layout.TASKS, data.tasks)
    joints = list(robot.joint_names)
    features: dict[str, Any] = {
        layout.STATE: {"dtype": "float32", "shape": [robot.dof], "names": joints},
        layout.ACTION: {"dtype": "float32", "shape": [robot.dof], "names": joints},
        layout.STAMP: {"dtype": "int64", "shape": [1], "names": None},
    }
    for vector in robot.vectors:
        shape, names = [vector.length], list(vector.entries)
        features[layout.VECTORS + vector.name] = {"dtype": "float32", "shape": shape, "names": names}
    for camera in data.videos:
        features[layout.IMAGES + camera.name] = {
            "dtype": "video",
            "shape": [camera.height, camera.width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": camera.height,
                "video.width": camera.width,
                "video.codec": "h264",
                "video.pix_fmt": pixel_format(data.kind, camera.width, camera.height),
                "video.is_depth_map": False,
                "video.fps": data.rate_hz,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    for name, dtype in layout.INDEX_FEATURES.items():
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    info = {
        "codebase_version": layout.VERSION,
        "robot_type": robot.name,
        "total_episodes": len(rows),
        "total_frames": data.frames,
        "total_tasks": len(data.tasks),
        "chunks_size": layout.FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": data.rate_hz,
        "splits": {"train": f"0:{len(rows)}"},
        "data_path": layout.DATA,
        "video_path": layout.VIDEO,
        "features": features,
    }
    _write_json(out / layout.INFO, info)
    _write_json(out / layout.STATS, {name: statistics.of_all(rows, name) for name in features})
    _write_json(out / layout.ORIGIN, data.attachments)


def _column(values: np.ndarray) -> pa.Array:
    """Return rows as a column; LeRobot keeps vectors of one entry as numbers."""
    if values.ndim == 1 or values.shape[1] == 1:
        return pa.array(values.ravel())
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """Write the tasks as pandas does a frame whose index is the text: readers find them through that index."""
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {**index, "name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": [number, index], "pandas_version": "2.2.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path, write_page_checksum=True)


def _write(path: Path, columns: dict[str, pa.Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, write_page_checksum=True)


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
