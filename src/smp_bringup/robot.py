"""A robot as data: arms, joints, limits, cameras, topics and periods (config/robots/*.yaml).

Nothing here or elsewhere knows how many arms there are or what they are called.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import pi

import numpy as np
from numpy.typing import NDArray

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.goals import ACTIONS, check_told_by_goals
from smp_bringup.joints import DriverJoints, Joint
from smp_bringup.names import check_name, check_topic, check_word
from smp_bringup.paths import named_config
from smp_bringup.types import FloatArray

TELEOP_TOPIC = "/teleop/command"
"""sensor_msgs/JointState of all joints: what the teleoperation tells the arms."""
_FARTHEST_M = 10.0
"""No arm stands farther from the origin of its robot [m]."""


@dataclass(frozen=True)
class Arm:
    """One arm: its joints in order, and the topics of its driver.

    Whatever has a driver of its own is an entry: a hand, a torso, a head.
    """

    name: str
    state_topic: str
    """sensor_msgs/JointState, measured; arms of one driver may share it."""
    command_topic: str
    """Arms of one controller may share it; the name of the action where it is told by one."""
    joints: tuple[Joint, ...]
    leader_topic: str = ""
    """sensor_msgs/JointState of this arm's leader; empty where it has none, and `TELEOP_TOPIC` is learned from."""
    prefix: str = ""
    """What our joint names have in front of the driver's: "left_" where two drivers both say "elbow_joint"."""
    command_interface: str = field(
        default="joint_state",
        metadata=spec(choices=("joint_state", "forward_position", "joint_trajectory", *ACTIONS)),
    )
    latency_s: float = field(default=0.0, metadata=spec(ge=0, le=1, unit="s"))
    """Header stamp minus true time of measurement of the joint states; subtracted by the aligner."""
    geometry: str = ""
    """Frames and capsules, in config/geometry; empty where they are not known."""
    base: tuple[float, float, float, float, float, float] = (0.0,) * 6
    """Where the arm stands: x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""

    def __post_init__(self) -> None:
        check_word("arm", self.name)
        for topic in (self.state_topic, self.command_topic, *filter(None, (self.leader_topic,))):
            check_topic(topic)
        if not self.joints:
            raise ConfigError(f"arm '{self.name}' has no joints")
        _require_unique("joint", [joint.name for joint in self.joints])
        _require_unique(f"joint of arm '{self.name}' as its driver calls it", list(self.driver.names))
        check_told_by_goals(self.name, self.command_interface, [joint.driver.effort for joint in self.joints])
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
    def operator_topic(self) -> str:
        """Where the operator says what this arm is to do: its leader, or what the teleoperation makes of a device."""
        return self.leader_topic or TELEOP_TOPIC

    @cached_property
    def leader(self) -> DriverJoints:
        """The joints as this arm's leader tells of them."""
        n = len(self.joints)
        return DriverJoints(tuple(joint.name for joint in self.joints), np.ones(n), np.zeros(n))


@dataclass(frozen=True)
class Camera:
    """One camera, as its driver publishes it and as the policy sees it."""

    name: str
    topic: str
    width: int = field(metadata=spec(gt=0, le=8192, unit="px"))
    height: int = field(metadata=spec(gt=0, le=8192, unit="px"))
    rate_hz: float = field(metadata=spec(ge=0.1, le=1000, unit="Hz"))
    observation_width: int = field(metadata=spec(gt=0, le=1024, unit="px"))
    observation_height: int = field(metadata=spec(gt=0, le=1024, unit="px"))
    latency_s: float = field(default=0.0, metadata=spec(ge=0, le=1, unit="s"))
    """Header stamp minus true exposure time; subtracted by the aligner. `smp calibrate latency` measures it."""
    arm: str = ""
    """Arm that carries it; empty where it stands still and sees all of them."""
    recording: str = field(default="raw", metadata=spec(choices=("raw", "jpeg")))
    """How its images go into bags."""
    jpeg_quality: int = field(default=95, metadata=spec(ge=1, le=100))

    def __post_init__(self) -> None:
        check_word("camera", self.name)
        check_topic(self.topic)


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


@dataclass(frozen=True)
class Robot:
    """All arms and cameras; arrays over joints are in the order of `joint_names`."""

    name: str
    control_period_s: float = field(metadata=spec(ge=0.001, le=0.1, unit="s"))
    """Period of the command node."""
    action_period_s: float = field(metadata=spec(ge=0.001, le=1, unit="s"))
    """Period between two actions of a chunk."""
    state_rate_hz: float = field(metadata=spec(ge=1, le=2000, unit="Hz"))
    arms: tuple[Arm, ...]
    cameras: tuple[Camera, ...]
    """The first is the reference that the others are aligned to."""
    simulation: str = ""
    """MJCF builder of the simulator, see sim/; empty where there is no simulation."""

    def __post_init__(self) -> None:
        check_name("robot", self.name)
        if not self.arms:
            raise ConfigError("a robot has at least one arm: list it under arms")
        if not self.cameras:
            raise ConfigError("a robot has at least one camera: list it under cameras")
        _require_unique("joint", list(self.joint_names))
        _require_unique("arm", [a.name for a in self.arms])
        _require_unique("camera", [c.name for c in self.cameras])
        carriers = {c.arm for c in self.cameras if c.arm} - {a.name for a in self.arms}
        if carriers:
            raise ConfigError(f"no arm is called {', '.join(sorted(carriers))}: a camera names it as its carrier")
        told = (*self.command_topics, *self.command_actions)
        shared = (*self.state_topics, *self.leader_topics, *told)
        _require_unique("topic", [joints.topic for joints in shared] + [c.topic for c in self.cameras])
        for joints in shared:
            _require_unique(f"joint on {joints.topic}", list(joints.names))
        for joints in self.state_topics:
            if len({arm.latency_s for arm in joints.arms}) > 1:
                raise ConfigError(f"arms of {joints.topic} share its messages: give them one latency_s")
        for joints in told:
            if len({arm.command_interface for arm in joints.arms}) > 1:
                raise ConfigError(f"arms of {joints.topic} share its messages: give them one command_interface")
        for joints in self.command_actions:
            if self.simulation or len(joints.arms) > 1:
                names = " and ".join(arm.name for arm in joints.arms)
                raise ConfigError(f"{joints.topic}: an action takes goals of one arm of a real robot, not of {names}")

    @cached_property
    def joints(self) -> tuple[Joint, ...]:
        """All joints, arm after arm."""
        return tuple(joint for arm in self.arms for joint in arm.joints)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """(J,) names; this order is the order of every array over joints."""
        return tuple(joint.name for joint in self.joints)

    @property
    def dof(self) -> int:
        """J, the number of joints of all arms."""
        return len(self.joints)

    @cached_property
    def arm_slices(self) -> dict[str, slice]:
        """Where each arm's joints lie in an array over joints."""
        slices, start = {}, 0
        for arm in self.arms:
            slices[arm.name] = slice(start, start + len(arm.joints))
            start += len(arm.joints)
        return slices

    @cached_property
    def state_topics(self) -> tuple["JointTopic", ...]:
        """Topics of measured joint states; arms under one joint_state_broadcaster share one."""
        return self._joint_topics([(arm.state_topic, arm.driver) for arm in self.arms])

    @cached_property
    def leader_topics(self) -> tuple["JointTopic", ...]:
        """Topics of the leaders' joint states."""
        return self._joint_topics([(arm.leader_topic, arm.leader) for arm in self.arms])

    @cached_property
    def operator_topics(self) -> tuple["JointTopic", ...]:
        """Topics that say where the operator wants the arms: what a policy learns from."""
        return self._joint_topics([(arm.operator_topic, arm.leader) for arm in self.arms])

    @cached_property
    def command_topics(self) -> tuple["JointTopic", ...]:
        """Topics that the arms take setpoints from; arms under one controller share one."""
        return self._joint_topics([("" if a.action_type else a.command_topic, a.driver) for a in self.arms])

    @cached_property
    def command_actions(self) -> tuple["JointTopic", ...]:
        """Actions, as topics by name, that take setpoints of hands as goals."""
        return self._joint_topics([(a.command_topic if a.action_type else "", a.driver) for a in self.arms])

    def _joint_topics(self, said: list[tuple[str, DriverJoints]]) -> tuple["JointTopic", ...]:
        """Return the topics, each with those of the arms that name it."""
        found = []
        for topic in dict.fromkeys(topic for topic, _ in said if topic):
            mine = [(arm, joints) for arm, (named, joints) in zip(self.arms, said, strict=True) if named == topic]
            arms, drivers = zip(*mine, strict=True)
            places = np.concatenate([np.arange(self.dof)[self.arm_slices[arm.name]] for arm in arms])
            found.append(JointTopic(topic, arms, drivers, places))
        return tuple(found)

    @cached_property
    def turning(self) -> NDArray[np.bool_]:
        """Which joints (J,) turn, read-only; the others, grippers and joints that slide, travel in m."""
        turning = np.array([joint.turns for joint in self.joints])
        turning.setflags(write=False)
        return turning

    def joint_array(self, attribute: str) -> FloatArray:
        """Return one attribute of all joints as a read-only array (J,)."""
        values = np.array([getattr(joint, attribute) for joint in self.joints], dtype=np.float64)
        values.setflags(write=False)
        return values

    def arm(self, name: str) -> Arm:
        """Return the arm called `name`."""
        return next(arm for arm in self.arms if arm.name == name)

    def camera(self, name: str) -> Camera:
        """Return the camera called `name`."""
        return next(camera for camera in self.cameras if camera.name == name)

    def fingerprint(self, cameras: tuple[str, ...]) -> dict[str, object]:
        """Return what a policy depends on: joint order, camera geometry, action period."""
        body: dict[str, object] = {
            "robot": self.name,
            "joints": list(self.joint_names),
            "cameras": {
                name: [self.camera(name).observation_height, self.camera(name).observation_width] for name in cameras
            },
            "action_period_s": self.action_period_s,
        }
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return {**body, "sha256": digest}

    def unlike(self, other: "Robot") -> str:
        """Return which joints, cameras or periods this robot has instead of those of `other`; nothing if it is alike.

        What is alike can be learned from together. Latencies, limits, topics and names of robots may differ.
        """
        found = []
        for mine, theirs in zip(self._learned(), other._learned(), strict=True):
            new, gone = ([word for word in a if word not in b] for a, b in ((mine, theirs), (theirs, mine)))
            if new or gone:
                found.append(f"{', '.join(new) or 'nothing'} instead of {', '.join(gone) or 'nothing'}")
            elif mine != theirs:
                found.append(f"{', '.join(mine)} in this order")
        return "; ".join(found)

    def _learned(self) -> tuple[list[str], ...]:
        """Return joints, cameras and periods in words."""
        cameras = [f"camera {c.name} ({c.observation_width} x {c.observation_height} px)" for c in self.cameras]
        periods = [f"control period {self.control_period_s:g} s", f"action period {self.action_period_s:g} s"]
        return [f"joint {name}" for name in self.joint_names], sorted(cameras), periods


def load_robot(name: str) -> Robot:
    """Return the robot `name` (in config/robots, or a path to a YAML file)."""
    return config.load(Robot, named_config("robots", name))


def _require_unique(kind: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{kind} named twice: {', '.join(repeated)}")
