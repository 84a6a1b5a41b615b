"""The joints of one arm told as the motion of its hand, one number for each joint, and back."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError
from smp_bringup.geometry import ArmBody, load_geometry
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_POSE = 6
"""Numbers of a pose."""
_LEVER_M = 0.2
"""A radian of rotation counts as much as so many metres."""
_DAMPING = 1e-7
_MOST_STEPS, _LARGEST_STEP, _CLOSE = 30, 0.3, 1e-6
_TRIED, _AROUND = 16, 0.3
"""So many poses about home, up to so far from it [rad], say which of an arm's joints bring its hand anywhere."""


@dataclass(frozen=True)
class _Located:
    """Where the frames of an arm are."""

    turned: FloatArray
    """(..., m + 1, 3, 3)."""
    origin: FloatArray
    """(..., m + 1, 3) [m]."""
    tip: FloatArray
    """(..., 3) [m]."""

    @property
    def hand(self) -> FloatArray:
        """(..., 3, 3) how the hand is turned."""
        return self.turned[..., -1, :, :]


class HandMotion:
    """An arm's joints (..., n) as the motion of its hand from where it is.

    The first six numbers are how far the tip goes [m] and its rotation vector [rad], in the axes of the hand where it
    is measured. Behind them come those joints that a pose leaves open (one of seven), from where they are, and the
    grippers, as they are: as many numbers as joints, and the ones say what the others do.
    """

    def __init__(self, arm: Arm) -> None:
        """Take an arm of six moving joints or more; raises ConfigError where it has no geometry."""
        geometry, self.name = load_geometry(arm), arm.name
        self._body = ArmBody(arm)
        self._axes = np.array([joint.axis for joint in geometry.joints])
        self._slides = np.array([joint.slides for joint in geometry.joints])[:, None]
        ends = [(c.start, c.end) for c in geometry.capsules if c.touches and c.after == len(geometry.joints)]
        self.tip = np.mean(ends, axis=(0, 1)) if ends else np.zeros(3)
        """Of the hand, in its frame (3,) [m]: between the fingertips, or where its joint turns."""
        grips = np.array([joint.gripper for joint in arm.joints])
        self._moving, self._still = np.flatnonzero(~grips), np.flatnonzero(grips)
        self._low, self._high = (np.array([getattr(joint, end) for joint in arm.joints]) for end in ("min", "max"))
        self._steered = self._best_reaching(np.array([joint.home for joint in arm.joints]))
        """Which six of the moving joints bring the hand to a pose."""
        self._solved = self._moving[self._steered]
        self._open = np.setdiff1d(self._moving, self._solved)
        said = [config.plain(joint) for joint in geometry.joints], self.tip.tolist(), self._solved.tolist()
        self.digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        """Of all that gives the numbers their meaning."""

    def encode(self, joints: FloatArray, measured: FloatArray) -> FloatArray:
        """Return the numbers (..., T, n) of joints (..., T, n), told from the measured ones (..., n)."""
        here, there = self._located(measured[..., None, :]), self._located(joints)
        back = here.hand.swapaxes(-1, -2)
        opened = joints[..., self._open] - measured[..., None, self._open]
        way, turn = (back @ (there.tip - here.tip)[..., None])[..., 0], rotation_vector(back @ there.hand)
        return np.concatenate([way, turn, opened, joints[..., self._still]], axis=-1)

    def decode(self, told: FloatArray, measured: FloatArray, known: FloatArray | None = None) -> FloatArray:
        """Return the joints (..., T, n) of the numbers (..., T, n), told from the measured ones (..., n).

        The first are those that are `known` (d, n).

        Each step begins where the one before it ended, so that the arm never changes over to another of the ways in
        which it could hold its hand. What cannot be reached is neared, within the limits of the joints.
        """
        here = self._located(measured[..., None, :])
        goal = here.tip + (here.hand @ told[..., :3, None])[..., 0]
        turned = here.hand @ rotation(told[..., 3:_POSE])
        behind = _POSE + len(self._open)
        joints, now, first = np.empty_like(told), np.array(measured), 0
        if known is not None and len(known):
            first = min(len(known), told.shape[-2])
            joints[..., :first, :] = known[:first]
            now = joints[..., first - 1, :].copy()
        for step in range(first, told.shape[-2]):
            now[..., self._open] = measured[..., self._open] + told[..., step, _POSE:behind]
            now[..., self._still] = told[..., step, behind:]
            now = joints[..., step, :] = self._brought(now, goal[..., step, :], turned[..., step, :, :])
        return joints

    def _brought(self, joints: FloatArray, goal: FloatArray, turned: FloatArray) -> FloatArray:
        """Return the joints (..., n), near those given, that bring the tip to `goal` (..., 3) and turn the hand so."""
        for _ in range(_MOST_STEPS):
            now = self._located(joints)
            turn = rotation_vector(turned @ now.hand.swapaxes(-1, -2))
            off = np.concatenate([goal - now.tip, turn * _LEVER_M], axis=-1)
            if np.abs(off).max() < _CLOSE:
                break
            ways = self._jacobian(now)[..., self._steered]
            across = ways.swapaxes(-1, -2)
            step = np.linalg.solve(across @ ways + _DAMPING * np.eye(_POSE), across @ off[..., None])[..., 0]
            joints = joints.copy()
            joints[..., self._solved] += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
            joints[..., self._moving] = np.clip(joints, self._low, self._high)[..., self._moving]
        return joints

    def _located(self, joints: FloatArray) -> _Located:
        """Return where the arm's frames are at joints (..., n)."""
        turned, origin = self._body.frames(joints.reshape(-1, joints.shape[-1]))
        shape, count = joints.shape[:-1], origin.shape[1]
        tip = origin[:, -1] + turned[:, -1] @ self.tip
        return _Located(turned.reshape(*shape, count, 3, 3), origin.reshape(*shape, count, 3), tip.reshape(*shape, 3))

    def _jacobian(self, at: _Located) -> FloatArray:
        """Return how fast the tip goes and turns (..., 6, m) with each moving joint; rotations are in `_LEVER_M`."""
        axes = (at.turned[..., 1:, :, :] @ self._axes[..., None])[..., 0]
        goes = np.where(self._slides, axes, np.cross(axes, at.tip[..., None, :] - at.origin[..., 1:, :]))
        turns = np.where(self._slides, 0.0, axes) * _LEVER_M
        return np.concatenate([goes, turns], axis=-1).swapaxes(-1, -2)

    def _best_reaching(self, home: FloatArray) -> np.ndarray:
        """Return the six of the moving joints that reach a pose best about `home` (n,), the others standing still."""
        off = np.random.default_rng(0).uniform(-_AROUND, _AROUND, (_TRIED, len(home)))
        ways = self._jacobian(self._located(np.clip(home + off, self._low, self._high)))

        def hardest(columns: tuple[int, ...]) -> float:
            return float(np.linalg.svd(ways[..., columns], compute_uv=False)[:, -1].mean())

        return np.array(max(combinations(range(len(self._moving)), _POSE), key=hardest))


def hand_arms(robot: Robot) -> Iterator[tuple[Arm, slice]]:
    """Yield the arms whose joints can be told as a motion of the hand, and where they lie in an array over joints.

    Raises:
        ConfigError: none has six moving joints, which a pose takes.
    """
    found = [arm for arm in robot.arms if not arm.is_base and sum(not joint.gripper for joint in arm.joints) >= _POSE]
    if not found:
        count = max((sum(not joint.gripper for joint in arm.joints) for arm in robot.arms), default=0)
        raise ConfigError(
            f"policy.actions: hand: arms of robot '{robot.name}' move by {count} joints, a hand's pose takes "
            f"{_POSE}: use relative"
        )
    for arm in found:
        yield arm, robot.arm_slices[arm.name]


def rotation_vector(matrix: FloatArray) -> FloatArray:
    """Return the rotation vectors (..., 3) [rad], no longer than pi, of rotations (..., 3, 3)."""
    m = matrix
    twice = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]]
    skew = np.stack(twice, axis=-1) / 2
    sine, cosine = np.linalg.norm(skew, axis=-1), (np.trace(m, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    vector: FloatArray = skew * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0)[..., None]
    return vector


def rotation(vector: FloatArray) -> FloatArray:
    """Return the rotations (..., 3, 3) of rotation vectors (..., 3) [rad]."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    turned: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
