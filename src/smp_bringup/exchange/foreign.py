"""Bags of other recorders, by a mapping: their topics and joints to those of a robot file."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup import wire
from smp_bringup.arm import Arm
from smp_bringup.bag.episode import IMPORTED
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, ODOMETRY, image_cdr, joint_state_cdr, measured_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError, ConfigError, one_line
from smp_bringup.mapping.document import (
    ArmMapping,
    ImportMapping,
    joint_mappings,
    require_known,
    require_one_camera_each,
    told_as_measured,
)
from smp_bringup.mapping.extent import Extent
from smp_bringup.robot import JointTopic, Robot, load_robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import FloatArray
from smp_bringup.wire import frame, stamp_ns

ARRAY = "std_msgs/msg/Float64MultiArray"
_JOINTS = (JOINT_STATE, ARRAY, ODOMETRY, "geometry_msgs/msg/TwistStamped")


class Importer:
    """Rewrites the messages of one foreign bag."""

    def __init__(self, path: Path, mapping: ImportMapping) -> None:
        """Raises SmpError where the mapping names an arm or camera that the robot lacks, or a topic is missing."""
        self.robot, self._mapping, self._bag = load_robot(mapping.robot), mapping, open_bag(path)
        _require_told(self.robot, mapping)
        self._targets = _targets(self.robot, mapping)
        images = {topic: name for name, topic in mapping.cameras.items()}
        types = self._bag.types
        wanted = {t: types[t] if types.get(t) in (COMPRESSED, IMAGE) else IMAGE for t in images}
        wanted |= {t: types[t] if types.get(t) in _JOINTS else JOINT_STATE for t in self._targets}
        _require_own_arrays(self.robot, mapping, wanted)
        self._bag.require(wanted)
        self._images, self._wanted = images, wanted
        self._extent = Extent(self.robot, mapping)
        self.refused: dict[str, Counter[str]] = {topic: Counter() for topic in wanted}
        """Messages that could not be used, per topic and cause."""
        self.outside: list[str] = []
        """What lies outside the joint limits, a sentence a topic."""
        self._taken: Counter[str] = Counter()

    def write(self, folder: Path) -> Path:
        """Write the bag in our form.

        Raises:
            BagError: of a topic not one message could be used, or the bag cannot be read or written.
            ConfigError: it is in other units.
        """
        self._bag.verify()
        writer = BagWriter(folder, self.robot, self._mapping.task or "imported")
        try:
            for topic, log_ns, message in self._bag.messages(set(self._wanted), self._refuse):
                try:
                    self._rewrite(writer, topic, log_ns, message)
                except Refusal as refusal:
                    self._refuse(topic, str(refusal))
            self._require_something()
            self.outside = self._extent.judge()
            notes = {IMPORTED: one_line(self._bag.path.name), "source": "rosbag", "commands": "none"}
            return writer.close(None, notes | ({"outside": "; ".join(self.outside)} if self.outside else {}))
        except BaseException as error:
            if not folder.exists():
                writer.discard()
            if isinstance(error, OSError):
                raise BagError(f"bag '{folder}' cannot be written: {error.strerror or error}") from error
            raise

    def said(self) -> list[str]:
        """Return a sentence for each arm of which what it was told is taken for what was measured."""
        found: list[str] = []
        for arm in self.robot.arms:
            theirs = self._mapping.arms[arm.name]
            one, other = (
                [(topic, name) for name in _names(arm, theirs, bool(i))] for i, topic in enumerate(_topics(theirs))
            )
            found += told_as_measured(arm.name, one, other)
        return found

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
        cameras = {self.robot.camera(name).raw_topic: topic for topic, name in self._images.items()}
        joints = {
            ours: theirs
            for arm in self.robot.arms
            for ours, theirs in zip(
                (arm.state_topic, arm.operator_topic), _topics(self._mapping.arms[arm.name]), strict=True
            )
        }
        empty = {theirs for ours, theirs in (cameras | joints).items() if not self._taken[ours]}
        if empty:
            reasons = [text for text in self.reasons() if text.split(": ")[0] in empty]
            raise BagError(
                f"bag '{self._bag.path}': nothing to import on {', '.join(sorted(empty))}: {'; '.join(reasons)}"
            )

    def _rewrite(self, writer: BagWriter, topic: str, log_ns: int, message: Any) -> None:
        if topic in self._images:
            camera = self.robot.camera(self._images[topic])
            shown = frame(message, camera)
            at = log_ns if self._mapping.stamps == "log" else _stamp(shown.stamp_ns)
            self._write(writer, camera.raw_topic, IMAGE, log_ns, image_cdr(at, camera.name, shown.image))
            return
        headless = self._mapping.stamps == "log" or self._wanted[topic] == ARRAY
        at = log_ns if headless else _stamp(stamp_ns(message.header.stamp))
        reasons = []
        for target, told in self._targets[topic]:
            try:
                values = np.concatenate([self._values(arm, told, topic, message) for arm in target.arms])
                positions = target.joints.positions(values)
                kind, said = JOINT_STATE, joint_state_cdr(at, target.names, positions)
                if not told:
                    kind, said = measured_cdr(target.arms, at, target.names, positions)
                self._write(writer, target.topic, kind, log_ns, said)
            except Refusal as refusal:  # another arm of the topic may be in this message
                reasons.append(str(refusal))
        if len(reasons) == len(self._targets[topic]):
            raise Refusal("; ".join(reasons))

    def _values(self, arm: Arm, told: bool, topic: str, message: Any) -> FloatArray:
        """Return the joints (n,) of an arm in a message, in our units."""
        theirs = self._mapping.arms[arm.name]
        said = joint_mappings(arm, theirs)
        values = _positions(message, _names(arm, theirs, told), self._wanted[topic])
        values = values * [joint.factor for joint in said] + [joint.offset for joint in said]
        self._extent.add(topic, values[None], self.robot.arm_slices[arm.name])
        return values

    def _write(self, writer: BagWriter, topic: str, kind: str, log_ns: int, cdr: bytes) -> None:
        writer.write(topic, kind, log_ns, cdr)
        self._taken[topic] += 1


def _targets(robot: Robot, mapping: ImportMapping) -> dict[str, list[tuple[JointTopic, bool]]]:
    """Return for each of their joint topics which of ours it fills, and whether with what the arms were told.

    Raises:
        ConfigError: one of our topics would have to be put together from several of theirs.
    """
    found: dict[str, list[tuple[JointTopic, bool]]] = {}
    for ours, told in ((robot.state_topics, False), (robot.operator_topics, True)):
        for joints in ours:
            theirs = {_topics(mapping.arms[arm.name])[told] for arm in joints.arms}
            if len(theirs) > 1:
                raise ConfigError(
                    f"the mapping takes {joints.topic} of robot '{robot.name}', which several arms share, from "
                    f"{', '.join(sorted(theirs))}: name one topic, or give the arms topics of their own"
                )
            found.setdefault(theirs.pop(), []).append((joints, told))
    return found


def _topics(arm: ArmMapping) -> tuple[str, str]:
    return arm.state, arm.leader


def _names(arm: Arm, mapping: ArmMapping, told: bool) -> list[str]:
    """Return their names of the joints of an arm, in what it was told or what was measured."""
    said = zip(arm.joints, joint_mappings(arm, mapping), strict=True)
    return [(theirs.leader if told else "") or theirs.name or joint.name for joint, theirs in said]


def _stamp(at_ns: int) -> int:
    if at_ns <= 0:
        raise Refusal("its stamp is zero: say stamps: log in the mapping to take the log time")
    return at_ns


def _positions(message: Any, names: list[str], kind: str) -> np.ndarray:
    """Return the named joints of a message; an array without names must have just these joints in their order."""
    values = _named(message, names) if kind != ARRAY else np.array(message.data, dtype=np.float64)
    if len(values) != len(names):
        raise Refusal(f"{len(values)} values for {len(names)} joints")
    if not np.isfinite(values).all():
        raise Refusal("a position is no finite number")
    return values


def _named(message: Any, names: list[str]) -> np.ndarray:
    said, position, _ = wire.told(message)
    known = list(said)
    missing = [name for name in names if name not in known]
    if missing:
        several = "; joints of an arm that come in several messages are not joined" * (len(missing) < len(names))
        raise Refusal(f"missing {', '.join(missing)}{several}")
    if len(position) != len(known):
        raise Refusal(f"{len(position)} positions for {len(known)} names")
    return np.array([position[known.index(name)] for name in names], dtype=np.float64)


def _require_told(robot: Robot, mapping: ImportMapping) -> None:
    """Raise ConfigError where a mapping says nothing of an arm or camera, or one of theirs would be two of ours."""
    require_known(robot, mapping)
    images = list(mapping.cameras.values())
    require_one_camera_each(images)
    for topic in images:
        if any(topic in _topics(arm) for arm in mapping.arms.values()):
            raise ConfigError(f"mapping: '{one_line(topic)}' cannot be both a camera and joints")
    silent = [f"arm {a.name}" for a in robot.arms if "" in _topics(mapping.arms.get(a.name, ArmMapping()))]
    silent += [f"camera {c.name}" for c in robot.cameras if c.name not in mapping.cameras]
    if silent:
        raise ConfigError(f"mapping: {', '.join(silent)} has no topic")
    for which in range(2):
        theirs = [
            (_topics(mapping.arms[arm.name])[which], name)
            for arm in robot.arms
            for name in _names(arm, mapping.arms[arm.name], which == 1)
        ]
        twice = [name for topic, name in theirs if theirs.count((topic, name)) > 1]
        if twice:
            raise ConfigError(f"mapping: '{one_line(twice[0])}' would be two joints of the robot")


def _require_own_arrays(robot: Robot, mapping: ImportMapping, kinds: Mapping[str, str]) -> None:
    """Raise ConfigError where an array without names would be the joints of two arms, or measured and told."""
    used = [(topic, arm.name) for arm in robot.arms for topic in _topics(mapping.arms[arm.name])]
    for topic, arm in used:
        if kinds[topic] == ARRAY and sum(topic == other for other, _ in used) > 1:
            raise ConfigError(
                f"mapping: {one_line(topic)} is an array without names, which cannot be the joints of arm '{arm}' and "
                "something else: each arm needs topics of its own for what was measured and what it was told"
            )
