"""The message definitions of ROS 2, without ROS: what bags can describe, and which fields a message has."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from smp_bringup.errors import ConfigError, nearest, one_line

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

_HEADER = "std_msgs/msg/Header"
_TEXTS = ("string", "wstring", "octet")


@cache
def typestore() -> "Typestore":
    """Return the message definitions of ROS 2 Kilted."""
    from rosbags.typesys import Stores, get_typestore  # the command process uses none of them

    return get_typestore(Stores.ROS2_KILTED)


def known(msgtype: str) -> bool:
    """Return whether a message type is one of ROS 2 Kilted."""
    return msgtype in typestore().fielddefs


def stamped(msgtype: str) -> bool:
    """Return whether messages of a known type begin with a header, which says when they were sampled."""
    return dict(typestore().fielddefs[msgtype][1]).get("header") == _named(_HEADER)


class Leaf(NamedTuple):
    """What a field holds at its end."""

    array: bool
    length: int
    """Of an array; 0 where that differs from message to message."""
    beside: frozenset[str]
    """Lists of texts that the same message has."""


def number_field(msgtype: str, path: Sequence[str]) -> Leaf:
    """Return what the field `path` of a known message type holds.

    Raises:
        ConfigError: there is no such field, or what it holds is no number.
    """
    from rosbags.interfaces import Nodetype

    said, inner = ".".join(path), msgtype
    for place, part in enumerate(path):
        fields = dict(typestore().fielddefs[inner][1])
        if part not in fields:
            raise ConfigError(
                f"'{one_line(said)}' is no field of {msgtype}: {inner} has no '{one_line(part)}'"
                f"{nearest(part, fields)}; it has {', '.join(fields)}"
            )
        kind, held = fields[part]
        last = place == len(path) - 1
        if kind == Nodetype.NAME:
            if last:
                raise ConfigError(f"'{one_line(said)}' of {msgtype} is a {held}, no number: go on to one of its fields")
            inner = str(held)
            continue
        base, length = (held, 0) if kind == Nodetype.BASE else (held[0][1], held[1])
        is_number = kind == Nodetype.BASE or held[0][0] == Nodetype.BASE
        if not last or not is_number or base[0] in _TEXTS:
            raise ConfigError(f"'{one_line(said)}' of {msgtype} is no number and no list of numbers")
        texts = frozenset(name for name, told in fields.items() if _is_texts(told))
        return Leaf(kind != Nodetype.BASE, int(length) if kind == Nodetype.ARRAY else 0, texts)
    raise ConfigError(f"'{one_line(said)}' names no field of {msgtype}")


def _is_texts(told: Any) -> bool:
    from rosbags.interfaces import Nodetype

    kind, held = told
    return bool(kind in (Nodetype.SEQUENCE, Nodetype.ARRAY) and held[0] == (Nodetype.BASE, ("string", 0)))


def _named(msgtype: str) -> object:
    from rosbags.interfaces import Nodetype

    return Nodetype.NAME, msgtype
