"""A LeRobotDataset v3.0 to bags that train and replay like our own."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from smp_bringup import config
from smp_bringup.bag.episode import FILMED, IMPORTED, PICTURES, ROBOT_ATTACHMENT, slug
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr, measured_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.camera import Camera
from smp_bringup.errors import BagError, ConfigError, one_line
from smp_bringup.exchange.dataset import Dataset, Episode, Rows, Tables
from smp_bringup.exchange.foreign_files import whole_numbers
from smp_bringup.exchange.pictures import Pictures
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import (
    ArmMapping,
    ImportMapping,
    require_known,
    require_one_camera_each,
    told_as_measured,
)
from smp_bringup.mapping.extent import Extent
from smp_bringup.mapping.joints import Selection, entry_names, select
from smp_bringup.robot import Robot, build_robot
from smp_bringup.types import NS_PER_S

START_NS = 1_700_000_000 * NS_PER_S
"""Stamps of an episode begin here where the dataset keeps none."""
_MAX_STAMP_NS = 2**31 * NS_PER_S
"""What a header can hold."""
_OUTCOME = {"success": True, "failure": False}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """What became of a dataset."""

    folders: list[Path]
    """The bags, by episode."""
    outside: list[str]
    """What lies outside the joint limits, a sentence a feature."""
    said: list[str] = field(default_factory=list)
    """What else is odd about what was taken for what, a sentence each."""


def import_dataset(
    dataset: Path,
    out: Path,
    robot: Robot | None = None,
    progress: Progress = lambda done, total: None,
    mapping: ImportMapping | None = None,
) -> Imported:
    """Write every episode of a dataset as a bag below `out`/task: all of them, or none.

    Args:
        dataset: its root folder.
        out: of the bags.
        robot: the dataset's own, if None and we wrote it.
        progress: gets done and total.
        mapping: what the dataset calls and measures otherwise than the robot file.

    Raises:
        BagError: it is no such dataset, is damaged, or does not fit the robot.
        ConfigError: its joints are not the robot's, or not in its units: a mapping must say which is which.
    """
    source = Dataset(dataset)
    with closing(_Import(source, _as_told(robot or own_robot(source), source.rate_hz), mapping)) as run:
        run.require_fit()
        return run.write(out, progress)


class _Import:
    """One dataset on its way into bags."""

    def __init__(self, source: Dataset, robot: Robot, mapping: ImportMapping | None) -> None:
        self._source, self._robot = source, robot
        self._mapping = mapping or ImportMapping(robot.name)
        require_known(robot, self._mapping)
        if depth := [camera.name for camera in robot.cameras if camera.depth]:
            raise ConfigError(
                f"robot '{robot.name}' has depth cameras ({', '.join(depth)}), which no dataset of videos fills: "
                "name a robot file without them"
            )
        self._extent = Extent(robot, self._mapping)
        self._outside: list[str] = []
        arms = {arm.name: self._mapping.arms.get(arm.name, ArmMapping()) for arm in robot.arms}
        states = {name: arm.state or layout.STATE for name, arm in arms.items()}
        actions = {name: arm.leader or layout.ACTION for name, arm in arms.items()}
        cameras = [(c, self._mapping.cameras.get(c.name, layout.IMAGES + c.name)) for c in robot.cameras]
        _require(source, [*states.values(), *actions.values(), *(key for _, key in cameras)])
        require_one_camera_each([key for _, key in cameras])
        names = {key: entry_names(key, source.features[key]) for key in [*states.values(), *actions.values()]}
        self._states, self._actions = (
            [select(arm, arms[arm.name], keys[arm.name], names[keys[arm.name]], told) for arm in robot.arms]
            for keys, told in ((states, False), (actions, True))
        )
        for each in (self._states, self._actions):
            _require_apart(each, names)
        self._said = list(_told_as_measured(robot, self._states, self._actions, names))
        self._widths = {key: len(entries) for key, entries in names.items()}
        self._pictures = [_pictures(source, camera, key) for camera, key in cameras]

    def close(self) -> None:
        """Close what is open."""
        for pictures in self._pictures:
            pictures.close()

    def require_fit(self) -> None:
        """Raise an error for rows that are missing or damaged, and for joints in other units, before a bag is made."""
        tables = Tables(self._source, self._widths)
        for episode in self._source.episodes:
            rows = tables.rows(episode)
            for each in (self._states, self._actions):
                for arm, selection in zip(self._robot.arms, each, strict=True):
                    values = selection.of(rows.vectors[selection.feature])
                    self._extent.add(selection.feature, values, self._robot.arm_slices[arm.name])
        self._outside = self._extent.judge()
        for pictures in self._pictures:
            pictures.require_own_frames()

    def write(self, out: Path, progress: Progress) -> Imported:
        """Write the bags; those that are written are removed again where a later one cannot be."""
        images = [column for pictures in self._pictures for column in pictures.columns]
        tables = Tables(self._source, self._widths, images)
        folders: list[Path] = []
        try:
            for episode in self._source.episodes:
                folders.append(self._bag(out, episode, tables.rows(episode)))
                progress(len(folders), len(self._source.episodes))
        except BaseException as error:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise BagError(f"bags under '{out}' cannot be written: {error.strerror or error}") from error
            raise
        return Imported(folders, self._outside, self._said)

    def _bag(self, out: Path, episode: Episode, rows: Rows) -> Path:
        told = self._source.told(episode)
        task = self._task(episode, rows, told.get("task"))
        writer = BagWriter(out / slug(task) / f"episode_{episode.number:05d}", self._robot, task)
        try:
            self._messages(writer, episode, rows)
            return writer.close(_OUTCOME.get(str(told.get("outcome"))), self._notes())
        except BaseException:
            writer.discard()
            raise

    def _notes(self) -> dict[str, str]:
        """Return what a check must know: the joints come at the rate of the cameras, and no commands do."""
        notes = {IMPORTED: one_line(self._source.root.name), "source": "lerobot", "commands": "none"}
        notes["rate_hz"] = f"{self._source.rate_hz:g}"
        if any(pictures.filmed for pictures in self._pictures):
            notes[PICTURES] = FILMED
        return notes | ({"outside": "; ".join(self._outside)} if self._outside else {})

    def _task(self, episode: Episode, rows: Rows, told: object) -> str:
        """Return the task in words; a foreign text names no file of ours."""
        if self._mapping.task:
            return self._mapping.task
        if isinstance(told, str) and told:
            text = told
        elif episode.tasks:
            text = episode.tasks[0]
        elif layout.TASK in rows.table.column_names:
            number = int(whole_numbers(rows.table, layout.TASK, rows.path)[0])
            text = self._source.tasks.get(number, "unnamed")
        else:
            text = "unnamed"
        return " ".join(text.split()).removesuffix(".yaml").removesuffix(".yml")

    def _messages(self, writer: BagWriter, episode: Episode, rows: Rows) -> None:
        robot, stamps = self._robot, _stamps(rows)
        measured, told = (
            np.concatenate([one.of(rows.vectors[one.feature]) for one in each], axis=1)
            for each in (self._states, self._actions)
        )
        states = [(joints, joints.positions(measured)) for joints in robot.state_topics]
        joints = [(joints.topic, joints.names, joints.positions(told)) for joints in robot.operator_topics]
        videos = [pictures.of(episode, rows) for pictures in self._pictures]
        for k, images in enumerate(zip(*videos, strict=True)):
            at_ns = int(stamps[k])
            for driver, values in states:
                kind, said = measured_cdr(driver.arms, at_ns, driver.names, values[k])
                writer.write(driver.topic, kind, at_ns, said)
            for topic, names, values in joints:
                writer.write(topic, JOINT_STATE, at_ns, joint_state_cdr(at_ns, names, values[k]))
            for camera, image in zip(robot.cameras, images, strict=True):
                writer.write(camera.raw_topic, IMAGE, at_ns, image_cdr(at_ns, camera.name, image))


def own_robot(source: Dataset) -> Robot:
    """Return the robot file that a dataset of ours carries; raises BagError where it carries none."""
    first: dict[str, str] = next(iter(source.origin.values()), {})
    known = first.get(ROBOT_ATTACHMENT)
    if known is None:
        raise BagError(f"dataset '{source.root}' carries no robot file: name the robot with --robot, or --mapping")
    return build_robot(config.parse_yaml(known, ROBOT_ATTACHMENT), ROBOT_ATTACHMENT)


def _as_told(robot: Robot, rate_hz: float) -> Robot:
    """Return the robot as its data are in a dataset: what belongs together stands in one row, at one rate."""
    arms = tuple(replace(arm, latency_s=0.0) for arm in robot.arms)
    cameras = (replace(c, latency_s=0.0, rate_hz=_nominal(c.rate_hz, rate_hz)) for c in robot.cameras)
    return replace(robot, arms=arms, cameras=tuple(cameras))


def _nominal(ours_hz: float, theirs_hz: float) -> float:
    """Return the rate of a camera; a dataset of ours has it in whole frames a second."""
    return ours_hz if round(ours_hz) == theirs_hz else theirs_hz


def _require(source: Dataset, wanted: Sequence[str]) -> None:
    missing = [name for name in dict.fromkeys(wanted) if name not in source.features]
    if missing:
        raise BagError(
            f"dataset '{source.root}' lacks {one_line(', '.join(missing))}; it has "
            f"{one_line(', '.join(source.features))[:400]}: write which feature is which into a mapping, "
            "such as config/imports/lerobot.yaml, and name it with --mapping"
        )


def _require_apart(selections: Sequence[Selection], names: dict[str, list[str]]) -> None:
    """Raise ConfigError where one entry would be two joints."""
    places = [(selection.feature, place) for selection in selections for place in selection.index]
    for feature, place in places:
        if places.count((feature, place)) > 1:
            raise ConfigError(f"{feature}: '{one_line(names[feature][place])}' would be two joints of the robot")


def _told_as_measured(
    robot: Robot, states: Sequence[Selection], actions: Sequence[Selection], names: dict[str, list[str]]
) -> Iterator[str]:
    """Yield a sentence for each arm of which what it was told is taken for what was measured."""
    for arm, state, action in zip(robot.arms, states, actions, strict=True):
        if state.feature == layout.ACTION != action.feature:
            yield (
                f"arm '{arm.name}': {layout.ACTION}, which says what it was told, is taken for what was measured, and "
                f"{one_line(action.feature)} for what it was told: are state and leader of the mapping swapped?"
            )
        one, other = ([(each.feature, names[each.feature][i]) for i in each.index] for each in (state, action))
        yield from told_as_measured(arm.name, one, other)


def _pictures(source: Dataset, camera: Camera, key: str) -> Pictures:
    height, width = source.size(key)
    if (height, width) != (camera.height, camera.width):
        raise BagError(
            f"dataset '{source.root}': camera '{camera.name}' ({key}) is {width} x {height} px, "
            f"the robot file says {camera.width} x {camera.height}"
        )
    return Pictures(source, key, (height, width))


def _stamps(rows: Rows) -> np.ndarray:
    """Return the stamp of each row (N,) [ns]: ours, or the nominal ones."""
    if layout.STAMP not in rows.table.column_names:
        elapsed = np.round((rows.time_s - rows.time_s[0]) * NS_PER_S).astype(np.int64)
        return np.asarray(START_NS + elapsed)
    stamps = whole_numbers(rows.table, layout.STAMP, rows.path)
    if stamps[0] < 0 or stamps[-1] >= _MAX_STAMP_NS or np.any(np.diff(stamps) <= 0):
        raise BagError(f"'{rows.path}': {layout.STAMP} does not rise from row to row")
    return stamps
