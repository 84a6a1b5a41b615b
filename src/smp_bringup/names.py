"""Names that ROS, files and messages can carry, topics that a robot may have, and the namespace they are in."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from smp_bringup.errors import ConfigError, one_line

CLIENT = "client"
"""Enclave of every verb that drives or watches a graph from outside, and of `ros2 service call` and the like."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FULL = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_ROOT = "/"
_LONGEST_TOPIC = 200
"""A topic of DDS has 255 characters; image transports and the recorder add to ours."""
_LONGEST_NAME = 100
_OURS = ("blackbox", "command", "load", "observation", "policy", "recorder", "replay", "sim", "teleop")
"""First parts of the topics that our nodes speak on."""
_SHARED = {
    "/clock",
    "/diagnostics",
    "/estop",
    "/parameter_events",
    "/rosout",
    "/robot_description",
    "/tf",
    "/tf_static",
}
"""Topics of everyone, or of the emergency stop."""
_TAKEN = {"action", "foresight", "joint_states", "objects", "stamps", "state", "vectors"}
"""Under /observation, or in the cache of training, beside the cameras."""


def full_name(name: str, namespace: str = _ROOT) -> str:
    """Return the full name of a topic, service or node: a relative one is in `namespace`; an empty one stays empty."""
    return name if not name or name.startswith("/") else f"{namespace.rstrip('/')}/{name}"


def enclave(name: str) -> str:
    """Return the SROS2 enclave of a node, with its namespace where that is not the root."""
    return f"/smp/{name.lstrip('/')}"


def full_namespace(namespace: str) -> str:
    """Return a namespace as ROS writes it, e.g. "/robot1" for "robot1", "/" for none.

    Raises:
        ConfigError: ROS could not have it, or has no room left for a topic's own name.
    """
    full = f"/{namespace.strip('/')}"
    if full != _ROOT and (len(full) > _LONGEST_NAME or not _FULL.fullmatch(full)):
        raise ConfigError(
            f"namespace '{one_line(namespace[:_LONGEST_NAME])}' must be a word, or several between slashes, e.g. "
            f"robot1 or cell/robot1: letters, digits and _, no digit first, at most {_LONGEST_NAME} characters"
        )
    return full


def in_namespace(document: Any, namespace: str = _ROOT) -> Any:
    """Return a robot file's document with full names: every text under a key that ends in `topic` is resolved."""
    if isinstance(document, Mapping):
        return {
            key: full_name(value, namespace)
            if isinstance(value, str) and str(key).endswith("topic")
            else in_namespace(value, namespace)
            for key, value in document.items()
        }
    return [in_namespace(inner, namespace) for inner in document] if isinstance(document, list) else document


def check_name(kind: str, name: str) -> None:
    """Raise ConfigError unless `name` is text that messages, logs and tables can show: of a robot or a joint."""
    if not name.strip() or name != name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            f"{kind} name '{one_line(name[:_LONGEST_NAME])}' must be 1 to {_LONGEST_NAME} printable characters "
            "without spaces at its ends"
        )


def check_word(kind: str, name: str) -> None:
    """Raise ConfigError unless `name` can be a part of a topic and of a file's name: of an arm or a camera."""
    if not _WORD.fullmatch(name):
        raise ConfigError(
            f"{kind} name '{one_line(name[:_LONGEST_NAME])}' must be letters, digits and _ after a first letter, "
            "at most 64: ROS refuses others"
        )
    if kind == "camera" and name in _TAKEN:
        raise ConfigError(f"no camera can be called '{name}': {', '.join(sorted(_TAKEN))} are names of other data")


def check_node(name: str) -> None:
    """Raise ConfigError unless `name` is the name of a node: full, or in the namespace of our nodes."""
    if not _FULL.fullmatch(full_name(name)):
        raise ConfigError(
            f"node '{one_line(name[:_LONGEST_NAME])}' must be a name as `ros2 node list` writes it, "
            "e.g. /arm_left/controller, or arm_left/controller in the namespace of our nodes: "
            "letters, digits and _ between slashes, no digit first"
        )


def check_topic(topic: str) -> None:
    """Raise ConfigError unless ROS takes `topic`, full or relative, and it is free: not ours, not everyone's."""
    said = f"topic '{one_line(topic[:_LONGEST_NAME])}'"
    full = full_name(topic)
    if len(topic) > _LONGEST_TOPIC or not _FULL.fullmatch(full) or "__" in topic:
        raise ConfigError(
            f"{said} must be a ROS name, e.g. /arm_left/joint_states, or arm_left/joint_states in the namespace of our "
            f"nodes: letters, digits and single _ between slashes, no digit first, at most {_LONGEST_TOPIC} characters"
        )
    first = full.split("/")[1]
    if full in _SHARED or first in _OURS:
        raise ConfigError(
            f"{said} is not free: {', '.join(sorted(_SHARED))} and all below /{', /'.join(_OURS)} are taken"
        )


def is_free(topic: str) -> bool:
    """Return whether a robot may have a topic, see `check_topic`."""
    try:
        check_topic(topic)
    except ConfigError:
        return False
    return True


def require_unique(kind: str, names: Sequence[str]) -> None:
    """Raise ConfigError where a name of a kind is there twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{kind} named twice: {', '.join(repeated)}")
