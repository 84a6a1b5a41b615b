"""An arm as data: its joints in order, the topics of its driver, and who leads it; or a base that is driven."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import pi

import numpy as np
from numpy.typing import NDArray

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.goals import ACTIONS, check_told_by_goals
from smp_bringup.joints import DriverJoints, Joint
from smp_bringup.leader import TWISTS, Leader, leader_joints
from smp_bringup.names import check_topic, check_word, require_unique
from smp_bringup.types import FloatArray

TELEOP_TOPIC = "/teleop/command"
"""sensor_msgs/JointState of all joints: what the teleoperation tells the arms."""
AXES = {"linear.x": True, "linear.y": True, "angular.z": False}
"""What a base that drives on a floor can be told of a twist, and whether that is in m/s."""
_FARTHEST_M = 10.0
"""No arm stands farther from the origin of its robot [m]."""


@dataclass(frozen=True)
class Arm:
    """One arm: its joints in order, and the topics of its driver.

    Whatever has a driver of its own is an entry: a hand, a torso, a head.
    """

    name: str
    state_topic: str
    """sensor_msgs/JointState, measured; arms of one driver may share it. Told by twist: nav_msgs/Odometry."""
    command_topic: str
    """Arms of one controller may share it; the name of the action where it is told by one."""
    joints: tuple[Joint, ...]
    leader_topic: str = ""
    """sensor_msgs/JointState of a leader arm with our joints: short for `leader: {topic: ...}`; of a base a twist."""
    leader: Leader | None = None
    """Who leads this arm in teleoperation; without, it stays where it is."""
    prefix: str = ""
    """What our joint names have in front of the driver's: "left_" where two drivers both say "elbow_joint"."""
    command_interface: str = field(
        default="joint_state",
        metadata=spec(choices=("joint_state", "forward_position", "joint_trajectory", *ACTIONS, *TWISTS)),
    )
    latency_s: float = field(default=0.0, metadata=spec(ge=0, le=1, unit="s"))
    """Header stamp minus true time of measurement of the joint states; subtracted by the aligner."""
    geometry: str = ""
    """Frames and capsules, in config/geometry; empty where they are not known."""
    base: tuple[float, float, float, float, float, float] = (0.0,) * 6
    """Where the arm stands: x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""
    carried_by: str = ""
    """The joint of another arm, of a torso, say, in whose frame it stands; empty where it stands still."""

    def __post_init__(self) -> None:
        check_word("arm", self.name)
        for topic in (self.state_topic, self.command_topic, *filter(None, (self.leader_topic,))):
            check_topic(topic)
        if not self.joints:
            raise ConfigError(f"arm '{self.name}' has no joints")
        require_unique("joint", [joint.name for joint in self.joints])
        require_unique(f"joint of arm '{self.name}' as its driver calls it", list(self.driver.names))
        check_told_by_goals(self.name, self.command_interface, [joint.driver.effort for joint in self.joints])
        if self.leader and self.leader_topic:
            raise ConfigError(f"arm '{self.name}' has leader_topic, short for leader, and leader: keep one of them")
        if self.leader:
            self.leader.check_leads(self.is_base)
            _ = self.leader_joints  # says what is wrong in it
        self._check_rates()
        if not max(map(abs, self.base[:3])) <= _FARTHEST_M:
            raise ConfigError(
                f"arm '{self.name}': base {list(self.base[:3])} must be in m, at most {_FARTHEST_M:g} m away; "
                "this looks like millimetres: divide by 1000"
            )
        if not max(map(abs, self.base[3:])) <= 2 * pi:
            raise ConfigError(
                f"arm '{self.name}': base turns {list(self.base[3:])} must be in rad, at most one turn; "
                "this looks like degrees: multiply by pi / 180"
            )

    def _check_rates(self) -> None:
        """Raise ConfigError unless joints that are rates and how they are told go together."""
        if not self.is_base:
            if any(joint.rate for joint in self.joints) or self.by_twist:
                raise ConfigError(
                    f"arm '{self.name}': command_interface {' and '.join(TWISTS)} are of entries of which every joint "
                    "has rate: true; a base is an entry of its own"
                )
            return
        if not self.by_twist and self.command_interface != "joint_state":
            raise ConfigError(f"arm '{self.name}': rates are told by {', '.join(TWISTS)} or joint_state")
        for joint, said in zip(self.joints, self.driver.names, strict=True) if self.by_twist else ():
            if AXES.get(said) is not joint.prismatic:
                raise ConfigError(
                    f"joint '{joint.name}': driver.name says which part of a twist it is, linear.x or linear.y "
                    f"(prismatic: true) or angular.z; got '{said}'{' (prismatic)' * joint.prismatic}"
                )

    @property
    def is_base(self) -> bool:
        """Whether it is told how fast to go, not where to be."""
        return all(joint.rate for joint in self.joints)

    @property
    def by_twist(self) -> bool:
        """Whether it is told by a twist, and says by nav_msgs/Odometry how it goes."""
        return self.command_interface in TWISTS

    @cached_property
    def driver(self) -> DriverJoints:
        """The joints as this arm's driver tells of them."""
        ours = np.array([(joint.min, joint.max) for joint in self.joints])
        theirs = np.array([joint.driver_range for joint in self.joints])
        scale = np.diff(ours)[:, 0] / np.diff(theirs)[:, 0]
        names = tuple(joint.driver.name or joint.name.removeprefix(self.prefix) for joint in self.joints)
        return DriverJoints(names, scale, ours[:, 0] - scale * theirs[:, 0])

    @property
    def action_type(self) -> str:
        """Type of the action by which it is told; empty where it is told by a topic."""
        return ACTIONS.get(self.command_interface, "")

    @property
    def led_by(self) -> Leader | None:
        """Who leads this arm, however the robot file says it."""
        kind = "twist" if self.is_base else "joints"
        return Leader(self.leader_topic, kind) if self.leader_topic else self.leader

    @property
    def operator_topic(self) -> str:
        """Where the operator says what this arm is to do: its leader arm, or what teleoperation makes of a device."""
        return self.led_by.topic if self.led_by and self.led_by.is_arm else TELEOP_TOPIC

    @cached_property
    def leader_joints(self) -> DriverJoints:
        """The joints as they are told of on `operator_topic`."""
        return leader_joints(self.led_by or Leader("/none"), [joint.name for joint in self.joints])


@dataclass(frozen=True)
class JointTopic:
    """A topic of joint states or commands, and whose joints its messages name."""

    topic: str
    arms: tuple[Arm, ...]
    drivers: tuple[DriverJoints, ...]
    """Of each of these arms, its joints as they are told of on the topic."""
    places: NDArray[np.intp]
    """(n,) of these joints in an array over joints (J,)."""

    @cached_property
    def joints(self) -> DriverJoints:
        """All these joints (n,), as they are told of on the topic."""
        scale, offset = (np.concatenate([driver[k] for driver in self.drivers]) for k in (1, 2))
        return DriverJoints(tuple(name for driver in self.drivers for name in driver.names), scale, offset)

    @property
    def names(self) -> tuple[str, ...]:
        """(n,) of the joints, as they are called on the topic."""
        return self.joints.names

    def parts(self) -> Iterator[tuple[Arm, DriverJoints, slice]]:
        """Yield each arm, its joints as they are told of, and where they lie among those of the topic (n,)."""
        start = 0
        for arm, driver in zip(self.arms, self.drivers, strict=True):
            yield arm, driver, slice(start, start + len(arm.joints))
            start += len(arm.joints)

    def positions(self, ours: FloatArray) -> FloatArray:
        """Return these joints (..., n) out of the positions of all (..., J), as they are said on the topic."""
        return self.joints.positions(ours[..., self.places])

    def velocities(self, ours: FloatArray) -> FloatArray:
        """Return these joints (..., n) out of the velocities of all (..., J), as they are said on the topic."""
        return self.joints.velocities(ours[..., self.places])
