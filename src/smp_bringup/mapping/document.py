"""What data of others are called and measured in, in terms of a robot file (config/imports/*.yaml)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.joint_units import LARGEST_SCALE, LEAST_SCALE, check_offset
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot

INTO_MAPPING = (
    "into a mapping such as config/imports/lerobot.yaml and name it (--mapping; for a policy of LeRobot mapping: in "
    "the file of lerobot:FILE; in LeRobot's tools --robot.mapping)"
)
"""Where it is written, in words, what others call and measure."""
_TURNING = {"rad": 1.0, "deg": math.pi / 180}
_SLIDING = {"m": 1.0, "mm": 1e-3}


@dataclass(frozen=True)
class JointMapping:
    """One joint as others tell it: ours = sign * scale * theirs [unit] + offset."""

    name: str = ""
    """Their name, or its place (from 0) where they give no names; empty: our name."""
    leader: str = ""
    """Their name in what the arm was told, where that is another one."""
    unit: str = field(default="", metadata=spec(choices=("", *_TURNING, *_SLIDING)))
    """Empty: radians (grippers: metres), and values that cannot be that are refused."""
    sign: int = field(default=1, metadata=spec(ge=-1, le=1))
    scale: float = field(default=1.0, metadata=spec(ge=LEAST_SCALE, le=LARGEST_SCALE))
    offset: float = 0.0
    """[rad], grippers [m]."""

    def __post_init__(self) -> None:
        if self.sign == 0:
            raise ConfigError("sign must be 1 or -1, got 0")
        check_offset(self.offset)

    @property
    def factor(self) -> float:
        """What their value is multiplied by."""
        return self.sign * self.scale * (_TURNING | _SLIDING).get(self.unit, 1.0)


@dataclass(frozen=True)
class ArmMapping:
    """Where one arm's data are."""

    state: str = ""
    """Topic (LeRobot: feature) of its measured joints."""
    leader: str = ""
    """Topic (LeRobot: feature) of what it was told: the leader arm, or the commands."""
    joints: dict[str, JointMapping] = field(default_factory=dict)
    """Each of our joints that they call or measure otherwise."""


@dataclass(frozen=True)
class ImportMapping:
    """Foreign data in terms of a robot file."""

    robot: str
    arms: dict[str, ArmMapping] = field(default_factory=dict)
    cameras: dict[str, str] = field(default_factory=dict)
    """Topic (LeRobot: feature) of each camera."""
    task: str = ""
    """In words; empty: what the data say."""
    stamps: str = field(default="header", metadata=spec(choices=("header", "log")))
    """Which time of a bag counts: log where the headers are empty."""


def load_mapping(name: str) -> ImportMapping:
    """Return the mapping `name` (in config/imports, or a path to a YAML file)."""
    path = named_config("imports", name)
    data = config.read_yaml(path)
    arms = data.get("arms")
    for arm in arms.values() if isinstance(arms, dict) else ():
        joints = arm.get("joints") if isinstance(arm, dict) else None
        if isinstance(joints, dict):
            arm["joints"] = {ours: _joint(theirs) for ours, theirs in joints.items()}
    return config.build(ImportMapping, data, path.name)


def _joint(value: Any) -> Any:
    """Return what a mapping says of a joint; a word or number alone is its name."""
    plain = isinstance(value, str | int) and not isinstance(value, bool)
    return {"name": str(value)} if plain else value


def require_known(robot: Robot, mapping: ImportMapping) -> None:
    """Raise ConfigError where a mapping names what the robot lacks, a unit that its joint cannot have, or has vectors.

    Vectors are not imported: a set of numbers does not say which messages they came in.
    """
    if robot.vectors:
        names = ", ".join(vector.name for vector in robot.vectors)
        raise ConfigError(
            f"robot '{robot.name}' has vectors ({names}), which no import fills: name a robot file without them"
        )
    _known("arm", list(mapping.arms), [arm.name for arm in robot.arms])
    _known("camera", list(mapping.cameras), [camera.name for camera in robot.cameras])
    for arm in robot.arms:
        joints = mapping.arms.get(arm.name, ArmMapping()).joints
        _known("joint", list(joints), [joint.name for joint in arm.joints])
        for joint in arm.joints:
            unit = joints.get(joint.name, JointMapping()).unit
            allowed = _TURNING if joint.unit.startswith("rad") else _SLIDING
            if unit and unit not in allowed:
                raise ConfigError(f"mapping: joint '{joint.name}' has unit {unit}, allowed: {', '.join(allowed)}")


def require_one_camera_each(names: Sequence[str]) -> None:
    """Raise ConfigError where one of their topics or features `names` would be two cameras of the robot."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"mapping: '{one_line(name)}' would be two cameras of the robot")


def told_as_measured(
    arm: str, measured: Sequence[tuple[str, object]], told: Sequence[tuple[str, object]]
) -> Iterator[str]:
    """Yield a sentence where the same value is what a joint measured and what it was told.

    A policy learns from it that arms are where they are told to be, and no check of the bag can see it.

    Args:
        arm: its name.
        measured: of each joint, topic (LeRobot: feature) and name or place of what was measured.
        told: the same of what it was told.
    """
    same = [one for one, other in zip(measured, told, strict=True) if one == other]
    if same:
        every = "all its joints" if len(same) == len(measured) else ", ".join(one_line(name) for _, name in same)
        yield (
            f"arm '{arm}': {every} in {one_line(same[0][0])} are taken for what was measured and for what the arm was "
            "told, as if it were always where it is told to be: where the two are apart, name both (state, leader)"
        )


def joint_mappings(arm: Arm, mapping: ArmMapping) -> list[JointMapping]:
    """Return what is said of each joint of an arm, in its order."""
    return [mapping.joints.get(joint.name, JointMapping()) for joint in arm.joints]


def _known(kind: str, given: list[str], wanted: list[str]) -> None:
    for name in given:
        if name not in wanted:
            raise ConfigError(f"mapping: no {kind} '{name}'{nearest(name, wanted)}; robot has {wanted}")
