"""Bags of other recorders, by a mapping: their topics and joints to those of a robot file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup import config
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, nearest
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
        self.refused = 0
        """Messages that could not be used."""

    def write(self, folder: Path) -> Path:
        """Write the bag in our form."""
        self._bag.verify()
        writer = BagWriter(folder, self.robot, self._mapping.task)
        try:
            for topic, log_ns, message in self._bag.messages(set(self._wanted)):
                try:
                    self._rewrite(writer, topic, log_ns, message)
                except Refusal:
                    self.refused += 1
            return writer.close(None, {"imported": self._bag.path.name})
        except BaseException:
            if not folder.exists():
                writer.discard()
            raise

    def _joint_topics(self) -> set[str]:
        return {topic for arm in self._mapping.arms.values() for topic in _topics(arm)}

    def _rewrite(self, writer: BagWriter, topic: str, log_ns: int, message: Any) -> None:
        if topic in self._images:
            camera = self.robot.camera(self._images[topic])
            shown = frame(message, (camera.height, camera.width))
            at = log_ns if self._mapping.stamps == "log" else shown.stamp_ns
            writer.write(camera.topic, IMAGE, log_ns, image_cdr(at, camera.name, shown.image))
            return
        headless = self._mapping.stamps == "log" or self._wanted[topic] == ARRAY
        at = log_ns if headless else stamp_ns(message.header.stamp)
        for arm in self._joints[topic]:
            theirs = self._mapping.arms[arm.name]
            names = tuple(joint.name for joint in arm.joints)
            values = _positions(message, [theirs.joints.get(name, name) for name in names], self._wanted[topic])
            for ours, wanted in ((arm.state_topic, theirs.state), (arm.leader_topic, theirs.leader)):
                if wanted == topic:
                    writer.write(ours, JOINT_STATE, log_ns, joint_state_cdr(at, names, values))


def _topics(arm: ArmMapping) -> tuple[str, str]:
    return arm.state, arm.leader


def _positions(message: Any, names: list[str], kind: str) -> np.ndarray:
    """Return the named joints of a message; an array without names must have just these joints in their order."""
    if kind == ARRAY:
        if len(message.data) != len(names):
            raise Refusal(f"{len(message.data)} values for {len(names)} joints")
        return np.array(message.data, dtype=np.float64)
    known = list(message.name)
    missing = [name for name in names if name not in known]
    if missing or len(message.position) != len(known):
        raise Refusal(f"missing {', '.join(missing)}")
    return np.array([message.position[known.index(name)] for name in names], dtype=np.float64)


def _require(kind: str, given: Mapping[str, object], wanted: list[str]) -> None:
    strange = [name for name in given if name not in wanted]
    if strange:
        raise ConfigError(f"mapping: no {kind} '{strange[0]}'{nearest(strange[0], wanted)}; robot has {wanted}")
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ConfigError(f"mapping: {kind} {', '.join(missing)} has no topic")
