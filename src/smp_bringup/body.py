"""All arms as capsules: which of them may meet, and how near they are, many poses at once.

The distance of two capsules is that of two segments, less both radii.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import ConfigError
from smp_bringup.geometry import ArmBody, Capsule
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_EPSILON = 1e-12
"""Squared length [m^2] below which a segment is a point."""


class _Link(NamedTuple):
    """One capsule among all, and the joints that move it from the root on, as (arm, its frame)."""

    arm: int
    capsule: Capsule
    chain: tuple[tuple[int, int], ...]


class Body:
    """All arms: which capsules may meet, and how near they are."""

    def __init__(self, robot: Robot, self_gap: int) -> None:
        """Build the pairs: of two arms every pair, within one arm those at least `self_gap` joints apart.

        Args:
            robot: whose arms these are. What one of them carries counts as one arm with it.
            self_gap: joints between two links.

        Raises:
            ConfigError: an arm has no geometry, or there is none.
        """
        places = [i for i, arm in enumerate(robot.arms) if not arm.is_base]  # a base carries all of them with it
        if not places:
            raise ConfigError(f"robot '{robot.name}' has no arm that could be kept apart: take the check out")
        self._dof, self._placed = robot.dof, [robot.arms[i] for i in places]
        self._slices = [robot.arm_slices[arm.name] for arm in self._placed]
        self.arms = [ArmBody(arm) for arm in self._placed]
        mounts = [robot.mounts[i] for i in places]
        self._mounts = [mount and (places.index(mount[0]), mount[1]) for mount in mounts]
        self._kinds = self._alike()
        self._carriers_first = sorted(range(len(self.arms)), key=lambda arm: len(self._carriers(arm)))
        links = [
            _Link(a, capsule, self._chain(a, capsule.after))
            for a, arm in enumerate(self.arms)
            for capsule in arm.capsules
        ]
        self.names = [f"{self._placed[link.arm].name} {link.capsule.name}" for link in links]
        self.touches: NDArray[np.bool_] = np.array([link.capsule.touches for link in links])
        pairs = [
            (i, j)
            for i, first in enumerate(links)
            for j, second in enumerate(links)
            if i < j and self._may_meet(first, second, self_gap)
        ]
        self.first, self.second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        radius = np.array([link.capsule.radius for link in links])
        self._radii = radius[self.first] + radius[self.second]
        across = np.array([not self._one(links[i], links[j]) for i, j in pairs], dtype=bool)
        reach = np.concatenate([self._reach(a) for a in range(len(self.arms))])
        one_moves = (reach[self.first] > 0) ^ (reach[self.second] > 0)
        self._pair_reach = np.where(one_moves, reach[self.first] + reach[self.second], 0.0).T  # (J, P)
        self.across: NDArray[np.bool_] = across
        """(P,) whether a pair is of two arms."""
        self.touching: NDArray[np.bool_] = self.touches[self.first] & self.touches[self.second] & across
        """(P,) whether a pair is of fingertips of two arms."""
        carrying = {mount for mount in self._mounts if mount}
        self._hands = [a for a, arm in enumerate(self.arms) if (a, arm.last_frame) not in carrying]
        self.hand_names = [self._placed[a].name for a in self._hands]
        """Names of the arms whose last links carry no other: those are hands."""
        self._hand_reach = np.stack([self._reach(a).max(axis=0) for a in self._hands]).T  # (J, hands)

    def segments(self, position: FloatArray) -> FloatArray:
        """Return the ends (B, C, 2, 3) [m] of all arms' capsules at joint positions (B, J)."""
        return np.concatenate(self._segments(position), axis=1)

    def hands(self, position: FloatArray) -> list[FloatArray]:
        """Return the axes' ends (B, points, 3) [m] of each hand's last link at joint positions (B, J)."""
        ends = self._segments(position)
        return [ends[a][:, self.arms[a].hand].reshape(len(position), -1, 3) for a in self._hands]

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
        """Return how far each hand (hands,) [m] can move at most when joints turn so far (J,)."""
        travel: FloatArray = turned @ self._hand_reach
        return travel

    def pair(self, index: int) -> str:
        """Return the names of a pair."""
        return f"{self.names[self.first[index]]} and {self.names[self.second[index]]}"

    def _segments(self, position: FloatArray) -> list[FloatArray]:
        """Return the ends (B, C, 2, 3) [m] of each arm's capsules, from the origin of the robot."""
        own, stands, placed = self._own(position), dict[int, tuple[FloatArray, FloatArray]](), dict[int, FloatArray]()
        for arm in self._carriers_first:
            place, turn = self.arms[arm].base
            mount, ends = self._mounts[arm], own[arm][2]
            if mount is None:
                stands[arm] = turn, place
                placed[arm] = ends @ turn.T + place
                continue
            carrier, frame = mount
            (carrier_turn, carrier_place), (rotation, origin, _) = stands[carrier], own[carrier]
            axes = carrier_turn @ rotation[:, frame]  # (B, 3, 3) of the frame that carries this arm
            place = (carrier_turn @ origin[:, frame, :, None])[..., 0] + carrier_place + axes @ place
            stands[arm] = axes @ turn, place
            placed[arm] = ends @ (axes @ turn)[:, None].swapaxes(-1, -2) + place[:, None, None]
        return [placed[arm] for arm in range(len(self.arms))]

    def _own(self, position: FloatArray) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Return rotations and origins of each arm's frames and the ends of its capsules, from its own base.

        Arms of one kind in one pass: what costs is the number of steps, not of poses.
        """
        found: dict[int, tuple[FloatArray, FloatArray, FloatArray]] = {}
        for alike in self._kinds:
            body, told = self.arms[alike[0]], np.concatenate([position[:, self._slices[a]] for a in alike])
            frames = body.frames(told)
            parts = (*frames, body.segments(told, *frames))
            each = [whole.reshape(len(alike), len(position), *whole.shape[1:]) for whole in parts]
            found |= dict(zip(alike, zip(*each, strict=True), strict=True))
        return [found[a] for a in range(len(self.arms))]

    def _alike(self) -> list[list[int]]:
        """Return the arms by kind."""
        kinds: dict[object, list[int]] = {}
        for a, arm in enumerate(self._placed):
            kinds.setdefault((arm.geometry, tuple(joint.gripper for joint in arm.joints)), []).append(a)
        return list(kinds.values())

    def _chain(self, arm: int, after: int) -> tuple[tuple[int, int], ...]:
        """Return the joints that move a frame of an arm, from the root on."""
        mount = self._mounts[arm]
        below = self._chain(*mount) if mount else ()
        return below + tuple((arm, frame) for frame in range(1, after + 1))

    def _one(self, first: _Link, second: _Link) -> bool:
        """Return whether two links are of one arm, or one of them is what both arms stand on."""
        a, b = first.arm, second.arm
        stand = self._mounts[a] == self._mounts[b] and self._placed[a].base == self._placed[b].base
        unmoved = 0 in (first.capsule.after, second.capsule.after)
        return self._together(a, b) or (stand and unmoved)

    def _together(self, one: int, other: int) -> bool:
        """Return whether two arms are one, or one of them carries the other."""
        return one in self._carriers(other) or other in self._carriers(one)

    def _carriers(self, arm: int) -> list[int]:
        """Return an arm and all that carry it."""
        mount = self._mounts[arm]
        return [arm, *(self._carriers(mount[0]) if mount else [])]

    def _may_meet(self, first: _Link, second: _Link, self_gap: int) -> bool:
        common = sum(1 for a, b in zip(first.chain, second.chain, strict=False) if a == b)
        own = len(first.chain) - common, len(second.chain) - common
        if self._one(first, second):
            return sum(own) >= self_gap and max(len(first.chain), len(second.chain)) > 1
        moving = (*first.chain[common:], *second.chain[common:])
        slides = any(self.arms[arm].slides(frame) for arm, frame in moving)
        return max(own) > 1 or slides  # bases and shoulders that turn stand where they stand

    def _reach(self, arm: int) -> FloatArray:
        """Return (C, J) how far each capsule of an arm can move at most per unit of each joint [m/rad], [m/m]."""
        body = self.arms[arm]
        reach = np.zeros((len(body.after), self._dof))
        reach[:, self._slices[arm]] = body.reach()
        tips, place = body.extent(0), body.base[0]
        while mount := self._mounts[arm]:
            tips = tips + float(np.linalg.norm(place))
            arm, frame = mount
            body = self.arms[arm]
            reach[:, self._slices[arm]] = body.carries(tips, frame)
            tips, place = tips + body.length(0, frame), body.base[0]
        return reach


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
