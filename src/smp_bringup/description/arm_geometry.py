"""Frames and capsules of a robot's arms out of its description, as config/geometry has them.

All frames have the axes of their arm's base while all joints are at zero, so that a joint is where it is and what it
turns about there, whatever frames the description gives it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.description.capsules import Shape, capsules, shapes
from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose
from smp_bringup.description.sweep import MOST_JOINTS, swept
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.geometry import ArmGeometry, Capsule, JointFrame, Vector
from smp_bringup.joints import Joint
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_HAND_M = 0.4
"""No joints of a hand are farther from each other."""
_LARGEST_M = 3.0
"""Of a link: a larger one is in another unit."""
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
    """What moves a link: joints of an arm."""

    arm: int
    frame: int
    """How many of its joints that are no grippers carry the link rigidly."""
    sweeps: tuple[str, ...] = ()
    """Joints, as the description calls them, that move it besides, alone or by joints that mimic them."""


@dataclass(frozen=True)
class Shapes:
    """What a description says of the shapes of a robot."""

    placed: tuple[Placed, ...]
    """Of each arm."""
    left_out: tuple[str, ...]
    """Links that stand still and belong to no arm."""
    frozen: tuple[str, ...]
    """Joints that move links of arms and are none of the robot's: those links are watched as if they stood at zero."""
    bare: tuple[str, ...] = ()
    """Links that joints of the robot move, and that are shown but have no collision shape: nothing looks at them."""


def arm_geometries(robot: Robot, description: Description | None = None) -> Shapes:
    """Return the geometry of each arm of a robot out of a description, by default its own.

    Raises:
        ConfigError: the robot has no description, it lacks a joint, the joints of an arm are no chain there, or nothing
            in it has a collision shape.
    """
    if description is None and not robot.description:
        raise ConfigError(f"robot '{robot.name}' has no description: name its URDF, e.g. description: my_robot.urdf")
    reader = _Reader(robot, description or Description(robot.description, shapes=True))
    placed = tuple(reader.placed(number) for number in range(len(robot.arms)))
    return Shapes(placed, tuple(reader.left_out()), tuple(reader.frozen), tuple(reader.bare()))


class _Reader:
    """A description at zero, and which joints of a robot move its links."""

    def __init__(self, robot: Robot, description: Description) -> None:
        self._robot, self._description, self._model = robot, description, description.model
        self._called = {joint.name: self._call(arm, k) for arm in robot.arms for k, joint in enumerate(arm.joints)}
        self._joints = {self._called[name]: (number, joint) for number, name, joint in self._all()}
        self._data = mujoco.MjData(self._model)
        description.place(self._model.qpos0)
        self._data.qpos[:] = description.position  # with what mimics others where that brings it
        mujoco.mj_kinematics(self._model, self._data)
        self.frozen: dict[str, None] = {}
        """Joints, in order, that move links of arms and are none of the robot's."""
        self._fans = set[int]()
        """Arms, by number, that are no chain but stand on another, as a hand of several fingers: they sweep."""
        for number in range(len(robot.arms)):
            self._check_chain(number)
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
        if not found or not self._carries_shapes(arm):
            raise ConfigError(
                f"no link that arm '{arm.name}' moves has a collision shape in '{self._description.path.name}': give "
                "them some, or leave it out by naming the others (--arm)"
            )
        carrier = self._movers[self._stand(number)]
        if carrier is None:
            return Placed(ArmGeometry(tuple(joints), found), _six(base))
        if carrier.sweeps:
            names = ", ".join(carrier.sweeps)
            raise ConfigError(f"arm '{arm.name}' stands on a link that {names} sweeps: carried_by cannot say so")
        name, frame = self._carrier(carrier)
        return Placed(ArmGeometry(tuple(joints), found), _six(base.seen_from(frame)), name)

    def left_out(self) -> list[str]:
        """Return the links with shapes that no arm has."""
        stands = {self._stand(number) for number in range(len(self._robot.arms))}
        return [
            link
            for link, moved in self._movers.items()
            if moved is None and link not in stands and self._has_shape(link)
        ]

    def bare(self) -> list[str]:
        """Return the links that are shown and have no shape, and that a joint moves."""
        return [link for link in self._description.shown if self._movers[link] and not self._has_shape(link)]

    def _carries_shapes(self, arm: Arm) -> bool:
        """Return whether a link that joints of an arm move, alone or with what it carries, has a shape."""
        own = {self._called[joint.name] for joint in arm.joints}
        return any(own & dict(self._way(link)).keys() and self._has_shape(link) for link in self._movers)

    def _has_shape(self, link: str) -> bool:
        return bool(shapes(self._model, self._description.link(link)))

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

    def _all(self) -> Iterator[tuple[int, str, Joint]]:
        for number, arm in enumerate(self._robot.arms):
            for joint in arm.joints:
                yield number, joint.name, joint

    def _check_chain(self, number: int) -> None:
        """Note an arm whose joints do not each move the next as one that sweeps.

        Raises:
            ConfigError: it is no hand that another arm carries, or a joint that is no gripper comes after one.
        """
        arm, way = self._robot.arms[number], self._way(self._stand(number))
        others = {name for name, _ in way} - {self._called[joint.name] for joint in arm.joints}
        hand = len(others) == len(way) > 0 and self._is_small(arm)
        for k, joint in enumerate(arm.joints):
            if joint.gripper:
                if not all(other.gripper for other in arm.joints[k:]):
                    raise ConfigError(f"arm '{arm.name}': gripper '{joint.name}' stands before joints that are none")
                continue
            way = [*way, (self._called[joint.name], False)]
            body = self._model.body(int(self._model.joint(self._called[joint.name]).bodyid[0]))
            if self._way(body.name) != way and hand:
                self._fans.add(number)
                return
            if self._way(body.name) != way:
                raise ConfigError(
                    f"arm '{arm.name}': '{joint.name}' is not moved by the joints before it, and them alone: "
                    "shapes are known of chains, one an entry"
                )

    def _is_small(self, arm: Arm) -> bool:
        """Return whether all joints of an arm are as near to each other as those of a hand."""
        at = np.array([self._data.xanchor[self._model.joint(self._called[joint.name]).id] for joint in arm.joints])
        return bool(np.ptp(at, axis=0).max() <= _HAND_M)

    def _way(self, link: str) -> list[tuple[str, bool]]:
        """Return the robot's joints that move a link, from the root on, and whether each does by one that mimics it."""
        way, body = list[tuple[str, bool]](), self._model.body(link)
        while body.id:
            source = self._description.mover(body.name)
            if source in self._joints:
                own = self._model.joint(int(body.jntadr[0])).name
                way.append((source, own != source))
            body = self._model.body(body.parentid[0])
        return way[::-1]

    def _moved(self, link: str) -> _Moved | None:
        """Return what moves a link against the root; joints that are none of the robot's stand at zero."""
        way = self._way(link)
        rigid = [name for name, mimics in way if not mimics and not self._sweeps(name)]
        swept = list(dict.fromkeys(name for name, _ in way[len(rigid) :]))
        if [name for name, _ in way[: len(rigid)]] != rigid or not self._may_sweep(swept):
            names = ", ".join(name for name, _ in way)
            raise ConfigError(
                f"link '{one_line(link)}' is moved by {names}: only one joint may sweep it, or {MOST_JOINTS} of a hand "
                "that an arm carries, behind the others"
            )
        if way and self._has_shape(link):
            self.frozen |= dict.fromkeys(self._not_ours(link))
        if not way:
            return None
        if not swept:
            number, joint = self._joints[rigid[-1]]
            return _Moved(number, self._frame(number, joint))
        number, joint = self._joints[swept[0]]
        frame = self._frame(number, joint)  # a gripper has the frame before it, and what mimics others none
        own = [name for name in rigid if self._joints[name][0] == number]
        return _Moved(number, min(frame, len(own)), tuple(swept))

    def _sweeps(self, name: str) -> bool:
        """Return whether what a joint moves is told as the room that it sweeps."""
        number, joint = self._joints[name]
        return joint.gripper or number in self._fans

    def _may_sweep(self, names: Sequence[str]) -> bool:
        """Return whether these joints may sweep one link."""
        hands = {self._joints[name][0] for name in names}
        return len(names) <= 1 or (len(hands) == 1 and hands <= self._fans and len(names) <= MOST_JOINTS)

    def _not_ours(self, link: str) -> Iterator[str]:
        """Yield the joints that move a link and are none of the robot's."""
        body = self._model.body(link)
        while body.id:
            source = self._description.mover(body.name)
            if source and source not in self._joints:
                yield source
            body = self._model.body(body.parentid[0])

    def _frame(self, number: int, joint: Joint) -> int:
        """Return how many joints of an arm that are no grippers there are up to a joint, itself with them."""
        joints = self._robot.arms[number].joints
        return sum(not other.gripper for other in joints[: joints.index(joint) + 1])

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
                if (size := float(np.ptp(shape.points, axis=0).max())) > _LARGEST_M:
                    raise ConfigError(
                        f"link '{one_line(link)}' is {size:.3g} m large: a mesh in mm takes scale=\"0.001 0.001 0.001\""
                    )
                name = f"{link}_shape{k + 1}" if k else link
                joints = moved.sweeps if moved else ()
                ranges = {joint: self._range(joint) for joint in joints}
                seen = swept(self._description, ranges, link, shape) if ranges else self._at(link, shape)
                here = seen._replace(points=(seen.points - anchors[after]) @ base.rotation)
                yield from capsules(name, here, after, touches=bool(joints) and self._joints[joints[0]][1].gripper)

    def _at(self, link: str, shape: Shape) -> Shape:
        """Return a shape of a link from the root, all joints at zero."""
        body = self._data.body(link)
        return shape._replace(points=shape.points @ body.xmat.reshape(3, 3).T + body.xpos)

    def _range(self, joint: str) -> tuple[float, float]:
        """Return between which positions a joint can be: by the description, and by the robot file."""
        _, ours = self._joints[joint]
        told = (ours.min, ours.max) if joint == ours.name else ours.driver_range
        ends = (*told, *self._model.joint(joint).range.tolist())
        return min(ends), max(ends)


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
