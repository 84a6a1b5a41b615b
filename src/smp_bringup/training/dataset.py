"""Training samples from bags, through the aligner that runs on the robot, cached as plain arrays."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smp_bringup.bag.aligned import aligned_sets, follower_trajectory, leader_trajectory, object_trajectory
from smp_bringup.bag.reader import Bag, open_bag
from smp_bringup.errors import BagError, SmpError
from smp_bringup.observation.builder import to_observation_size
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.processes import ordered
from smp_bringup.robot import Camera, Robot
from smp_bringup.types import FloatArray, ImageArray, nanoseconds

_MIN_FRAMES = 8
_ARRAYS = ("state", "objects", "action", "foresight")


@dataclass(frozen=True)
class Episode:
    """One demonstration at observation size."""

    images: dict[str, ImageArray]
    """Per camera (N, h, w, 3)."""
    state: FloatArray
    """(N, J) measured."""
    objects: FloatArray
    """(N, D) object poses; D is 0 on the camera track."""
    action: FloatArray
    """(N, T, J): leader positions at stamp + k * period, the last held after the end."""
    foresight: FloatArray
    """(N, F, J): leader positions further ahead."""
    task: str


@dataclass(frozen=True)
class Dataset:
    """All demonstrations; frames of an episode are consecutive."""

    images: dict[str, ImageArray]
    """Per camera (N, h, w, 3), memory-mapped."""
    state: FloatArray
    """(N, J)."""
    objects: FloatArray
    """(N, D)."""
    action: FloatArray
    """(N, T, J)."""
    foresight: FloatArray
    """(N, F, J)."""
    starts: np.ndarray
    """(E + 1,) first frame of each episode, and N."""
    skipped: tuple[str, ...]
    """Bags that are not in it, with the reason."""
    tasks: tuple[str, ...]
    """What the demonstrations show, sorted."""

    def windows(self, steps: int) -> np.ndarray:
        """Return frame indices (N, steps) of each frame's observation, oldest first, within its episode."""
        frames = np.arange(len(self.state))
        first = self.starts[np.searchsorted(self.starts, frames, side="right") - 1]
        return np.stack([np.maximum(frames - k, first) for k in reversed(range(steps))], axis=1)


def first_of_each(folders: Sequence[Path], limit: int | None) -> list[Path]:
    """Return the first `limit` bags of each parent folder (a task), or all."""
    seen: Counter[Path] = Counter()
    kept = []
    for folder in folders:
        seen[folder.parent] += 1
        if limit is None or seen[folder.parent] <= limit:
            kept.append(folder)
    return kept


def read_episode(folder: Path, robot: Robot, policy: PolicyConfig) -> Episode:
    """Return the demonstration in a bag, with the targets that `policy` learns from.

    Raises:
        BagError: it did not succeed, is too short, or cannot be read.
    """
    bag = open_bag(folder)
    if bag.outcome == "failure":
        raise BagError(f"bag '{folder}' is labelled a failure")
    seen = _see_cameras(bag, robot) if policy.track == "camera" else _see_state(bag, robot)
    if len(seen.stamps) < _MIN_FRAMES:
        raise BagError(f"bag '{folder}' has {len(seen.stamps)} aligned frames, at least {_MIN_FRAMES} are needed")
    stamps, leader = leader_trajectory(bag, robot)
    ahead_s = [*(np.arange(policy.horizon) * robot.action_period_s), *policy.foresight_s]
    at = seen.stamps[:, None] + np.array([nanoseconds(s) for s in ahead_s])
    base = stamps[0]  # interpolation in double precision needs small numbers
    target = np.stack([np.interp(at - base, stamps - base, column) for column in leader.T], axis=-1)
    action, foresight = np.split(target, [policy.horizon], axis=1)
    return Episode(seen.images, seen.state, seen.objects, action, foresight, bag.episode.get("task", "unnamed"))


@dataclass(frozen=True)
class _Seen:
    stamps: np.ndarray
    state: FloatArray
    objects: FloatArray
    images: dict[str, ImageArray]


def _see_cameras(bag: Bag, robot: Robot) -> _Seen:
    """Return what the deployed sync would give of cameras and joints."""
    sets = [to_observation_size(aligned, robot) for aligned in aligned_sets(bag, robot)]
    stamps = np.array([s.stamp_ns for s in sets], dtype=np.int64)
    images = {c.name: np.stack([s.images[c.name] for s in sets]) for c in robot.cameras} if sets else {}
    state = np.array([s.position for s in sets])
    return _Seen(stamps, state, np.zeros((len(sets), 0)), images)


def _see_state(bag: Bag, robot: Robot) -> _Seen:
    """Return joints and object poses at the stamps of the object poses."""
    stamps, objects = object_trajectory(bag)
    measured, position = follower_trajectory(bag, robot)
    inside = (stamps >= measured[0]) & (stamps <= measured[-1])
    stamps, objects = stamps[inside], objects[inside]
    state = [np.interp(stamps - measured[0], measured - measured[0], column) for column in position.T]
    return _Seen(stamps, np.stack(state, axis=1), objects, {})


def load_dataset(
    folders: Sequence[Path],
    robot: Robot,
    policy: PolicyConfig,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Return the dataset of bags, reading them once into `cache`; `progress` gets done and total.

    Raises:
        BagError: not one bag is usable.
    """
    seen = robot.fingerprint(tuple(c.name for c in robot.cameras))
    parts = [[bag_signature(f) for f in folders], seen, policy.track, policy.horizon, policy.foresight_s]
    target = cache / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    if not (target / "index.json").exists():
        _build(folders, robot, policy, target, progress)
    index = json.loads((target / "index.json").read_text())
    images = {
        c.name: np.load(target / f"{c.name}.npy", mmap_mode="r", allow_pickle=False) for c in _cameras(robot, policy)
    }
    arrays = {name: np.load(target / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
    return Dataset(
        images, **arrays, starts=np.array(index["starts"]), skipped=tuple(index["skipped"]), tasks=tuple(index["tasks"])
    )


def bag_signature(folder: Path) -> list[str]:
    """Return what changes when a bag is recorded anew: its files, their sizes and times."""
    files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    return [f"{f} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]


def _build(
    folders: Sequence[Path], robot: Robot, policy: PolicyConfig, target: Path, progress: Callable[[int, int], None]
) -> None:
    """Read every bag once; images go straight to disk, so that they need not fit into memory.

    The cache appears whole or not at all, whichever of several training processes is first.
    """
    whole, target = target, target.with_name(f"{target.name}.{os.getpid()}")
    target.mkdir(parents=True)
    files = {c.name: (target / f"{c.name}.raw").open("wb") for c in _cameras(robot, policy)}
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
    starts, skipped, tasks = [0], [], set()
    jobs = [(folder, robot, policy) for folder in folders]
    for done, result in enumerate(ordered(_read, jobs, 2), 1):
        progress(done, len(folders))
        if isinstance(result, str):
            skipped.append(result)
            continue
        for name, file in files.items():
            file.write(result.images[name].tobytes())
        for name, parts in arrays.items():
            parts.append(getattr(result, name).astype(np.float32))
        starts.append(starts[-1] + len(result.state))
        tasks.add(result.task)
    for file in files.values():
        file.close()
    if len(starts) == 1:
        raise BagError(f"none of {len(folders)} bags can be trained on; the first: {skipped[0]}")
    for camera in _cameras(robot, policy):
        shape = (starts[-1], camera.observation_height, camera.observation_width, 3)
        raw = target / f"{camera.name}.raw"
        np.save(target / f"{camera.name}.npy", np.memmap(raw, np.uint8, "r", shape=shape))
        raw.unlink()
    for name, parts in arrays.items():
        np.save(target / f"{name}.npy", np.concatenate(parts))
    (target / "index.json").write_text(json.dumps({"starts": starts, "skipped": skipped, "tasks": sorted(tasks)}))
    try:
        target.rename(whole)
    except OSError:  # another process was first
        shutil.rmtree(target)


def _cameras(robot: Robot, policy: PolicyConfig) -> tuple[Camera, ...]:
    return robot.cameras if policy.track == "camera" else ()


def _read(job: tuple[Path, Robot, PolicyConfig]) -> Episode | str:
    try:
        return read_episode(*job)
    except SmpError as error:
        return str(error)
