"""Where the links of one arm are, as capsules: forward kinematics in numpy, many poses at once.

A capsule is a segment with a radius. Frames and capsules are data (config/geometry/*.yaml), which
description/capsules.py makes of a robot's description.
"""

from dataclasses import dataclass, field

import numpy as np

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, SmpError
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

Vector = tuple[float, float, float]

_LENGTH = spec(ge=-3, le=3, unit="m")
"""Of one coordinate of a link: a larger one is in another unit."""


@dataclass(frozen=True)
class JointFrame:
    """One joint: where its frame is in the one before, and what it turns about or slides along.

    With all joints at zero the axes of all frames are those of the base.
    """

    origin: Vector = field(metadata=_LENGTH)
    """[m]."""
    axis: Vector
    slides: bool = False


@dataclass(frozen=True)
class Capsule:
    """One rigid piece of an arm, in the frame of the last joint that moves it."""

    name: str
    after: int = field(metadata=spec(ge=0))
    """How many of the arm's joints move it; 0 for the base."""
    start: Vector = field(metadata=_LENGTH)
    """[m]."""
    end: Vector = field(metadata=_LENGTH)
    """[m]."""
    radius: float = field(metadata=spec(gt=0, le=1, unit="m"))
    slide: Vector = (0.0, 0.0, 0.0)
    """Travel per metre of the gripper's position."""
    touches: bool = False
    """A fingertip: it may come near to those of the other arms, slowly."""


@dataclass(frozen=True)
class ArmGeometry:
    """One kind of arm, its base at the origin."""

    joints: tuple[JointFrame, ...]
    capsules: tuple[Capsule, ...]

    def __post_init__(self) -> None:
        if not self.capsules:
            raise ConfigError("a geometry has at least one capsule")
        for joint in self.joints:
            if not np.isclose(np.linalg.norm(joint.axis), 1.0):
                raise ConfigError(f"axis {list(joint.axis)} must have length 1")
        for capsule in self.capsules:
            if capsule.after > len(self.joints):
                raise ConfigError(f"capsule '{capsule.name}': after {capsule.after}, the arm has {len(self.joints)}")


def load_geometry(arm: Arm) -> ArmGeometry:
    """Return the geometry of an arm; raises ConfigError where there is none, or where it has other joints."""
    if not arm.geometry:
        raise ConfigError(f"arm '{arm.name}' has no geometry: name one of config/geometry in the robot file")
    geometry = config.load(ArmGeometry, named_config("geometry", arm.geometry))
    slides = [joint.prismatic for joint in arm.joints if not joint.gripper]
    if len(geometry.joints) != len(slides):
        raise ConfigError(
            f"geometry '{arm.geometry}' has {len(geometry.joints)} joints, arm '{arm.name}' {len(slides)}"
        )
    if [frame.slides for frame in geometry.joints] != slides:
        raise ConfigError(f"geometry '{arm.geometry}' and arm '{arm.name}' differ in which joints slide")
    return geometry


def has_geometry(robot: Robot) -> bool:
    """Return whether the geometry of every arm is here: that of a robot in a bag may lie on another machine."""
    placed = [arm for arm in robot.arms if not arm.is_base]
    try:
        return bool(placed) and all(load_geometry(arm) for arm in placed)
    except SmpError:
        return False


class ArmBody:
    """Forward kinematics of one kind of arm, from its own base."""

    def __init__(self, arm: Arm) -> None:
        geometry = load_geometry(arm)
        self.capsules = geometry.capsules
        self._moving = np.array([i for i, joint in enumerate(arm.joints) if not joint.gripper], dtype=int)
        self._grippers = np.array([i for i, joint in enumerate(arm.joints) if joint.gripper], dtype=int)
        self._origins = np.array([joint.origin for joint in geometry.joints]).reshape(-1, 3)
        self._axes = np.array([joint.axis for joint in geometry.joints]).reshape(-1, 3)
        self._slides = np.array([joint.slides for joint in geometry.joints], dtype=bool)
        self._cross = np.array([_cross_matrix(joint.axis) for joint in geometry.joints]).reshape(-1, 3, 3)
        self._square = self._cross @ self._cross
        self._travel = np.array([max(abs(arm.joints[i].min), abs(arm.joints[i].max)) for i in self._moving])
        self.after = np.array([capsule.after for capsule in geometry.capsules])
        self._ends = np.array([(capsule.start, capsule.end) for capsule in geometry.capsules])  # (C, 2, 3)
        self._slide = np.array([capsule.slide for capsule in geometry.capsules])
        self.hand = self.after == self.after.max()
        """(C,) which capsules belong to the last link."""
        self.base = np.array(arm.base[:3]), _rotation(*arm.base[3:])
        """Where it stands: position (3,) [m], rotation (3, 3)."""
        self._tips = np.linalg.norm(self._ends, axis=-1).max(axis=1) + self._open(arm) * self._lengths

    def frames(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return rotations (B, n + 1, 3, 3) and origins (B, n + 1, 3) [m] of the frames at joint positions (B, n)."""
        told = position[:, self._moving]
        angle = np.where(self._slides, 0.0, told)[..., None, None]
        turns = np.eye(3) + np.sin(angle) * self._cross + (1 - np.cos(angle)) * self._square  # (B, n, 3, 3)
        count, joints = turns.shape[:2]
        rotation, origin = np.empty((count, joints + 1, 3, 3)), np.empty((count, joints + 1, 3))
        origin[:, 0], rotation[:, 0] = 0.0, np.eye(3)
        for k in range(joints):
            origin[:, k + 1] = origin[:, k] + rotation[:, k] @ self._origins[k]
            if self._slides[k]:
                origin[:, k + 1] += told[:, k, None] * (rotation[:, k] @ self._axes[k])
            rotation[:, k + 1] = rotation[:, k] @ turns[:, k]
        return rotation, origin

    def segments(self, position: FloatArray, rotation: FloatArray, origin: FloatArray) -> FloatArray:
        """Return the capsules' ends (B, C, 2, 3) [m] at joint positions (B, n), and in the frames found for them."""
        ends = self._ends
        if len(self._grippers):
            travel = position[:, self._grippers[0], None, None, None]
            ends = ends + travel * self._slide[:, None]  # (B, C, 2, 3)
        turned: FloatArray = ends @ rotation[:, self.after].swapaxes(-1, -2)
        return turned + origin[:, self.after, None]

    def reach(self) -> FloatArray:
        """Return (C, n) how far a capsule can move at most per unit of each joint [m/rad], [m/m]."""
        reach = np.zeros((len(self._tips), len(self._moving) + len(self._grippers)))
        for k, joint in enumerate(self._moving):
            moved = self.after > k
            reach[moved, joint] = 1.0 if self._slides[k] else self.extent(k + 1)[moved]
        reach[:, self._grippers] = self._lengths[:, None]
        return reach

    @property
    def last_frame(self) -> int:
        """How many joints that are no grippers the arm has."""
        return len(self._moving)

    def slides(self, frame: int) -> bool:
        """Return whether the joint of a frame slides."""
        return bool(self._slides[frame - 1])

    def carries(self, tips: FloatArray, frame: int) -> FloatArray:
        """Return (C, n) how far what a frame carries can move at most per unit of each joint [m/rad], [m/m].

        Args:
            tips: (C,) how far that is from the frame at most [m].
            frame: that carries it.
        """
        reach = np.zeros((len(tips), len(self._moving) + len(self._grippers)))
        for k in range(frame):
            reach[:, self._moving[k]] = 1.0 if self._slides[k] else tips + self.length(k + 1, frame)
        return reach

    def extent(self, frame: int) -> FloatArray:
        """Return how far (C,) [m] the tips of capsules can be from the origin of a frame that carries them."""
        return np.array([tip + self.length(frame, after) for tip, after in zip(self._tips, self.after, strict=True)])

    def length(self, first: int, last: int) -> float:
        """Return how far [m] a frame can be at most from one before it."""
        spans = np.linalg.norm(self._origins, axis=-1) + np.where(self._slides, self._travel, 0.0)
        return float(spans[first:last].sum())

    @property
    def _lengths(self) -> FloatArray:
        lengths: FloatArray = np.linalg.norm(self._slide, axis=-1)
        return lengths

    @staticmethod
    def _open(arm: Arm) -> float:
        return max((joint.max for joint in arm.joints if joint.gripper), default=0.0)


def _cross_matrix(axis: Vector) -> FloatArray:
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=np.float64)


def _rotation(roll: float, pitch: float, yaw: float) -> FloatArray:
    """Return the rotation (3, 3) about fixed x, then y, then z [rad]."""
    rotation = np.eye(3)
    for axis, angle in (((1, 0, 0), roll), ((0, 1, 0), pitch), ((0, 0, 1), yaw)):
        k = _cross_matrix(axis)
        rotation = (np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k) @ rotation
    return rotation
