"""Names that ROS, files and messages can carry, and topics that a robot may have."""

import re

from smp_bringup.errors import ConfigError, one_line

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FULL = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_LONGEST_TOPIC = 200
"""A topic of DDS has 255 characters; image transports and the recorder add to ours."""
_LONGEST_NAME = 100
_OURS = ("command", "load", "observation", "policy", "recorder", "replay", "sim", "teleop")
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
_TAKEN = {"action", "foresight", "joint_states", "objects", "stamps", "state"}
"""Under /observation, or in the cache of training, beside the cameras."""


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
    """Raise ConfigError unless `name` is the full name of a node, with its namespace."""
    if not _FULL.fullmatch(name):
        raise ConfigError(
            f"node '{one_line(name[:_LONGEST_NAME])}' must be a full name as `ros2 node list` writes it, "
            "e.g. /arm_left/controller: letters, digits and _ between slashes, no digit first"
        )


def check_topic(topic: str) -> None:
    """Raise ConfigError unless `topic` is a full name that ROS takes, and neither one of ours nor one of everyone."""
    said = f"topic '{one_line(topic[:_LONGEST_NAME])}'"
    if len(topic) > _LONGEST_TOPIC or not _FULL.fullmatch(topic) or "__" in topic:
        raise ConfigError(
            f"{said} must be a full ROS name, e.g. /arm_left/joint_states: letters, digits and single _ "
            f"between slashes, no digit first, at most {_LONGEST_TOPIC} characters"
        )
    first = topic.split("/")[1]
    if topic in _SHARED or first in _OURS:
        raise ConfigError(
            f"{said} is not free: {', '.join(sorted(_SHARED))} and all below /{', /'.join(_OURS)} are taken"
        )
