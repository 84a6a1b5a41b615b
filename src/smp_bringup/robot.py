"""A robot as data: arms, joints, limits, cameras, topics and periods (config/robots/*.yaml).

Nothing here or elsewhere knows how many arms there are or what they are called.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.arm import JointTopic as JointTopic
from smp_bringup.camera import Camera
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.joints import DriverJoints, Joint
from smp_bringup.mounts import Mount, find_mounts
from smp_bringup.names import check_name, check_topic, in_namespace, require_unique
from smp_bringup.paths import HOSTED, PACKAGE_URI, named_config
from smp_bringup.types import FloatArray
from smp_bringup.vector import Vector, check_vectors

MOST_JOINTS, MOST_CAMERAS = 128, 32
"""No robot has more, and how long a message of it may be, and a cycle take, goes with them."""


@dataclass(frozen=True)
class RecordedTopic:
    """A topic that is recorded as it comes, beside what the policy sees: depth, forces, whatever a driver says."""

    topic: str
    type: str
    """As `ros2 topic type` prints it, e.g. sensor_msgs/msg/Image."""

    def __post_init__(self) -> None:
        check_topic(self.topic)
        if not re.fullmatch(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*", self.type):
            raise ConfigError(
                f"recorded topic {self.topic}: type '{one_line(self.type)}' must be like sensor_msgs/msg/Image"
            )


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
    """One of config/simulations, or a YAML file; empty where there is no simulation."""
    model: str = ""
    """Shipped model or checkpoint folder that drives it, if no other is asked for; empty where there is none."""
    safety: str = ""
    """Its settings in config/safety, or a YAML file."""
    description: str = ""
    """URDF of the whole robot, or MJCF: a path, from the robot file's folder on, or package://PACKAGE/PATH."""
    recorded: tuple[RecordedTopic, ...] = ()
    """Further topics of an episode's bag."""
    vectors: tuple[Vector, ...] = ()
    """Further numbers that a policy may see; they are recorded, too."""

    def __post_init__(self) -> None:
        check_name("robot", self.name)
        if not self.arms:
            raise ConfigError("a robot has at least one arm: list it under arms")
        if not self.cameras:
            raise ConfigError("a robot has at least one camera: list it under cameras")
        for what, count, most in (("joints", self.dof, MOST_JOINTS), ("cameras", len(self.cameras), MOST_CAMERAS)):
            if count > most:
                raise ConfigError(f"a robot has at most {most} {what}, got {count}")
        require_unique("joint", list(self.joint_names))
        require_unique("arm", [a.name for a in self.arms])
        require_unique("camera", [c.name for c in self.cameras])
        carriers = {c.arm for c in self.cameras if c.arm} - {a.name for a in self.arms}
        if carriers:
            raise ConfigError(f"no arm is called {', '.join(sorted(carriers))}: a camera names it as its carrier")
        told = (*self.command_topics, *self.command_actions)
        shared = (*self.state_topics, *self.leader_topics, *told)
        others = [arm.led_by.topic for arm in self.arms if arm.led_by and not arm.led_by.is_arm]
        others += [t for c in self.cameras for t in (c.raw_topic, c.packed_topic)]
        others += list(dict.fromkeys(c.info_topic for c in self.cameras))
        others += [recorded.topic for recorded in self.recorded]
        require_unique("topic", [joints.topic for joints in shared] + others)
        states = [joints.topic for joints in self.state_topics]
        taken = {*(joints.topic for joints in shared), *others} - set(states)
        check_vectors(self.vectors, [*(c.name for c in self.cameras), *(a.name for a in self.arms)], states, [*taken])
        if self.cameras[0].depth:
            raise ConfigError(
                f"camera '{self.cameras[0].name}': the first camera is what all are aligned to and replay shows: "
                "put one in colour there"
            )
        for joints in shared:
            require_unique(f"joint on {joints.topic}", list(joints.names))
        _ = self.mounts  # says what is wrong in it
        blind = [arm.name for arm in self.arms if arm.led_by and arm.led_by.moves_hand and not self.description]
        if blind:
            raise ConfigError(
                f"the leader of arm {', '.join(blind)} moves a hand, which takes the robot's description: "
                "name its URDF, e.g. description: my_robot.urdf"
            )
        for joints in self.state_topics:
            if len({arm.latency_s for arm in joints.arms}) > 1:
                raise ConfigError(f"arms of {joints.topic} share its messages: give them one latency_s")
            if len({arm.by_twist for arm in joints.arms}) > 1:
                raise ConfigError(
                    f"{joints.topic}: a base that is told by twist says how it goes on a topic of its own"
                )
        for joints in told:
            if len({arm.command_interface for arm in joints.arms}) > 1:
                raise ConfigError(f"arms of {joints.topic} share its messages: give them one command_interface")
        if self.simulation and any(arm.is_base for arm in self.arms):
            raise ConfigError(f"no simulation has a base that drives: take simulation: {self.simulation} out")
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
    def mounts(self) -> tuple[Mount | None, ...]:
        """Of each arm that another carries: which, and by how many of its joints that are no grippers it is moved."""
        return find_mounts(self.arms)

    @cached_property
    def state_topics(self) -> tuple[JointTopic, ...]:
        """Topics of measured joint states; arms under one joint_state_broadcaster share one."""
        return self._joint_topics([(arm.state_topic, arm.driver) for arm in self.arms])

    @cached_property
    def leader_topics(self) -> tuple[JointTopic, ...]:
        """Topics of the leader arms' joint states."""
        led = [(arm.led_by, arm.leader_joints) for arm in self.arms]
        return self._joint_topics([(by.topic if by and by.is_arm else "", joints) for by, joints in led])

    @property
    def has_leader_arms(self) -> bool:
        """Whether every arm has a leader arm: what these told is then what a policy learns."""
        return all(arm.led_by and arm.led_by.is_arm for arm in self.arms)

    @property
    def is_led_by_none(self) -> bool:
        """Whether no arm has a leader: an operator says on the topic of teleoperation where all joints are to be."""
        return not any(arm.led_by for arm in self.arms)

    @cached_property
    def operator_topics(self) -> tuple[JointTopic, ...]:
        """Topics that say where the operator wants the arms: what a policy learns from."""
        return self._joint_topics([(arm.operator_topic, arm.leader_joints) for arm in self.arms])

    @cached_property
    def command_topics(self) -> tuple[JointTopic, ...]:
        """Topics that the arms take setpoints from; arms under one controller share one."""
        return self._joint_topics([("" if a.action_type else a.command_topic, a.driver) for a in self.arms])

    @cached_property
    def command_actions(self) -> tuple[JointTopic, ...]:
        """Actions, as topics by name, that take setpoints of hands as goals."""
        return self._joint_topics([(a.command_topic if a.action_type else "", a.driver) for a in self.arms])

    def _joint_topics(self, said: list[tuple[str, DriverJoints]]) -> tuple[JointTopic, ...]:
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
        """Which joints (J,) turn, read-only; the others, grippers and joints that slide, travel in m, or are rates."""
        turning = np.array([joint.turns for joint in self.joints])
        turning.setflags(write=False)
        return turning

    @cached_property
    def rates(self) -> NDArray[np.bool_]:
        """Which joints (J,) are rates, read-only: their value is a velocity, and they rest at 0."""
        rates = np.array([joint.rate for joint in self.joints])
        rates.setflags(write=False)
        return rates

    @cached_property
    def slopes(self) -> FloatArray:
        """Limits (3, J) of the first three derivatives of every joint's value, read-only; see `Joint.slopes`."""
        slopes = np.array([joint.slopes for joint in self.joints]).T
        slopes.setflags(write=False)
        return slopes

    def joint_array(self, attribute: str) -> FloatArray:
        """Return one attribute of all joints as a read-only array (J,)."""
        values = np.array([getattr(joint, attribute) for joint in self.joints], dtype=np.float64)
        values.setflags(write=False)
        return values

    def arm(self, name: str) -> Arm:
        """Return the arm called `name`."""
        return next(arm for arm in self.arms if arm.name == name)

    def joint(self, name: str) -> Joint:
        """Return the joint called `name`."""
        return next(joint for joint in self.joints if joint.name == name)

    def camera(self, name: str) -> Camera:
        """Return the camera called `name`."""
        return next(camera for camera in self.cameras if camera.name == name)

    def vector(self, name: str) -> Vector:
        """Return the vector called `name`."""
        return next(vector for vector in self.vectors if vector.name == name)

    @cached_property
    def vector_topics(self) -> dict[str, tuple[Vector, ...]]:
        """The vectors by topic: several may share one."""
        topics = dict.fromkeys(vector.topic for vector in self.vectors)
        return {topic: tuple(vector for vector in self.vectors if vector.topic == topic) for topic in topics}

    def fingerprint(self, cameras: tuple[str, ...], vectors: tuple[str, ...] = ()) -> dict[str, object]:
        """Return what a policy that sees these depends on: joint order, cameras, vectors, action period."""
        body: dict[str, object] = {
            "robot": self.name,
            "joints": list(self.joint_names),
            "cameras": {name: self.camera(name).view for name in cameras},
            "action_period_s": self.action_period_s,
        }
        seen = [self.camera(name) for name in cameras]
        if depth := {camera.name: [camera.depth.min, camera.depth.max] for camera in seen if camera.depth}:
            body["depth"] = depth
        if vectors:
            body["vectors"] = {name: list(self.vector(name).entries) for name in vectors}
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return {**body, "sha256": digest}

    def unlike(self, other: "Robot") -> str:
        """Return what of joints, cameras, vectors and periods this robot has instead of that of `other`.

        Nothing, if it is alike: what is alike can be learned from together. Latencies, limits, topics and names of
        robots may differ.
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
        """Return joints, cameras, vectors and periods in words."""
        cameras = [f"camera {c.name} ({c.view_text})" for c in self.cameras]
        periods = [f"control period {self.control_period_s:g} s", f"action period {self.action_period_s:g} s"]
        vectors = [f"vector {v.name} ({', '.join(v.entries)})" for v in self.vectors]
        return [f"joint {name}" for name in self.joint_names], sorted(cameras), sorted(vectors), periods


def build_robot(document: Mapping[str, Any], where: str, namespace: str = "/") -> Robot:
    """Return the robot of a YAML document that comes from `where`; its relative topics are in `namespace`."""
    return config.build(Robot, in_namespace(document, namespace), where)


def _with_geometry_beside(path: Path, arm: Arm) -> Arm:
    """Return an arm whose geometry, if it is a file named from the robot file's folder on, is named by its path."""
    beside = path.parent / arm.geometry
    return replace(arm, geometry=str(beside)) if arm.geometry and beside.is_file() else arm


def load_robot(name: str, namespace: str = "/") -> Robot:
    """Return the robot `name` (in config/robots, or a path to a YAML file); its relative topics are in `namespace`.

    Bags name topics as in the root namespace, wherever the nodes ran. The path of its description is made absolute.
    """
    path = named_config("robots", name)
    document = config.read_yaml(path)
    for key in ("model", "safety", "simulation"):  # a relative path is meant from the file that says it
        if isinstance(word := document.get(key), str) and word:
            kind = HOSTED if key == "model" and word.startswith(HOSTED) else ""
            beside = path.parent / word.removeprefix(kind)
            document[key] = f"{kind}{beside}" if beside.exists() else word
    robot = build_robot(document, path.name, namespace)
    robot = replace(robot, arms=tuple(_with_geometry_beside(path, arm) for arm in robot.arms))
    if not robot.description or robot.description.startswith(PACKAGE_URI):
        return robot
    return replace(robot, description=str((path.parent / robot.description).resolve()))
