"""Who leads an arm in teleoperation, as data: a leader arm's joints, or the velocity or pose of an operator's hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, nearest
from smp_bringup.joint_units import LARGEST_SCALE, LEAST_SCALE, check_offset
from smp_bringup.joints import DriverJoints
from smp_bringup.names import check_name, check_topic

KINDS = ("joints", "twist", "twist_unstamped", "pose")
"""sensor_msgs/JointState, geometry_msgs/TwistStamped, Twist and PoseStamped."""
TWISTS = ("twist", "twist_unstamped")


@dataclass(frozen=True)
class LeaderJoint:
    """One joint as the leader tells it: ours = sign * scale * theirs + offset."""

    name: str = ""
    """Their name; empty: ours."""
    sign: int = field(default=1, metadata=spec(ge=-1, le=1))
    scale: float = field(default=1.0, metadata=spec(ge=LEAST_SCALE, le=LARGEST_SCALE))
    """Ours per theirs."""
    offset: float = 0.0
    """[rad], grippers [m]."""

    def __post_init__(self) -> None:
        if self.name:
            check_name("joint of a leader", self.name)
        if self.sign == 0:
            raise ConfigError("sign must be 1 or -1, got 0")
        check_offset(self.offset)


@dataclass(frozen=True)
class Buttons:
    """A sensor_msgs/Joy beside a twist or a pose; its buttons count from 0."""

    topic: str
    close: int = field(metadata=spec(ge=0, le=63))
    """While it is pressed the gripper closes."""
    open: int = field(metadata=spec(ge=0, le=63))
    clutch: int = field(default=-1, metadata=spec(ge=-1, le=63))
    """The hand moves only while it is pressed; -1: whenever the teleoperation is followed."""

    def __post_init__(self) -> None:
        check_topic(self.topic)
        if len({self.close, self.open, self.clutch}) < 3:
            raise ConfigError(f"buttons of {self.topic}: close, open and clutch must be different buttons")


@dataclass(frozen=True)
class Leader:
    """What leads one arm."""

    topic: str
    kind: str = field(default="joints", metadata=spec(choices=KINDS))
    joints: dict[str, LeaderJoint] = field(default_factory=dict, hash=False)
    """Of kind joints: each of our joints that the leader calls or measures otherwise."""
    tip: str = ""
    """Of kinds twist and pose: link of the robot's description that is moved; none where a twist drives a base."""
    frame: str = ""
    """Link of the description in whose axes the motion is told; empty: that of each message's header, or the root."""
    scale: float = field(default=1.0, metadata=spec(gt=0, le=100))
    """Of the hand's translation per the operator's."""
    speed: float = field(default=0.25, metadata=spec(gt=0, le=2, unit="m/s"))
    """The hand moves no faster."""
    turn: float = field(default=1.0, metadata=spec(gt=0, le=6, unit="rad/s"))
    """The hand turns no faster."""
    buttons: Buttons | None = None

    def __post_init__(self) -> None:
        check_topic(self.topic)
        if not self.is_arm and self.joints:
            raise ConfigError(f"a leader of kind {self.kind} has no joints: take them out")
        if self.is_arm and (self.tip or self.frame or self.buttons):
            raise ConfigError("tip, frame and buttons are of leaders of kind twist or pose: take them out, or say kind")

    def check_leads(self, base: bool) -> None:
        """Raise ConfigError unless it can lead an arm, or a base that is driven."""
        if base and self.kind not in TWISTS:
            raise ConfigError(f"a base is led by a twist, not by {self.kind}: kind is {' or '.join(TWISTS)}")
        plain = Leader(self.topic, kind=self.kind)
        if base and self != plain:
            raise ConfigError(
                "a leader that drives a base has topic and kind alone: min and max of the joints bound its speeds"
            )
        if not base and self.kind == "twist_unstamped":
            raise ConfigError("a twist without a stamp drives a base only: an arm is led by kind twist, TwistStamped")
        if not base and not self.is_arm and not self.tip:
            raise ConfigError(f"a leader of kind {self.kind} moves a link: name it, e.g. tip: left_gripper_link")

    @property
    def is_arm(self) -> bool:
        """Whether it tells of joints."""
        return self.kind == "joints"

    @property
    def moves_hand(self) -> bool:
        """Whether it tells of an operator's hand."""
        return bool(self.tip)


def leader_joints(leader: Leader, ours: Sequence[str]) -> DriverJoints:
    """Return what a leader says of our joints (n,), in their order.

    Raises:
        ConfigError: it maps a joint that the arm lacks, or one of its joints to two of ours.
    """
    for name in leader.joints:
        if name not in ours:
            raise ConfigError(f"leader: no joint '{name}'{nearest(name, ours)}; the arm has {', '.join(ours)}")
    told = [leader.joints.get(name, LeaderJoint()) for name in ours]
    names = tuple(joint.name or name for joint, name in zip(told, ours, strict=True))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"leader: {', '.join(twice)} would move two joints: name each of the leader's joints once")
    scale, offset = np.array([(joint.sign * joint.scale, joint.offset) for joint in told]).T
    return DriverJoints(names, scale, offset)
