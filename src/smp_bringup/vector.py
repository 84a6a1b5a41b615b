"""A vector as data: numbers of a topic that a policy sees beside joints and cameras: forces, touch, a hand's pose."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.names import check_topic, check_word, require_unique
from smp_bringup.ros_types import known, number_field, stamped
from smp_bringup.types import FloatArray

_FIELD = re.compile(r"([A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(?:\[([^\[\]]{1,100})\])?", re.ASCII)
_NAMES = "name"
"""Field beside an array, as in a JointState, that says what each entry belongs to."""
_MOST = 1024
"""Entries of a vector."""


class _Read(NamedTuple):
    """How a field is read from a message."""

    value: Callable[[Any], Any]
    """Of the message."""
    names: Callable[[Any], Any] | None
    """What the entries of the array belong to, where one of them is asked for by name."""
    key: int | str | None
    """Which entry of an array; None where the field is no array, or all of it is meant."""


@dataclass(frozen=True)
class Vector:
    """Numbers that are read from the messages of a topic by their fields, in this order, times a scale."""

    name: str
    topic: str
    type: str
    """As `ros2 topic type` prints it, e.g. geometry_msgs/msg/WrenchStamped: a message of ROS 2 itself."""
    fields: tuple[str, ...]
    """Paths of numbers, e.g. wrench.force.x; an entry of an array by its place, data[3], or by its name,
    effort[elbow_joint]; or, with `size`, one whole array."""
    size: int = field(default=0, metadata=spec(ge=0, le=_MOST))
    """Entries of the one array that is the vector; a message with more or fewer is refused."""
    scale: float = 1.0
    """Of all that is read: to a unit of yours."""
    max_age_s: float = field(default=0.1, metadata=spec(gt=0, le=10, unit="s"))
    """What was sampled longer before an image is not seen with it; silence for longer makes observations invalid.
    Two periods of its driver or more."""

    def __post_init__(self) -> None:
        check_word("vector", self.name)
        check_topic(self.topic)
        if not known(self.type):
            raise ConfigError(
                f"vector '{self.name}': type '{one_line(self.type)[:100]}' is no message of ROS 2 itself, "
                "like geometry_msgs/msg/WrenchStamped: only those are recorded and read"
            )
        if not isfinite(self.scale) or self.scale == 0:
            raise ConfigError(f"vector '{self.name}': scale must be a number other than 0, got {self.scale:g}")
        if not 0 < len(self.fields) <= _MOST:
            raise ConfigError(f"vector '{self.name}': fields must name 1 to {_MOST} numbers, got {len(self.fields)}")
        require_unique(f"field of vector '{self.name}'", self.fields)
        try:
            assert self._reads
        except ConfigError as error:
            raise ConfigError(f"vector '{self.name}': {error}") from None

    @property
    def length(self) -> int:
        """How many numbers it has."""
        return self.size or len(self.fields)

    @property
    def entries(self) -> tuple[str, ...]:
        """(length,) what each number is."""
        return tuple(f"{self.fields[0]}[{k}]" for k in range(self.size)) if self.size else self.fields

    @cached_property
    def stamped(self) -> bool:
        """Whether its messages have a header; others count as sampled when they are received."""
        return stamped(self.type)

    def read(self, message: Any) -> FloatArray:
        """Return the numbers (length,) in a message, which may be a driver's or a bag's.

        Raises:
            LookupError, ValueError: an array is of another length, or lacks what is asked for.
        """
        if self.size:
            found = self._reads[0].value(message)
            if len(found) != self.size:
                raise ValueError(f"{len(found)} numbers in {self.fields[0]}, the robot file says {self.size}")
            values = np.array(found, dtype=np.float64)
        else:
            values = np.array([_entry(one, message) for one in self._reads], dtype=np.float64)
        return values * self.scale

    @cached_property
    def _reads(self) -> tuple[_Read, ...]:
        """How each field is read; raises ConfigError for what no message of the type has."""
        if self.size and len(self.fields) != 1:
            raise ConfigError(f"with size, fields names one array, got {len(self.fields)}")
        return tuple(_read(self.type, text, self.size) for text in self.fields)


def _entry(one: _Read, message: Any) -> float:
    value = one.value(message)
    if one.names is not None:
        names = list(one.names(message))
        if names.count(one.key) != 1:
            raise ValueError(f"{names.count(one.key)} entries are called {one.key}, expected one")
        return float(value[names.index(one.key)])
    return float(value if one.key is None else value[one.key])


def _read(msgtype: str, text: str, size: int) -> _Read:
    """Return how a field is read; see `Vector.fields`."""
    match = _FIELD.fullmatch(text)
    if not match:
        raise ConfigError(f"field '{one_line(text)[:100]}' must be like wrench.force.x, data[3] or effort[elbow_joint]")
    path, key = match.groups()
    *folder, _ = parts = path.split(".")
    leaf = number_field(msgtype, parts)
    value = attrgetter(path)
    if size:
        if not leaf.array or key is not None or leaf.length not in (0, size):
            held = f"an array of {leaf.length}" if leaf.length else "an array" if leaf.array else "one number"
            raise ConfigError(f"size {size} asks for a whole array of so many, '{text}' is {held} of {msgtype}")
        return _Read(value, None, None)
    if leaf.array != (key is not None):
        held = "an array: write data[3], effort[elbow_joint], or the array's size" if leaf.array else "no array"
        raise ConfigError(f"'{text}' of {msgtype} is {held}")
    if key is None or key.isdecimal():
        place = None if key is None else int(key)
        if place is not None and leaf.length and place >= leaf.length:
            raise ConfigError(f"'{text}' of {msgtype} has {leaf.length} entries, from 0 on")
        return _Read(value, None, place)
    if _NAMES not in leaf.beside:
        raise ConfigError(f"'{text}': {msgtype} does not name the entries of {path}: ask for them by place")
    return _Read(value, attrgetter(".".join((*folder, _NAMES))), key)


def check_vectors(
    vectors: Sequence[Vector], others: Sequence[str], states: Sequence[str], topics: Sequence[str]
) -> None:
    """Raise ConfigError where vectors do not fit beside each other and the rest of a robot.

    Args:
        vectors: of the robot.
        others: names of its cameras and arms.
        states: topics of joint states, which a vector may share, e.g. for their efforts.
        topics: that a vector cannot have.
    """
    if vectors:
        require_unique("vector, camera or arm", [*(vector.name for vector in vectors), *others])
    types = dict.fromkeys(states, "sensor_msgs/msg/JointState")
    for vector in vectors:
        if vector.topic in topics:
            raise ConfigError(
                f"vector '{vector.name}': topic {vector.topic} is named elsewhere in the robot file: what a vector "
                "reads is recorded by itself, take it out there"
            )
        if types.setdefault(vector.topic, vector.type) != vector.type:
            raise ConfigError(
                f"vector '{vector.name}': {vector.topic} is a topic of {types[vector.topic]}, not of {vector.type}"
            )


def labels(vectors: Sequence[Vector]) -> tuple[str, ...]:
    """Return what each number of all vectors is (V,), e.g. wrench_left/wrench.force.x."""
    return tuple(f"{vector.name}/{entry}" for vector in vectors for entry in vector.entries)


def split(vectors: Sequence[Vector], values: FloatArray) -> dict[str, FloatArray]:
    """Return each vector (..., length) out of all of them (..., V)."""
    ends = np.cumsum([vector.length for vector in vectors])
    return dict(zip((vector.name for vector in vectors), np.split(values, ends[:-1], axis=-1), strict=True))


def joined(vectors: Sequence[Vector], values: Mapping[str, FloatArray]) -> FloatArray:
    """Return all vectors (..., V) in the robot's order; needs at least one."""
    return np.concatenate([values[vector.name] for vector in vectors], axis=-1)
