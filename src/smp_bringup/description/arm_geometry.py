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
from smp_bringup.description.movers import Moved, Movers
from smp_bringup.description.pose import Pose
from smp_bringup.description.sweep import swept
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.geometry import ArmGeometry, Capsule, JointFrame, Vector
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
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
    """A description, and the geometry that arms of a robot have in it."""

    def __init__(self, robot: Robot, description: Description) -> None:
        self._robot, self._description, self._model = robot, description, description.model
        self._movers = Movers(robot, description)
        self._data, self.frozen = self._movers.zero, self._movers.frozen

    def placed(self, number: int) -> Placed:
        """Return the geometry of an arm."""
        arm, base = self._robot.arms[number], self._base(number)
        at, joints = base.position, []
        for joint in arm.joints:
            if joint.gripper:
                continue
            told = self._model.joint(self._movers.called[joint.name])
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
        carrier = self._movers.of[self._movers.stand(number)]
        if carrier is None:
            return Placed(ArmGeometry(tuple(joints), found), base.six)
        if carrier.sweeps:
            names = ", ".join(carrier.sweeps)
            raise ConfigError(f"arm '{arm.name}' stands on a link that {names} sweeps: carried_by cannot say so")
        name, frame = self._carrier(carrier)
        return Placed(ArmGeometry(tuple(joints), found), base.seen_from(frame).six, name)

    def left_out(self) -> list[str]:
        """Return the links with shapes that no arm has."""
        stands = {self._movers.stand(number) for number in range(len(self._robot.arms))}
        return [
            link
            for link, moved in self._movers.of.items()
            if moved is None and link not in stands and self._movers.has_shape(link)
        ]

    def bare(self) -> list[str]:
        """Return the links that are shown and have no shape, and that a joint moves."""
        return [link for link in self._description.shown if self._movers.of[link] and not self._movers.has_shape(link)]

    def _carries_shapes(self, arm: Arm) -> bool:
        """Return whether a link that joints of an arm move, alone or with what it carries, has a shape."""
        own = {self._movers.called[joint.name] for joint in arm.joints}
        return any(
            own & dict(self._movers.way(link)).keys() and self._movers.has_shape(link) for link in self._movers.of
        )

    def _base(self, number: int) -> Pose:
        link = self._data.body(self._movers.stand(number))
        return Pose(link.xpos.copy(), link.xmat.reshape(3, 3).copy())

    def _carrier(self, moved: Moved) -> tuple[str, Pose]:
        """Return the joint that carries an arm, and its frame."""
        arm = self._robot.arms[moved.arm]
        joint = [joint for joint in arm.joints if not joint.gripper][moved.frame - 1]
        anchor = self._data.xanchor[self._model.joint(self._movers.called[joint.name]).id]
        return joint.name, Pose(anchor.copy(), self._base(moved.arm).rotation)

    def _capsules(self, number: int, base: Pose) -> Iterator[Capsule]:
        anchors = [base.position]
        for joint in self._robot.arms[number].joints:
            if not joint.gripper:
                anchors.append(self._data.xanchor[self._model.joint(self._movers.called[joint.name]).id])
        for link, moved in self._movers.of.items():
            mine = moved is not None and moved.arm == number
            if not mine and not (moved is None and link == self._movers.stand(number)):
                continue
            after = moved.frame if moved else 0
            for k, shape in enumerate(shapes(self._model, self._description.link(link))):
                if (size := float(np.ptp(shape.points, axis=0).max())) > _LARGEST_M:
                    raise ConfigError(
                        f"link '{one_line(link)}' is {size:.3g} m large: a mesh in mm takes scale=\"0.001 0.001 0.001\""
                    )
                name = f"{link}_shape{k + 1}" if k else link
                joints = moved.sweeps if moved else ()
                ranges = {joint: self._movers.ends(joint) for joint in joints}
                seen = swept(self._description, ranges, link, shape) if ranges else self._at(link, shape)
                here = seen._replace(points=(seen.points - anchors[after]) @ base.rotation)
                grips = bool(joints) and self._movers.joints[joints[0]][1].gripper
                yield from capsules(name, here, after, touches=grips)

    def _at(self, link: str, shape: Shape) -> Shape:
        """Return a shape of a link from the root, all joints at zero."""
        body = self._data.body(link)
        return shape._replace(points=shape.points @ body.xmat.reshape(3, 3).T + body.xpos)


def _vector(values: FloatArray) -> Vector:
    x, y, z = (round(float(v), _DIGITS) + 0.0 for v in values)
    return x, y, z


def _unit(values: FloatArray) -> Vector:
    return _vector(values / np.linalg.norm(values))
