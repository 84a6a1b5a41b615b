"""Frames and capsules of a robot's arms out of its description, as config/geometry has them.

All frames have the axes of their arm's base while all joints are at zero, so that a joint is where it is and what it
turns about there, whatever frames the description gives it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.description.capsules import Shape, capsules, shapes
from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose
from smp_bringup.errors import ConfigError
from smp_bringup.geometry import ArmGeometry, Capsule, JointFrame, Vector
from smp_bringup.joints import Joint
from smp_bringup.kinematics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_SWEPT = 9
"""Positions between closed and open, at which the fingers of a hand are looked at."""
_EDGELESS = np.zeros((0, 2), dtype=np.intp)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_DIGITS = 6


@dataclass(frozen=True)
class Placed:
    """The geometry of one arm, and where it stands."""

    geometry: ArmGeometry
    base: tuple[float, float, float, float, float, float]
    """As `Arm.base`."""
    carried_by: str = ""
    """As `Arm.carried_by`."""


@dataclass(frozen=True)
class _Moved:
    """What moves a link: the joint of an arm; `frame` counts the joints up to it that are no grippers."""

    arm: int
    frame: int
    finger: bool


def arm_geometries(robot: Robot) -> tuple[list[Placed], list[str]]:
    """Return the geometry of each arm of a robot out of its description, and the links that belong to none.

    Raises:
        ConfigError: the robot has no description, it lacks a joint, or nothing in it has a collision shape.
    """
    if not robot.description:
        raise ConfigError(f"robot '{robot.name}' has no description: name its URDF, e.g. description: my_robot.urdf")
    reader = _Reader(robot, Description(robot.description, shapes=True))
    return [reader.placed(number) for number in range(len(robot.arms))], reader.left_out()


class _Reader:
    """A description at zero, and which joints of a robot move its links."""

    def __init__(self, robot: Robot, description: Description) -> None:
        self._robot, self._description, self._model = robot, description, description.model
        self._called = {joint.name: self._call(arm, k) for arm in robot.arms for k, joint in enumerate(arm.joints)}
        self._moves = {self._called[joint.name]: found for joint, found in self._joints()}
        description.place(self._model.qpos0)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_kinematics(self._model, self._data)
        self._movers = {link: self._moved(link) for link in description.links}

    def placed(self, number: int) -> Placed:
        """Return the geometry of an arm."""
        arm, base = self._robot.arms[number], self._base(number)
        at, joints = base.position, []
        for joint in arm.joints:
            if joint.gripper:
                continue
            told = self._model.joint(self._called[joint.name])
            slides = int(self._model.jnt_type[told.id]) == _SLIDE
            if slides != joint.prismatic:
                kind = "slides" if slides else "turns"
                raise ConfigError(f"joint '{joint.name}' {kind} in the description: say so with prismatic")
            anchor, axis = self._data.xanchor[told.id], self._data.xaxis[told.id]
            joints.append(JointFrame(_vector(base.rotation.T @ (anchor - at)), _unit(base.rotation.T @ axis), slides))
            at = anchor
        found = tuple(self._capsules(number, base))
        if not found:
            raise ConfigError(f"arm '{arm.name}' has no collision shape in description '{self._description.path.name}'")
        carrier = self._movers[self._stand(number)]
        if carrier is None:
            return Placed(ArmGeometry(tuple(joints), found), _six(base))
        name, frame = self._carrier(carrier)
        return Placed(ArmGeometry(tuple(joints), found), _six(base.seen_from(frame)), name)

    def left_out(self) -> list[str]:
        """Return the links with shapes that no arm has."""
        stands = {self._stand(number) for number in range(len(self._robot.arms))}
        return [
            link
            for link, moved in self._movers.items()
            if moved is None and link not in stands and shapes(self._model, self._description.link(link))
        ]

    def _call(self, arm: Arm, k: int) -> str:
        """Return what the description calls a joint: as we do, or as the driver does."""
        joint, known = arm.joints[k], self._description.joints
        if joint.name in known:
            return joint.name
        theirs = arm.driver.names[k]
        if theirs not in known:
            self._description.places([joint.name])  # says which is nearest
        if not joint.gripper and (arm.driver.scale[k], arm.driver.offset[k]) != (1.0, 0.0):
            raise ConfigError(f"joint '{joint.name}' is told in other units by its driver than by the description")
        return theirs

    def _joints(self) -> Iterator[tuple[Joint, _Moved]]:
        for number, arm in enumerate(self._robot.arms):
            frame = 0
            for joint in arm.joints:
                frame += not joint.gripper
                yield joint, _Moved(number, frame, joint.gripper)

    def _moved(self, link: str) -> _Moved | None:
        """Return what moves a link against the root; joints that are none of the robot's stand at zero."""
        body = self._model.body(link)
        while body.id:
            if found := self._moves.get(self._description.mover(body.name)):
                return found
            body = self._model.body(body.parentid[0])
        return None

    def _stand(self, number: int) -> str:
        """Return the link that carries the first joint of an arm."""
        first = self._model.joint(self._called[self._robot.arms[number].joints[0].name])
        parent: str = self._model.body(self._model.body(int(first.bodyid[0])).parentid[0]).name
        return parent

    def _base(self, number: int) -> Pose:
        link = self._data.body(self._stand(number))
        return Pose(link.xpos.copy(), link.xmat.reshape(3, 3).copy())

    def _carrier(self, moved: _Moved) -> tuple[str, Pose]:
        """Return the joint that carries an arm, and its frame."""
        arm = self._robot.arms[moved.arm]
        joint = [joint for joint in arm.joints if not joint.gripper][moved.frame - 1]
        anchor = self._data.xanchor[self._model.joint(self._called[joint.name]).id]
        return joint.name, Pose(anchor.copy(), self._base(moved.arm).rotation)

    def _capsules(self, number: int, base: Pose) -> Iterator[Capsule]:
        anchors = [base.position]
        for joint in self._robot.arms[number].joints:
            if not joint.gripper:
                anchors.append(self._data.xanchor[self._model.joint(self._called[joint.name]).id])
        for link, moved in self._movers.items():
            mine = moved is not None and moved.arm == number
            if not mine and not (moved is None and link == self._stand(number)):
                continue
            after = moved.frame if moved else 0
            for k, shape in enumerate(shapes(self._model, self._description.link(link))):
                name = f"{link}_shape{k + 1}" if k else link
                finger = moved is not None and moved.finger
                seen = self._swept(number, link, shape) if finger else self._at(link, shape)
                here = seen._replace(points=(seen.points - anchors[after]) @ base.rotation)
                yield from capsules(name, here, after, finger)

    def _at(self, link: str, shape: Shape) -> Shape:
        """Return a shape of a link from the root, all joints at zero."""
        body = self._data.body(link)
        return shape._replace(points=shape.points @ body.xmat.reshape(3, 3).T + body.xpos)

    def _swept(self, number: int, link: str, shape: Shape) -> Shape:
        """Return the corners of a finger's shape wherever it can be, the arm's other joints at zero."""
        names = [self._called[joint.name] for joint in self._robot.arms[number].joints if joint.gripper]
        ranges = [self._model.joint(name).range for name in names]
        corners: list[FloatArray] = []
        for share in np.linspace(0, 1, _SWEPT):
            told = {name: float(low + share * (high - low)) for name, (low, high) in zip(names, ranges, strict=True)}
            self._description.place(self._model.qpos0)
            self._description.move(told)
            pose = self._description.pose(self._description.link(link))
            corners.append(shape.points @ pose.rotation.T + pose.position)
        self._description.place(self._model.qpos0)
        return Shape(np.concatenate(corners), _EDGELESS, shape.radius)


def _vector(values: FloatArray) -> Vector:
    x, y, z = (round(float(v), _DIGITS) + 0.0 for v in values)
    return x, y, z


def _unit(values: FloatArray) -> Vector:
    return _vector(values / np.linalg.norm(values))


def _six(pose: Pose) -> tuple[float, float, float, float, float, float]:
    """Return x, y, z [m]; roll, pitch, yaw [rad] about fixed axes, of a pose."""
    r = pose.rotation
    pitch = float(np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0])))
    if np.hypot(r[0, 0], r[1, 0]) > 1e-9:
        roll, yaw = float(np.arctan2(r[2, 1], r[2, 2])), float(np.arctan2(r[1, 0], r[0, 0]))
    else:  # roll and yaw turn about one axis
        roll, yaw = float(np.arctan2(-r[1, 2], r[1, 1])), 0.0
    return (*_vector(pose.position), *_vector(np.array([roll, pitch, yaw])))
