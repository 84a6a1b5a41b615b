"""Positions and rotations, by MuJoCo's arithmetic of quaternions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.physics import mujoco
from smp_bringup.types import FloatArray

_DIGITS = 6


@dataclass(frozen=True)
class Pose:
    """Where something is."""

    position: FloatArray
    """(3,) [m]."""
    rotation: FloatArray
    """(3, 3)."""

    @property
    def quaternion(self) -> FloatArray:
        """(4,) w, x, y, z."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.rotation.ravel())
        return quaternion

    def seen_from(self, other: "Pose") -> "Pose":
        """Return this pose in the frame of another."""
        back = other.rotation.T
        return Pose(back @ (self.position - other.position), back @ self.rotation)

    @property
    def six(self) -> tuple[float, float, float, float, float, float]:
        """x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""
        r = self.rotation
        pitch = float(np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0])))
        if np.hypot(r[0, 0], r[1, 0]) > 1e-9:
            roll, yaw = float(np.arctan2(r[2, 1], r[2, 2])), float(np.arctan2(r[1, 0], r[0, 0]))
        else:  # roll and yaw turn about one axis
            roll, yaw = float(np.arctan2(-r[1, 2], r[1, 1])), 0.0
        x, y, z = (round(float(each), _DIGITS) + 0.0 for each in self.position)
        roll, pitch, yaw = (round(each, _DIGITS) + 0.0 for each in (roll, pitch, yaw))
        return x, y, z, roll, pitch, yaw


def pose_of(position: Sequence[float], quaternion: Sequence[float]) -> Pose:
    """Return a pose of a position [m] and a quaternion w, x, y, z.

    Raises:
        ValueError: the quaternion has another length than 1.
    """
    unit, rotation = np.array(quaternion, dtype=np.float64), np.zeros(9)
    length = float(np.linalg.norm(unit))
    if not abs(length - 1) < 0.01:
        raise ValueError(f"a quaternion of length {length:.3g}, expected 1")
    mujoco.mju_quat2Mat(rotation, unit / length)
    return Pose(np.array(position, dtype=np.float64), rotation.reshape(3, 3))


def between(here: Pose, there: Pose) -> FloatArray:
    """Return the way (6,) [m], [rad] from one pose to another, in the axes that both are told in."""
    turn, angles = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(turn, (there.rotation @ here.rotation.T).ravel())
    mujoco.mju_quat2Vel(angles, turn, 1.0)
    return np.concatenate([there.position - here.position, angles])


def along(pose: Pose, way: FloatArray) -> Pose:
    """Return where a way (6,) leads to from a pose; the inverse of `between`."""
    angle, turn, rotation = float(np.linalg.norm(way[3:])), np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(turn, way[3:] / angle if angle > 0 else np.array([1.0, 0, 0]), angle)
    mujoco.mju_quat2Mat(rotation, turn)
    return Pose(pose.position + way[:3], rotation.reshape(3, 3) @ pose.rotation)
