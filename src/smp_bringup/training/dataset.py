"""Training samples from bags, through the aligner that runs on the robot, cached as plain arrays."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from smp_bringup.errors import BagError, SmpError
from smp_bringup.observation.builder import to_observation_size
from smp_bringup.replay.aligned import aligned_sets, leader_trajectory
from smp_bringup.replay.reader import open_bag
from smp_bringup.robot import Robot, load_robot
from smp_bringup.types import FloatArray, ImageArray, nanoseconds

_MIN_FRAMES = 8


@dataclass(frozen=True)
class Episode:
    """One demonstration at observation size."""

    images: dict[str, ImageArray]
    """Per camera (N, h, w, 3)."""
    state: FloatArray
    """(N, J) measured."""
    action: FloatArray
    """(N, T, J): leader positions at stamp + k * period, the last held after the end."""


@dataclass(frozen=True)
class Dataset:
    """All demonstrations; frames of an episode are consecutive."""

    images: dict[str, ImageArray]
    """Per camera (N, h, w, 3), memory-mapped."""
    state: FloatArray
    """(N, J)."""
    action: FloatArray
    """(N, T, J)."""
    starts: np.ndarray
    """(E + 1,) first frame of each episode, and N."""
    skipped: tuple[str, ...]
    """Bags that are not in it, with the reason."""

    def windows(self, steps: int) -> np.ndarray:
        """Return frame indices (N, steps) of each frame's observation, oldest first, within its episode."""
        frames = np.arange(len(self.state))
        first = self.starts[np.searchsorted(self.starts, frames, side="right") - 1]
        return np.stack([np.maximum(frames - k, first) for k in reversed(range(steps))], axis=1)


def read_episode(folder: Path, robot: Robot, horizon: int) -> Episode:
    """Return the demonstration in a bag.

    Raises:
        BagError: it did not succeed, is too short, or cannot be read.
    """
    bag = open_bag(folder)
    if bag.outcome == "failure":
        raise BagError(f"bag '{folder}' is labelled a failure")
    sets = [to_observation_size(aligned, robot) for aligned in aligned_sets(bag, robot)]
    if len(sets) < _MIN_FRAMES:
        raise BagError(f"bag '{folder}' has {len(sets)} aligned frames, at least {_MIN_FRAMES} are needed")
    stamps, leader = leader_trajectory(bag, robot)
    ahead = np.arange(horizon) * nanoseconds(robot.action_period_s)
    at = np.array([s.stamp_ns for s in sets])[:, None] + ahead
    base = stamps[0]  # interpolation in double precision needs small numbers
    action = np.stack([np.interp(at - base, stamps - base, column) for column in leader.T], axis=-1)
    images = {c.name: np.stack([s.images[c.name] for s in sets]) for c in robot.cameras}
    return Episode(images, np.stack([s.position for s in sets]), action)


def load_dataset(
    folders: Sequence[Path],
    robot: Robot,
    horizon: int,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Return the dataset of bags, reading them once into `cache`; `progress` gets done and total.

    Raises:
        BagError: not one bag is usable.
    """
    key = hashlib.sha256(
        json.dumps(
            [[str(f) for f in folders], robot.fingerprint(tuple(c.name for c in robot.cameras)), horizon]
        ).encode()
    ).hexdigest()[:16]
    target = cache / key
    if not (target / "index.json").exists():
        _build(folders, robot, horizon, target, progress)
    index = json.loads((target / "index.json").read_text())
    images = {c.name: np.load(target / f"{c.name}.npy", mmap_mode="r") for c in robot.cameras}
    state, action = np.load(target / "state.npy"), np.load(target / "action.npy")
    return Dataset(images, state, action, np.array(index["starts"]), tuple(index["skipped"]))


def _build(
    folders: Sequence[Path], robot: Robot, horizon: int, target: Path, progress: Callable[[int, int], None]
) -> None:
    """Read all bags in two passes' worth of one: episodes are appended to raw files as they come."""
    target.mkdir(parents=True, exist_ok=True)
    files = {c.name: (target / f"{c.name}.raw").open("wb") for c in robot.cameras}
    states, actions, starts, skipped = [], [], [0], []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(_read, [(str(f), robot.name, horizon) for f in folders], chunksize=4)
        for done, result in enumerate(jobs, 1):
            progress(done, len(folders))
            if isinstance(result, str):
                skipped.append(result)
                continue
            for name, file in files.items():
                file.write(result.images[name].tobytes())
            states.append(result.state.astype(np.float32))
            actions.append(result.action.astype(np.float32))
            starts.append(starts[-1] + len(result.state))
    for file in files.values():
        file.close()
    if not states:
        raise BagError(f"none of {len(folders)} bags can be trained on; the first: {skipped[0]}")
    for camera in robot.cameras:
        shape = (starts[-1], camera.observation_height, camera.observation_width, 3)
        raw = target / f"{camera.name}.raw"
        np.save(target / f"{camera.name}.npy", np.memmap(raw, np.uint8, "r", shape=shape))
        raw.unlink()
    np.save(target / "state.npy", np.concatenate(states))
    np.save(target / "action.npy", np.concatenate(actions))
    (target / "index.json").write_text(json.dumps({"starts": starts, "skipped": skipped}))


def _read(job: tuple[str, str, int]) -> Episode | str:
    folder, robot, horizon = job
    try:
        return read_episode(Path(folder), load_robot(robot), horizon)
    except SmpError as error:
        return str(error)
