"""Bags of other recorders, by a mapping: their topics and joints to those of a robot file."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup import config
from smp_bringup.bag.episode import IMPORTED
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.config import spec
from smp_bringup.errors import BagError, ConfigError, nearest, one_line
from smp_bringup.paths import named_config
from smp_bringup.robot import load_robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.wire import frame, stamp_ns

ARRAY = "std_msgs/msg/Float64MultiArray"


@dataclass(frozen=True)
class ArmMapping:
    """Where one arm's data are."""

    state: str
    """Topic of its measured joints."""
    leader: str
    """Topic of what it was told: the leader arm, or the commands."""
    joints: dict[str, str] = field(default_factory=dict)
    """Their joint name for each of ours; a joint that is left out has our name."""


@dataclass(frozen=True)
class ImportMapping:
    """A foreign bag in terms of a robot file (config/imports/*.yaml)."""

    robot: str
    arms: dict[str, ArmMapping]
    cameras: dict[str, str]
    """Topic of each camera."""
    task: str = "imported"
    stamps: str = field(default="header", metadata=spec(choices=("header", "log")))
    """Which time counts: log where the headers are empty."""


def load_mapping(name: str) -> ImportMapping:
    """Return the mapping `name` (in config/imports, or a path to a YAML file)."""
    return config.load(ImportMapping, named_config("imports", name))


class Importer:
    """Rewrites the messages of one foreign bag."""

    def __init__(self, path: Path, mapping: ImportMapping) -> None:
        """Raises SmpError where the mapping names an arm or camera that the robot lacks, or a topic is missing."""
        self.robot, self._mapping, self._bag = load_robot(mapping.robot), mapping, open_bag(path)
        _require("arm", mapping.arms, [a.name for a in self.robot.arms])
        _require("camera", mapping.cameras, [c.name for c in self.robot.cameras])
        joints = {t: [a for a in self.robot.arms if t in _topics(mapping.arms[a.name])] for t in self._joint_topics()}
        images = {topic: name for name, topic in mapping.cameras.items()}
        types = self._bag.types
        wanted = {t: types[t] if types.get(t) in (COMPRESSED, IMAGE) else IMAGE for t in images}
        wanted |= {t: types[t] if types.get(t) in (JOINT_STATE, ARRAY) else JOINT_STATE for t in joints}
        self._bag.require(wanted)
        self._joints, self._images, self._wanted = joints, images, wanted
        self.refused: dict[str, Counter[str]] = {topic: Counter() for topic in wanted}
        """Messages that could not be used, per topic and cause."""
        self._taken: Counter[str] = Counter()

    def write(self, folder: Path) -> Path:
        """Write the bag in our form.

        Raises:
            BagError: of a topic not one message could be used, or the bag cannot be read or written.
        """
        self._bag.verify()
        writer = BagWriter(folder, self.robot, self._mapping.task)
        try:
            for topic, log_ns, message in self._bag.messages(set(self._wanted), self._refuse):
                try:
                    self._rewrite(writer, topic, log_ns, message)
                except Refusal as refusal:
                    self._refuse(topic, str(refusal))
            self._require_something()
            return writer.close(None, {IMPORTED: one_line(self._bag.path.name)})
        except BaseException:
            if not folder.exists():
                writer.discard()
            raise

    def _refuse(self, topic: str, cause: str) -> None:
        self.refused[topic][cause] += 1

    def reasons(self) -> list[str]:
        """Return one line per topic and cause: how many of its messages could not be used."""
        return [
            f"{topic}: {count} of {self._bag.counts[topic]} messages refused ({one_line(cause)})"
            for topic, causes in sorted(self.refused.items())
            for cause, count in causes.items()
        ]

    def _require_something(self) -> None:
        """Raise BagError where one of our topics stays empty."""
        cameras = {self.robot.camera(name).topic: topic for topic, name in self._images.items()}
        joints = {
            ours: theirs
            for arm in self.robot.arms
            for ours, theirs in zip(
                (arm.state_topic, arm.leader_topic), _topics(self._mapping.arms[arm.name]), strict=True
            )
        }
        empty = {theirs for ours, theirs in (cameras | joints).items() if not self._taken[ours]}
        if empty:
            reasons = [text for text in self.reasons() if text.split(": ")[0] in empty]
            raise BagError(
                f"bag '{self._bag.path}': nothing to import on {', '.join(sorted(empty))}: {'; '.join(reasons)}"
            )

    def _joint_topics(self) -> set[str]:
        return {topic for arm in self._mapping.arms.values() for topic in _topics(arm)}

    def _rewrite(self, writer: BagWriter, topic: str, log_ns: int, message: Any) -> None:
        if topic in self._images:
            camera = self.robot.camera(self._images[topic])
            shown = frame(message, (camera.height, camera.width))
            at = log_ns if self._mapping.stamps == "log" else _stamp(shown.stamp_ns)
            self._write(writer, camera.topic, IMAGE, log_ns, image_cdr(at, camera.name, shown.image))
            return
        headless = self._mapping.stamps == "log" or self._wanted[topic] == ARRAY
        at = log_ns if headless else _stamp(stamp_ns(message.header.stamp))
        reasons = []
        for arm in self._joints[topic]:
            theirs = self._mapping.arms[arm.name]
            names = tuple(joint.name for joint in arm.joints)
            try:
                values = _positions(message, [theirs.joints.get(name, name) for name in names], self._wanted[topic])
            except Refusal as refusal:  # another arm of the topic may be in this message
                reasons.append(str(refusal))
                continue
            for ours, wanted in ((arm.state_topic, theirs.state), (arm.leader_topic, theirs.leader)):
                if wanted == topic:
                    self._write(writer, ours, JOINT_STATE, log_ns, joint_state_cdr(at, names, values))
        if len(reasons) == len(self._joints[topic]):
            raise Refusal("; ".join(reasons))

    def _write(self, writer: BagWriter, topic: str, kind: str, log_ns: int, cdr: bytes) -> None:
        writer.write(topic, kind, log_ns, cdr)
        self._taken[topic] += 1


def _topics(arm: ArmMapping) -> tuple[str, str]:
    return arm.state, arm.leader


def _stamp(at_ns: int) -> int:
    if at_ns <= 0:
        raise Refusal("its stamp is zero: say stamps: log in the mapping to take the log time")
    return at_ns


def _positions(message: Any, names: list[str], kind: str) -> np.ndarray:
    """Return the named joints of a message; an array without names must have just these joints in their order."""
    if kind == ARRAY:
        if len(message.data) != len(names):
            raise Refusal(f"{len(message.data)} values for {len(names)} joints")
        return np.array(message.data, dtype=np.float64)
    known = list(message.name)
    missing = [name for name in names if name not in known]
    if missing:
        several = "; joints of an arm that come in several messages are not joined" * (len(missing) < len(names))
        raise Refusal(f"missing {', '.join(missing)}{several}")
    if len(message.position) != len(known):
        raise Refusal(f"{len(message.position)} positions for {len(known)} names")
    return np.array([message.position[known.index(name)] for name in names], dtype=np.float64)


def _require(kind: str, given: Mapping[str, object], wanted: list[str]) -> None:
    strange = [name for name in given if name not in wanted]
    if strange:
        raise ConfigError(f"mapping: no {kind} '{strange[0]}'{nearest(strange[0], wanted)}; robot has {wanted}")
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ConfigError(f"mapping: {kind} {', '.join(missing)} has no topic")
