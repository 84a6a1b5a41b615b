"""What a bag says about its episode beside the messages: robot, task, sync and safety settings."""

import re
from collections.abc import Mapping

from smp_bringup import config
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.sync.aligner import WAIT_S
from smp_bringup.sync.base import SLOP_S

ROBOT_ATTACHMENT = "robot.yaml"
TASK_ATTACHMENT = "task.yaml"
SYNC_ATTACHMENT = "sync.yaml"
SAFETY_ATTACHMENT = "safety.yaml"
EPISODE_METADATA = "episode"
IMPORTED = "imported"
"""Key of its metadata: what the episode was imported from."""
PICTURES, FILMED = "pictures", "video"
"""Key of its metadata, and what it says where a codec had the images before they were in the bag."""
REPAIRED = "repaired"
"""Key of its metadata: what a repair could not save, as JSON."""
OUTCOMES = {True: "success", False: "failure", None: "unlabelled"}


def attachments(robot: Robot, task: str, safety: SafetyConfig) -> dict[str, str]:
    """Return the files that travel in a bag, by name; a task that has no file travels by its words alone.

    Robot and safety settings are written from the values in use: their files may be elsewhere, or changed since.
    """
    files = {
        ROBOT_ATTACHMENT: config.dump(robot),
        SYNC_ATTACHMENT: f"slop_s: {SLOP_S}\nwait_s: {WAIT_S}\n",
        SAFETY_ATTACHMENT: config.dump(safety),
    }
    described = _task_yaml(task)
    return files if described is None else {**files, TASK_ATTACHMENT: described}


def instruction(task: str, files: Mapping[str, str]) -> str:
    """Return the task in words: the text of its file, or the task itself."""
    if TASK_ATTACHMENT not in files:
        return task
    return str(config.parse_yaml(files[TASK_ATTACHMENT], TASK_ATTACHMENT).get("text", task))


def in_words(task: str) -> str:
    """Return a task in words: the text of its file in config/tasks, or the task itself."""
    described = _task_yaml(task)
    return instruction(task, {} if described is None else {TASK_ATTACHMENT: described})


def slug(task: str) -> str:
    """Return a task as the name of a folder: "fold the towel" becomes fold_the_towel.

    Raises:
        ConfigError: no letter or digit is in it.
    """
    name = re.sub(r"\W+", "_", task.removesuffix(".yaml").split("/")[-1]).strip("_").lower()
    if not name:
        raise ConfigError(f"task '{task}' has no letter or digit: name what the episodes show")
    return name[:64]


def _task_yaml(task: str) -> str | None:
    try:
        return named_config("tasks", task).read_text(encoding="utf-8")
    except UnknownNameError:
        return None
