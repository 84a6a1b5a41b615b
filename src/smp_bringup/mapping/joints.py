"""Which entry of a LeRobot vector is which joint: by name, never by place."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import INTO_MAPPING, ArmMapping, JointMapping, joint_mappings
from smp_bringup.types import FloatArray

_MEASURED = re.compile(r"[./_](pos|position|qpos)$")
"""What LeRobot's robots append to the name of a joint."""
_NUMBERS = re.compile(r"^(b?float|u?int)\d*$")
_ROLE = re.compile(r"^main[./_]")
_SEPARATORS = re.compile(r"[./\- ]+")
_SHOWN = 400
"""Characters of foreign names that a message quotes."""
_DEEPEST = 8
"""Names in so many lists or mappings are read."""


@dataclass(frozen=True)
class Selection:
    """The joints of one arm in the vectors of a feature."""

    feature: str
    index: tuple[int, ...]
    """(J,) where each joint stands."""
    factor: FloatArray
    """(J,)"""
    offset: FloatArray
    """(J,) [rad], grippers [m]."""

    def of(self, rows: FloatArray) -> FloatArray:
        """Return the arm's joints (N, J) out of vectors (N, D)."""
        return np.asarray(rows[:, self.index] * self.factor + self.offset, dtype=np.float64)


def select(arm: Arm, mapping: ArmMapping, feature: str, names: Sequence[str], told: bool) -> Selection:
    """Return where the joints of `arm` stand in a feature.

    Args:
        arm: of the robot.
        mapping: what is said of it.
        feature: whose entries are called `names`.
        names: of the entries.
        told: whether the feature is what the arm was told, not what was measured.

    Raises:
        ConfigError: a joint is not there, or could be several entries.
    """
    said = joint_mappings(arm, mapping)
    found = [_places(joint.name, theirs, names, told) for joint, theirs in zip(arm.joints, said, strict=True)]
    for joint, places in zip(arm.joints, found, strict=True):
        if len(places) > 1:
            raise ConfigError(f"{feature}: joint '{joint.name}' could be {_shown(names[i] for i in places)}; {_WRITE}")
    missing = [
        joint.name + (f" ('{one_line(wanted)}')" if (wanted := _wanted(theirs, told)) else "")
        for joint, theirs, places in zip(arm.joints, said, found, strict=True)
        if not places
    ]
    if missing:
        raise ConfigError(f"{feature} has no {', '.join(missing)} (arm '{arm.name}'), only {_shown(names)}; {_WRITE}")
    return Selection(
        feature,
        tuple(places[0] for places in found),
        np.array([theirs.factor for theirs in said]),
        np.array([theirs.offset for theirs in said]),
    )


_WRITE = f"write their name of each joint (where they have none, the number of its place) {INTO_MAPPING}"


def _wanted(theirs: JointMapping, told: bool) -> str:
    """Return the name that a mapping gives a joint, or nothing."""
    return (theirs.leader if told else "") or theirs.name


def _places(ours: str, theirs: JointMapping, names: Sequence[str], told: bool) -> list[int]:
    """Return the entries that can be a joint: called just so, or so but for what LeRobot appends and prefixes."""
    if wanted := _wanted(theirs, told):
        return [i for i, name in enumerate(names) if name == wanted]
    forms = (
        lambda name: name,
        lambda name: _MEASURED.sub("", name),
        lambda name: _SEPARATORS.sub("_", _MEASURED.sub("", name)).lower(),
        lambda name: _SEPARATORS.sub("_", _MEASURED.sub("", _ROLE.sub("", name))).lower(),
    )
    for form in forms:
        places = [i for i, name in enumerate(names) if form(name) == form(ours)]
        if places:
            return places
    return []


def entry_names(key: str, feature: Mapping[str, Any]) -> list[str]:
    """Return what the entries of a vector are called; their places, where it has no names.

    Raises:
        ConfigError: it is no vector, or its names are not one an entry.
    """
    shape, said, dtype = feature.get("shape"), feature.get("names"), feature.get("dtype")
    if dtype is not None and not (isinstance(dtype, str) and _NUMBERS.match(dtype)):
        raise ConfigError(f"{key} has dtype {one_line(dtype)[:40]}, expected numbers, such as float32")
    if not (isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int and 0 < shape[0] <= layout.WIDEST):
        raise ConfigError(f"{key} has shape {one_line(shape)[:80]}, expected that of a vector, such as [14]")
    if not said:
        return [str(i) for i in range(shape[0])]
    names = _flat(said, 0)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice and isinstance(said, dict):
        names = [f"{group}_{name}" for group, inner in said.items() for name in _flat(inner, 0)]
        twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{key} names {_shown(twice)} twice")
    if len(names) != shape[0]:
        raise ConfigError(f"{key} has {shape[0]} entries and {len(names)} names: {_shown(names)}")
    return names


def _shown(names: Iterable[str]) -> str:
    return one_line(", ".join(names))[:_SHOWN]


def _flat(said: Any, depth: int) -> list[str]:
    """Return names that lie in lists, mappings to lists, or mappings to places, in the order of the entries."""
    if depth > _DEEPEST:
        raise ConfigError(f"names lie more than {_DEEPEST} deep")
    if isinstance(said, str):
        return [said]
    if isinstance(said, dict):
        if sorted(str(place) for place in said.values()) == sorted(map(str, range(len(said)))):
            return sorted(said, key=lambda name: int(said[name]))
        said = list(said.values())
    if not isinstance(said, list):
        raise ConfigError(f"'{one_line(said)[:80]}' is no name")
    return [name for inner in said for name in _flat(inner, depth + 1)]
