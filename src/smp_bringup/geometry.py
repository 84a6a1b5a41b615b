"""Where the links of all arms are, as capsules: forward kinematics and distances in numpy, many poses at once.

A capsule is a segment with a radius, so the distance of two links is that of two
segments, less both radii. Frames and capsules are data (config/geometry/*.yaml).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

Vector = tuple[float, float, float]

_LENGTH = spec(ge=-3, le=3, unit="m")
"""Of one coordinate of a link: a larger one is in another unit."""
_EPSILON = 1e-12
"""Squared length [m^2] below which a segment is a point."""


@dataclass(frozen=True)
class JointFrame:
    """One revolute joint: where its frame is in the one before, and what it turns about."""

    origin: Vector = field(metadata=_LENGTH)
    """[m]."""
    axis: Vector


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
    turning = sum(not joint.gripper for joint in arm.joints)
    if len(geometry.joints) != turning:
        raise ConfigError(f"geometry '{arm.geometry}' has {len(geometry.joints)} joints, arm '{arm.name}' {turning}")
    return geometry


class ArmBody:
    """Forward kinematics of one arm's capsules."""

    def __init__(self, arm: Arm) -> None:
        geometry = load_geometry(arm)
        self.capsules = geometry.capsules
        self._turning = np.array([i for i, joint in enumerate(arm.joints) if not joint.gripper])
        self._grippers = np.array([i for i, joint in enumerate(arm.joints) if joint.gripper], dtype=int)
        self._origins = np.array([joint.origin for joint in geometry.joints])
        self._cross = np.array([_cross_matrix(joint.axis) for joint in geometry.joints])
        self._square = self._cross @ self._cross
        self.base = np.array(arm.base[:3]), _rotation(*arm.base[3:])
        """Where the arm stands: position (3,) [m], rotation (3, 3)."""
        self._after = np.array([capsule.after for capsule in geometry.capsules])
        self._ends = np.array([(capsule.start, capsule.end) for capsule in geometry.capsules])  # (C, 2, 3)
        self._slide = np.array([capsule.slide for capsule in geometry.capsules])
        self.hand = self._after == self._after.max()
        """(C,) which capsules belong to the last link."""
        self.reach = self._reach(arm)

    def segments(self, position: FloatArray) -> FloatArray:
        """Return the capsules' ends (B, C, 2, 3) [m] at joint positions (B, n), from the arm's own base."""
        angle = position[:, self._turning, None, None]
        turns = np.eye(3) + np.sin(angle) * self._cross + (1 - np.cos(angle)) * self._square  # (B, n, 3, 3)
        count, joints = turns.shape[:2]
        rotation, origin = np.empty((count, joints + 1, 3, 3)), np.empty((count, joints + 1, 3))
        origin[:, 0], rotation[:, 0] = 0.0, np.eye(3)
        for k in range(joints):
            origin[:, k + 1] = origin[:, k] + rotation[:, k] @ self._origins[k]
            rotation[:, k + 1] = rotation[:, k] @ turns[:, k]
        ends = self._ends
        if len(self._grippers):
            travel = position[:, self._grippers[0], None, None, None]
            ends = ends + travel * self._slide[:, None]  # (B, C, 2, 3)
        turned: FloatArray = ends @ rotation[:, self._after].swapaxes(-1, -2)
        return turned + origin[:, self._after, None]

    def _reach(self, arm: Arm) -> FloatArray:
        """Return (C, n) how far a capsule can move at most per unit of each joint [m/rad], [m/m]."""
        open_m = max((joint.max for joint in arm.joints if joint.gripper), default=0.0)
        tips = np.linalg.norm(self._ends, axis=-1).max(axis=1) + open_m * np.linalg.norm(self._slide, axis=-1)
        reach = np.zeros((len(tips), len(arm.joints)))
        for c, (tip, after) in enumerate(zip(tips, self._after, strict=True)):
            for k, joint in enumerate(self._turning[:after]):
                reach[c, joint] = tip + np.linalg.norm(self._origins[k + 1 : after], axis=-1).sum()
        reach[:, self._grippers] = np.linalg.norm(self._slide, axis=-1)[:, None]
        return reach


class Body:
    """All arms: which capsules may meet, and how near they are."""

    def __init__(self, robot: Robot, self_gap: int) -> None:
        """Build the pairs: of two arms every pair, within one arm those at least `self_gap` joints apart.

        Raises:
            ConfigError: an arm has no geometry.
        """
        self._slices = [robot.arm_slices[arm.name] for arm in robot.arms]
        self.arms = [ArmBody(arm) for arm in robot.arms]
        layouts = {(arm.geometry, tuple(joint.gripper for joint in arm.joints)) for arm in robot.arms}
        self._alike = len(layouts) == 1
        parts = [(a, c) for a, body in enumerate(self.arms) for c in body.capsules]
        self.names = [f"{robot.arms[a].name} {capsule.name}" for a, capsule in parts]
        self.touches: NDArray[np.bool_] = np.array([c.touches for _, c in parts])
        pairs = [
            (i, j)
            for i, (a, first) in enumerate(parts)
            for j, (b, second) in enumerate(parts)
            if i < j
            and (first.after > 1 or second.after > 1)  # bases and shoulders stand where they stand
            and (a != b or abs(first.after - second.after) >= self_gap)
        ]
        self.first, self.second = (np.array(side) for side in zip(*pairs, strict=True))
        radius = np.array([capsule.radius for _, capsule in parts])
        self._radii = radius[self.first] + radius[self.second]
        across = np.array([parts[i][0] != parts[j][0] for i, j in pairs])
        reach = _block_diagonal([body.reach for body in self.arms])
        one_moves = (reach[self.first] > 0) ^ (reach[self.second] > 0)
        self._pair_reach = np.where(one_moves, reach[self.first] + reach[self.second], 0.0).T  # (J, P)
        self._hand_reach = np.stack(
            [reach[[i for i, (owner, _) in enumerate(parts) if owner == a]].max(axis=0) for a in range(len(self.arms))]
        ).T  # (J, arms)
        self.across: NDArray[np.bool_] = across
        """(P,) whether a pair is of two arms."""
        self.touching: NDArray[np.bool_] = self.touches[self.first] & self.touches[self.second] & across
        """(P,) whether a pair is of fingertips of two arms."""

    def segments(self, position: FloatArray) -> FloatArray:
        """Return the ends (B, C, 2, 3) [m] of all arms' capsules at joint positions (B, J)."""
        parts = [position[:, part] for part in self._slices]
        if self._alike:  # one pass for all arms of one kind: what costs is the number of steps, not of poses
            own = np.split(self.arms[0].segments(np.concatenate(parts)), len(parts))
        else:
            own = [body.segments(part) for body, part in zip(self.arms, parts, strict=True)]
        placed = [ends @ body.base[1].T + body.base[0] for body, ends in zip(self.arms, own, strict=True)]
        return np.concatenate(placed, axis=1)

    def hands(self, position: FloatArray) -> list[FloatArray]:
        """Return the axes' ends (B, points, 3) [m] of each arm's last link at joint positions (B, J)."""
        ends, start, hands = self.segments(position), 0, []
        for body in self.arms:
            mine = ends[:, start : start + len(body.capsules)]
            hands.append(mine[:, body.hand].reshape(len(position), -1, 3))
            start += len(body.capsules)
        return hands

    def distances(self, position: FloatArray, pairs: NDArray[np.intp] | slice = slice(None)) -> FloatArray:
        """Return the distances (B, P) [m] of `pairs` at joint positions (B, J); negative where capsules overlap."""
        ends = self.segments(position)
        a, b = ends[:, self.first[pairs]], ends[:, self.second[pairs]]
        distance: FloatArray = segment_distance(a, b) - self._radii[pairs]
        return distance

    def sweep(self, position: FloatArray, pairs: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what happens to the distances of `pairs` from each of the joint positions (B, J) to the next.

        Returns:
            distances (B, P) [m] at the positions; how far (B - 1, P) [m] the two move against each other at most from
            each to the next; and how near (B - 1, P) [m] they may come on the way.
        """
        ends = self.segments(position)
        a, b = ends[:, self.first[pairs]], ends[:, self.second[pairs]]
        distance = segment_distance(a, b) - self._radii[pairs]
        # A point between two ends moves no farther than the farther of them, and so do two points against each other.
        against = np.diff(a, axis=0)[..., :, None, :] - np.diff(b, axis=0)[..., None, :, :]
        moved = np.sqrt(_dot(against, against).max(axis=(-1, -2)))
        return distance, moved, (distance[:-1] + distance[1:] - moved) / 2

    def pair_travel(self, turned: FloatArray) -> FloatArray:
        """Return how much the distance (P,) [m] of each pair can change at most when joints turn so far (J,)."""
        travel: FloatArray = turned @ self._pair_reach
        return travel

    def hand_travel(self, turned: FloatArray) -> FloatArray:
        """Return how far each hand (arms,) [m] can move at most when joints turn so far (J,)."""
        travel: FloatArray = turned @ self._hand_reach
        return travel

    def pair(self, index: int) -> str:
        """Return the names of a pair."""
        return f"{self.names[self.first[index]]} and {self.names[self.second[index]]}"


def segment_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the distance (...) of the segments `a` and `b` (..., 2, 3).

    Closest points of two segments by clamping each parameter in turn, as in Ericson,
    "Real-Time Collision Detection" (2005), section 5.1.9.
    """
    u, v, w = a[..., 1, :] - a[..., 0, :], b[..., 1, :] - b[..., 0, :], a[..., 0, :] - b[..., 0, :]
    uu, vv, uv = _dot(u, u), np.maximum(_dot(v, v), _EPSILON), _dot(u, v)
    uw, vw = _dot(u, w), _dot(v, w)
    denominator = np.maximum(uu * vv - uv * uv, _EPSILON)
    s = np.clip((uv * vw - uw * vv) / denominator, 0, 1)
    t = np.clip((uv * s + vw) / vv, 0, 1)
    s = np.clip((uv * t - uw) / np.maximum(uu, _EPSILON), 0, 1)
    gap = w + s[..., None] * u - t[..., None] * v
    distance: FloatArray = np.sqrt(_dot(gap, gap))
    return distance


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = np.einsum("...i,...i->...", a, b)
    return product


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


def _block_diagonal(blocks: list[FloatArray]) -> FloatArray:
    rows, columns = (sum(block.shape[i] for block in blocks) for i in (0, 1))
    whole, row, column = np.zeros((rows, columns)), 0, 0
    for block in blocks:
        whole[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return whole
