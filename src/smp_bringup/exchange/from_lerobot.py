"""A LeRobotDataset v3.0 to bags that train and replay like our own."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smp_bringup import config
from smp_bringup.bag.episode import IMPORTED, ROBOT_ATTACHMENT, slug
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError, ConfigError, one_line
from smp_bringup.exchange import layout
from smp_bringup.exchange.video import read_video
from smp_bringup.robot import Robot
from smp_bringup.types import NS_PER_S, FloatArray

START_NS = 1_700_000_000 * NS_PER_S
"""Stamps of an episode begin here where the dataset keeps none."""
_OUTCOME = {"success": True, "failure": False}


def import_dataset(
    dataset: Path,
    out: Path,
    robot: Robot | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write every episode of a dataset as a bag below `out`/task; return the folders.

    Args:
        dataset: its root folder.
        out: of the bags.
        robot: the dataset's own, if None and we wrote it.
        progress: gets done and total.

    Raises:
        BagError: it is no such dataset, or does not fit the robot.
    """
    info = _json(dataset / layout.INFO)
    if info.get("codebase_version") != layout.VERSION:
        found = one_line(info.get("codebase_version"))
        raise BagError(
            f"dataset '{dataset}' has version {found}, only {layout.VERSION} is read: convert it with LeRobot"
        )
    origin = _json(dataset / layout.ORIGIN) if (dataset / layout.ORIGIN).exists() else {}
    robot = _without_latencies(robot or _own_robot(dataset, origin))
    order = _fit(dataset, info, robot)
    rows = [row for path in sorted((dataset / "meta/episodes").rglob("*.parquet")) for row in _table(path).to_pylist()]
    folders = []
    for done, row in enumerate(rows, 1):
        told = json.loads(origin.get(str(row["episode_index"]), {}).get("episode.json", "{}"))
        task = told.get("task") or (row["tasks"] or ["unnamed"])[0]
        folder = out / slug(task) / f"episode_{row['episode_index']:05d}"
        writer = BagWriter(folder, robot, task)
        try:
            _write_episode(writer, dataset, info, robot, row, order)
            outcome = _OUTCOME.get(told.get("outcome", "unlabelled"))
            folders.append(writer.close(outcome, {IMPORTED: one_line(dataset.name)}))
        except BaseException:
            if not folder.exists():
                writer.discard()
            raise
        progress(done, len(rows))
    return folders


def _own_robot(dataset: Path, origin: dict[str, Any]) -> Robot:
    first: dict[str, str] = next(iter(origin.values()), {})
    known = first.get(ROBOT_ATTACHMENT)
    if known is None:
        raise BagError(f"dataset '{dataset}' carries no robot file: name the robot with --robot")
    return config.build(Robot, config.parse_yaml(str(known), ROBOT_ATTACHMENT), ROBOT_ATTACHMENT)


def _without_latencies(robot: Robot) -> Robot:
    """Return the robot as its data are in a dataset, where what belongs together stands in one row."""
    arms = tuple(replace(arm, latency_s=0.0) for arm in robot.arms)
    return replace(robot, arms=arms, cameras=tuple(replace(camera, latency_s=0.0) for camera in robot.cameras))


def _fit(dataset: Path, info: dict[str, Any], robot: Robot) -> list[int]:
    """Return where each joint of the robot stands in the dataset's vectors; raises BagError where it does not fit."""
    features = info.get("features", {})
    wanted = [layout.STATE, layout.ACTION, *(layout.IMAGES + c.name for c in robot.cameras)]
    missing = [name for name in wanted if name not in features]
    if missing:
        raise BagError(f"dataset '{dataset}' lacks {', '.join(missing)}; it has {one_line(', '.join(features))}")
    for camera in robot.cameras:
        shape, size = features[layout.IMAGES + camera.name]["shape"], [camera.height, camera.width, 3]
        if list(shape) != size:
            raise BagError(f"dataset '{dataset}': camera '{camera.name}' is {shape}, the robot file says {size}")
    names = features[layout.STATE].get("names")
    names = next(iter(names.values())) if isinstance(names, dict) else names
    if names and set(robot.joint_names) <= set(names):
        return [names.index(joint) for joint in robot.joint_names]
    count = features[layout.STATE]["shape"][0]
    if count != robot.dof:
        raise BagError(f"dataset '{dataset}' has {count} joints, robot '{robot.name}' has {robot.dof}")
    return list(range(robot.dof))


def _write_episode(
    writer: BagWriter, dataset: Path, info: dict[str, Any], robot: Robot, row: dict[str, Any], order: list[int]
) -> None:
    place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    table = _table(dataset / info["data_path"].format(**place))
    mine = np.array(table["episode_index"].to_pylist()) == row["episode_index"]
    table = table.filter(pa.array(mine))
    state, action = (_rows(table, name)[:, order] for name in (layout.STATE, layout.ACTION))
    if layout.STAMP in table.column_names:
        stamps = np.array(table[layout.STAMP].to_pylist(), dtype=np.int64)
    else:
        stamps = START_NS + np.round(np.array(table["timestamp"].to_pylist()) * NS_PER_S).astype(np.int64)
    videos = [_frames(dataset, info, row, layout.IMAGES + camera.name) for camera in robot.cameras]
    written = 0
    for k, images in enumerate(zip(*videos, strict=False)):
        if k >= len(stamps):
            break
        _write_frame(writer, robot, int(stamps[k]), state[k], action[k], images)
        written += 1
    if written != len(stamps):
        raise BagError(f"dataset '{dataset}', episode {row['episode_index']}: {len(stamps)} rows, {written} images")


def _write_frame(
    writer: BagWriter, robot: Robot, at_ns: int, state: FloatArray, action: FloatArray, images: Sequence[np.ndarray]
) -> None:
    for arm in robot.arms:
        names, part = tuple(joint.name for joint in arm.joints), robot.arm_slices[arm.name]
        for topic, values in ((arm.state_topic, state), (arm.leader_topic, action)):
            writer.write(topic, JOINT_STATE, at_ns, joint_state_cdr(at_ns, names, values[part]))
    for camera, image in zip(robot.cameras, images, strict=True):
        writer.write(camera.topic, IMAGE, at_ns, image_cdr(at_ns, camera.name, image))


def _frames(dataset: Path, info: dict[str, Any], row: dict[str, Any], key: str) -> Iterator[np.ndarray]:
    head = f"videos/{key}"
    chunk, file = row[f"{head}/chunk_index"], row[f"{head}/file_index"]
    path = dataset / info["video_path"].format(chunk_index=chunk, file_index=file, video_key=key)
    return read_video(path, row[f"{head}/from_timestamp"], row[f"{head}/to_timestamp"])


def _rows(table: pa.Table, name: str) -> FloatArray:
    return np.array(table[name].to_pylist(), dtype=np.float64)


def _table(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise BagError(f"'{path}' cannot be read: {one_line(error)}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BagError(
            f"'{path}' cannot be read: {one_line(error)}; is it a LeRobotDataset {layout.VERSION}?"
        ) from None
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' does not hold a JSON object")
    return data
