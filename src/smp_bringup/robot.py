"""A robot as data: arms, joints, limits, cameras, topics and periods (config/robots/*.yaml).

Nothing here or elsewhere knows how many arms there are or what they are called.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import pi

import numpy as np
from numpy.typing import NDArray

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.joint_units import GRIPPER, TURNING, check_limits
from smp_bringup.leader import Leader, LeaderJoints, leader_joints
from smp_bringup.names import check_name, check_topic, check_word
from smp_bringup.paths import PACKAGE_URI, named_config
from smp_bringup.types import FloatArray

TELEOP_TOPIC = "/teleop/command"
"""sensor_msgs/JointState of all joints: what the teleoperation tells the arms."""
_FARTHEST_M = 10.0
"""No arm stands farther from the origin of its robot [m]."""


@dataclass(frozen=True)
class Joint:
    """One actuated joint and the limits that every setpoint keeps."""

    name: str
    min: float
    """[rad], grippers [m]."""
    max: float
    velocity: float = field(metadata=spec(gt=0, unit="rad/s"))
    acceleration: float = field(metadata=spec(gt=0, unit="rad/s^2"))
    jerk: float = field(metadata=spec(gt=0, unit="rad/s^3"))
    home: float = 0.0
    gripper: bool = False

    def __post_init__(self) -> None:
        check_name("joint", self.name)
        kind = GRIPPER if self.gripper else TURNING
        rates = {
            "velocity": (self.velocity, kind.velocity),
            "acceleration": (self.acceleration, kind.acceleration),
            "jerk": (self.jerk, kind.jerk),
        }
        check_limits(self.name, kind, {"min": self.min, "max": self.max, "home": self.home}, rates)
        if not self.min < self.max:
            raise ConfigError(f"joint '{self.name}': min {self.min:g} must be below max {self.max:g}")
        if not self.min <= self.home <= self.max:
            raise ConfigError(f"joint '{self.name}': home {self.home:g} is outside [{self.min:g}, {self.max:g}]")


@dataclass(frozen=True)
class Arm:
    """One arm: its joints in order, and the topics of its driver."""

    name: str
    state_topic: str
    """sensor_msgs/JointState, measured."""
    command_topic: str
    joints: tuple[Joint, ...]
    leader_topic: str = ""
    """sensor_msgs/JointState of a leader arm with our joints: short for `leader: {topic: ...}`."""
    leader: Leader | None = None
    """Who leads this arm in teleoperation; without, it stays where it is."""
    command_interface: str = field(
        default="joint_state",
        metadata=spec(choices=("joint_state", "forward_position", "joint_trajectory")),
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
        if self.leader and self.leader_topic:
            raise ConfigError(f"arm '{self.name}' has leader_topic, short for leader, and leader: keep one of them")
        if self.leader:
            _ = self.leader_joints  # says what is wrong in it
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

    @property
    def led_by(self) -> Leader | None:
        """Who leads this arm, however the robot file says it."""
        return Leader(self.leader_topic) if self.leader_topic else self.leader

    @property
    def operator_topic(self) -> str:
        """Where the operator says what this arm is to do: its leader arm, or what teleoperation makes of a device."""
        return self.led_by.topic if self.led_by and not self.led_by.moves_hand else TELEOP_TOPIC

    @cached_property
    def leader_joints(self) -> LeaderJoints:
        """The joints as they are told of on `operator_topic`."""
        return leader_joints(self.led_by or Leader("/none"), [joint.name for joint in self.joints])


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
    """A topic of joint states, and whose joints its messages name."""

    topic: str
    arms: tuple[Arm, ...]
    names: tuple[str, ...]
    """(n,) of the joints of these arms."""
    places: NDArray[np.intp]
    """(n,) of these joints in an array over joints (J,)."""


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
    description: str = ""
    """URDF of the whole robot, or MJCF: a path, from the robot file's folder on, or package://PACKAGE/PATH."""

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
        joint_topics = [joints.topic for joints in (*self.state_topics, *self.leader_topics)]
        commands = [a.command_topic for a in self.arms]
        hands = [arm.led_by.topic for arm in self.arms if arm.led_by and arm.led_by.moves_hand]
        _require_unique("topic", joint_topics + commands + hands + [c.topic for c in self.cameras])
        blind = [arm.name for arm in self.arms if arm.led_by and arm.led_by.moves_hand and not self.description]
        if blind:
            raise ConfigError(
                f"the leader of arm {', '.join(blind)} moves a hand, which takes the robot's description: "
                "name its URDF, e.g. description: my_robot.urdf"
            )
        for joints in self.state_topics:
            if len({arm.latency_s for arm in joints.arms}) > 1:
                raise ConfigError(f"arms of {joints.topic} share its messages: give them one latency_s")

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
        return self._joint_topics([arm.state_topic for arm in self.arms])

    @cached_property
    def leader_topics(self) -> tuple["JointTopic", ...]:
        """Topics of the leader arms' joint states."""
        led = [arm.led_by for arm in self.arms]
        return self._joint_topics([leader.topic if leader and not leader.moves_hand else "" for leader in led])

    @property
    def has_leader_arms(self) -> bool:
        """Whether every arm has a leader arm: what these told is then what a policy learns."""
        return all(arm.led_by and not arm.led_by.moves_hand for arm in self.arms)

    @cached_property
    def operator_topics(self) -> tuple["JointTopic", ...]:
        """Topics that say where the operator wants the arms: what a policy learns from."""
        return self._joint_topics([arm.operator_topic for arm in self.arms])

    def _joint_topics(self, topics: list[str]) -> tuple["JointTopic", ...]:
        """Return the topics, each with those of the arms that name it."""
        found = []
        for topic in dict.fromkeys(filter(None, topics)):
            arms = tuple(arm for arm, named in zip(self.arms, topics, strict=True) if named == topic)
            places = np.concatenate([np.arange(self.dof)[self.arm_slices[arm.name]] for arm in arms])
            found.append(JointTopic(topic, arms, tuple(self.joint_names[k] for k in places), places))
        return tuple(found)

    @cached_property
    def turning(self) -> NDArray[np.bool_]:
        """Which joints (J,) turn, read-only; the others are grippers."""
        turning = np.array([not joint.gripper for joint in self.joints])
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
    """Return the robot `name` (in config/robots, or a path to a YAML file); its description's path is made absolute."""
    path = named_config("robots", name)
    robot = config.load(Robot, path)
    if not robot.description or robot.description.startswith(PACKAGE_URI):
        return robot
    return replace(robot, description=str((path.parent / robot.description).resolve()))


def _require_unique(kind: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{kind} named twice: {', '.join(repeated)}")
