"""Training samples from bags, through the aligner that runs on the robot, cached as plain arrays and packed images."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets, follower_trajectory, leader_trajectory, object_trajectory
from smp_bringup.bag.commanders import Commanders, Taught, commanders
from smp_bringup.bag.marks import HELD_OUT, MARK, OUTCOME, USE, read_marks
from smp_bringup.bag.reader import Bag, open_bag
from smp_bringup.camera import Camera
from smp_bringup.errors import BagError, ConfigError, SmpError
from smp_bringup.observation.builder import to_observation_size
from smp_bringup.policy.base import known_objects
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.processes import ordered
from smp_bringup.robot import Robot
from smp_bringup.sync.history import windows
from smp_bringup.training.packed import PackedImages, PackedWriter, packed, plain_array
from smp_bringup.types import NS_PER_S, FloatArray, ImageArray, nanoseconds
from smp_bringup.vector import Vector, joined, split

_MIN_FRAMES = 8
OTHER_ROBOT = "is of another robot"
"""Stands in the reason why a bag of another robot was skipped."""
_ARRAYS = {"stamps": np.int64, "vectors": np.float64, "taught": np.int8} | dict.fromkeys(
    ("state", "objects", "action", "foresight"), np.float32
)
_FORMAT = 7
"""Of the cache: another one is not read but made anew."""
_MOST_INDEX = 100_000_000
"""Bytes of the cache's index: a hundred for each bag."""


@dataclass(frozen=True)
class Episode:
    """One demonstration at observation size."""

    stamps: np.ndarray
    """(N,) [ns], ascending."""
    images: dict[str, ImageArray]
    """Per camera (N, h, w, 3), of depth (N, h, w, 1) [mm]."""
    state: FloatArray
    """(N, J) measured."""
    objects: FloatArray
    """(N, D) object poses; D is 0 on the camera track."""
    action: FloatArray
    """(N, T, J): leader positions at stamp + k * period, the last held after the end; where a policy commands, measured
    ones."""
    foresight: FloatArray
    """(N, F, J): leader positions further ahead."""
    vectors: FloatArray
    """(N, V) of the robot that is trained for, one vector behind the other; V is 0 on the state track."""
    taught: np.ndarray
    """(N,) what each sample is to training, see `bag.commanders.Taught`."""
    task: str
    text: str
    """What it shows, in words."""


@dataclass(frozen=True)
class Dataset:
    """All demonstrations; frames of an episode are consecutive."""

    period_s: float
    """Action period [s] of their robot."""
    images: Mapping[str, ImageArray | PackedImages]
    """Per camera (N, h, w, 3), of depth (N, h, w, 1) [mm]."""
    stamps: np.ndarray
    """(N,) [ns], ascending within an episode."""
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
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    """Per vector of the robot (N, n)."""
    taught: np.ndarray | None = None
    """(N,) what each sample is to training, see `bag.commanders.Taught`; None: all are demonstrations."""
    sentences: tuple[str, ...] = ()
    """(E,) what each episode shows, in words, as its bag says."""
    task_of: tuple[str, ...] = ()
    """(E,) the task of each episode; of nothing, all are of one."""
    held: tuple[bool, ...] = ()
    """(E,) whether somebody marked the episode as held out; of nothing, nobody did."""
    points: Mapping[str, FloatArray] = field(default_factory=dict)
    """Per camera (N, ...), what eyes that are kept made of its images, see `training.eyes`."""

    @property
    def corrections(self) -> int:
        """Samples that an operator commanded in episodes that a policy had a part in."""
        return 0 if self.taught is None else int((self.taught == Taught.CORRECTION).sum())

    def windows(self, steps: int) -> np.ndarray:
        """Return the frames (N, steps) of the observation that ends with each frame, oldest first.

        They are those that a robot would observe, see `sync.history`; -1 stands for an instant that was not seen.
        """
        out = np.empty((len(self.stamps), steps), np.int64)
        for first, end in pairwise(self.starts):
            stamps = self.stamps[first:end]
            frames = windows(stamps, stamps, steps, self.period_s)
            out[first:end] = np.where(frames < 0, -1, frames + first)
        return out


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
    """Return the demonstration in a bag, aligned as its own robot would, with the targets that `policy` learns from.

    Raises:
        BagError: it did not succeed, is too short, cannot be read, is of a robot that is not like `robot`, or a policy
            commanded from end to end.
    """
    bag = open_bag(folder)
    if bag.outcome == "failure":
        raise BagError(f"bag '{folder}' is labelled a failure")
    own = bag.robot()
    if unlike := own.unlike(robot):
        raise BagError(f"bag '{folder}' {OTHER_ROBOT} than the one that is trained for: {unlike}")
    seen = _see_cameras(bag, own, robot.vectors) if policy.track == "camera" else _see_state(bag, own)
    if len(seen.stamps) < _MIN_FRAMES:
        raise BagError(f"bag '{folder}' has {len(seen.stamps)} aligned frames, at least {_MIN_FRAMES} are needed")
    if (np.diff(seen.stamps) <= 0).any():
        raise BagError(f"bag '{folder}': a clock was set back while it was recorded")
    steps, period_s = policy.observation_steps, robot.action_period_s
    if not (windows(seen.stamps, seen.stamps, steps + 1, period_s) >= 0).all(axis=1).any():
        apart_s = float(np.median(np.diff(seen.stamps))) / NS_PER_S
        raise BagError(
            f"bag '{folder}' has no {steps + 1} frames one action period ({period_s:g} s) apart, they are "
            f"{apart_s:.3g} s apart: record with a longer action_period_s in the robot file, or with faster cameras"
        )
    who = commanders(bag)
    taught = who.taught(seen.stamps)
    if not taught.any():
        raise BagError(f"bag '{folder}' was driven by a policy: no operator commanded in it, there is nothing to learn")
    stamps, leader = _targets(bag, own, who)
    ahead_s = [*(np.arange(policy.horizon) * robot.action_period_s), *policy.foresight_s]
    at = seen.stamps[:, None] + np.array([nanoseconds(s) for s in ahead_s])
    base = stamps[0]  # interpolation in double precision needs small numbers
    target = np.stack([np.interp(at - base, stamps - base, column) for column in leader.T], axis=-1)
    action, foresight = np.split(target, [policy.horizon], axis=1)
    task = bag.episode.get("task", "unnamed")
    told = task, bag.text
    return Episode(seen.stamps, seen.images, seen.state, seen.objects, action, foresight, seen.vectors, taught, *told)


def _targets(bag: Bag, robot: Robot, who: Commanders) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and where the arms were to be (N, J): as the leaders said, or as a policy had them go."""
    stamps, leader = leader_trajectory(bag, robot)
    if not who.policy:
        return stamps, leader
    at, measured = follower_trajectory(bag, robot)
    told = [np.interp(at - at[0], stamps - at[0], column) for column in leader.T]
    return at, np.where(who.operator(at)[:, None], np.stack(told, axis=1), measured)


@dataclass(frozen=True)
class _Seen:
    stamps: np.ndarray
    state: FloatArray
    objects: FloatArray
    images: dict[str, ImageArray]
    vectors: FloatArray


def _see_cameras(bag: Bag, robot: Robot, vectors: Sequence[Vector]) -> _Seen:
    """Return what the deployed sync would give of cameras, joints and vectors, in the order of `vectors`."""
    sets = [to_observation_size(aligned, robot) for aligned in aligned_sets(bag, robot)]
    stamps = np.array([s.stamp_ns for s in sets], dtype=np.int64)
    images = {c.name: np.stack([s.images[c.name] for s in sets]) for c in robot.cameras} if sets else {}
    state = np.array([s.position for s in sets])
    numbers = np.array([joined(vectors, s.vectors) if vectors else [] for s in sets])
    return _Seen(stamps, state, np.zeros((len(sets), 0)), images, numbers)


def _see_state(bag: Bag, robot: Robot) -> _Seen:
    """Return joints and object poses at the stamps of the object poses."""
    stamps, objects = object_trajectory(bag)
    measured, position = follower_trajectory(bag, robot)
    inside = (stamps >= measured[0]) & (stamps <= measured[-1])
    stamps, objects = stamps[inside], objects[inside]
    state = [np.interp(stamps - measured[0], measured - measured[0], column) for column in position.T]
    return _Seen(stamps, np.stack(state, axis=1), objects, {}, np.zeros((len(stamps), 0)))


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
    wanted = [policy.track, policy.observation_steps, policy.horizon, policy.foresight_s]
    parts = [_FORMAT, [bag_signature(f) for f in folders], config.dump(robot), wanted]
    target = cache / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    if target.exists():
        try:
            return _cached(robot, policy, target)
        except (ConfigError, OSError, EOFError, KeyError, ValueError, TypeError):  # damaged: it is made anew
            shutil.rmtree(target)
    _build(folders, robot, policy, target, progress)
    return _cached(robot, policy, target)


def _cached(robot: Robot, policy: PolicyConfig, target: Path) -> Dataset:
    """Return the dataset in the folder `target`; raises all kinds of errors where it is damaged."""
    index = config.parse_json((target / "index.json").read_bytes(), "index.json", _MOST_INDEX)
    images = {c.name: PackedImages(target, c.name, _blank(c)) for c in _cameras(robot, policy)}
    arrays = {name: plain_array(target / f"{name}.npy") for name in _ARRAYS}
    starts, skipped, task_of = np.array(index["starts"]), tuple(index["skipped"]), tuple(index["task_of"])
    held = tuple(read_marks(Path(bag)).get(USE) == HELD_OUT for bag in index["bags"])
    sentences = tuple(index["sentences"])
    lengths = {*map(len, images.values()), *map(len, arrays.values())}
    if lengths != {starts[-1]} or {len(sentences), len(task_of)} != {len(starts) - 1}:
        raise ValueError("arrays of other lengths than the index")
    numbers = arrays.pop("vectors")
    vectors = split(robot.vectors, numbers) if numbers.shape[1] else {}
    return Dataset(
        robot.action_period_s,
        images,
        **arrays,
        starts=starts,
        skipped=skipped,
        tasks=tuple(sorted(set(task_of))),
        vectors=vectors,
        sentences=sentences,
        task_of=task_of,
        held=held,
        points={},
    )


def bag_signature(folder: Path) -> list[str]:
    """Return what changes when a bag is recorded or labelled anew: its files, their sizes and times, its label."""
    files = sorted(file for file in folder.iterdir() if file.name != MARK) if folder.is_dir() else [folder]
    label = ""
    with suppress(BagError):  # whoever reads the bag says what is wrong with its mark
        label = read_marks(folder).get(OUTCOME, "")
    return [*(f"{f} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files), *filter(None, (label,))]


def _build(
    folders: Sequence[Path], robot: Robot, policy: PolicyConfig, target: Path, progress: Callable[[int, int], None]
) -> None:
    """Read every bag once; images go straight to disk, so that they need not fit into memory.

    The cache appears whole or not at all, whichever of several training processes is first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as beside:
        whole = Path(beside) / "whole"
        whole.mkdir()
        _fill(folders, robot, policy, whole, progress)
        with suppress(OSError):  # another process was first
            whole.rename(target)


def _fill(
    folders: Sequence[Path], robot: Robot, policy: PolicyConfig, target: Path, progress: Callable[[int, int], None]
) -> None:
    """Write what every bag shows into the folder `target`."""
    files = {c.name: PackedWriter(target, c.name) for c in _cameras(robot, policy)}
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
    starts, skipped, task_of, bags, sentences = [0], [], [], [], []
    jobs = [(folder, robot, policy) for folder in folders]
    for done, result in enumerate(ordered(_read, jobs, 2), 1):
        progress(done, len(folders))
        if isinstance(result, str):
            skipped.append(result)
            continue
        episode, images = result
        for name, file in files.items():
            for image in images[name]:
                file.append(image)
        for name, parts in arrays.items():
            parts.append(getattr(episode, name).astype(_ARRAYS[name]))
        starts.append(starts[-1] + len(episode.state))
        bags.append(str(folders[done - 1]))
        task_of.append(episode.task)
        sentences.append(episode.text)
    for file in files.values():
        file.close()
    if len(starts) == 1:
        raise BagError(f"none of {len(folders)} bags can be trained on; the first: {skipped[0]}")
    longest = max(part.shape[1] for part in arrays["objects"])  # of the first tasks it is shorter
    arrays["objects"] = [known_objects(part, longest) for part in arrays["objects"]]
    for name, parts in arrays.items():
        np.save(target / f"{name}.npy", np.concatenate(parts))
    index = {"starts": starts, "skipped": skipped, "task_of": task_of, "bags": bags, "sentences": sentences}
    (target / "index.json").write_text(json.dumps(index))


def _cameras(robot: Robot, policy: PolicyConfig) -> tuple[Camera, ...]:
    return robot.cameras if policy.track == "camera" else ()


def _blank(camera: Camera) -> ImageArray:
    return camera.blank(camera.observation_height, camera.observation_width)


def _read(job: tuple[Path, Robot, PolicyConfig]) -> tuple[Episode, dict[str, list[bytes]]] | str:
    """Return a demonstration with its images packed beside it, or why it cannot be learnt from."""
    try:
        episode = read_episode(*job)
    except SmpError as error:
        return str(error)
    _, robot, policy = job
    images = {c.name: list(packed(episode.images[c.name])) for c in _cameras(robot, policy)}
    return replace(episode, images={}), images
