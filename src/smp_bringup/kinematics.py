"""Inverse kinematics of one arm of a MuJoCo model by damped least squares."""

import os
from collections.abc import Sequence

import numpy as np

from smp_bringup.errors import InstallError
from smp_bringup.types import FloatArray

try:
    import mujoco as mujoco
except ModuleNotFoundError as error:
    raise InstallError(f"MuJoCo is not installed ({error}): run make setup") from error
except Exception as error:  # MuJoCo loads its GL library when it is imported; each one fails in its own way
    raise InstallError(
        f"MuJoCo finds no OpenGL (MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {error}); "
        "on Debian or Ubuntu run: apt-get install libegl1 libgl1-mesa-dri (or libosmesa6 and MUJOCO_GL=osmesa)"
    ) from error

_ROTATION_WEIGHT = 0.05
"""One radian of rotation counts as much as so many metres, squared."""
_DAMPING = 1e-5
_STRAIGHTEN = 1e-3
"""Pull of the forearm roll towards zero: keeps the wrist from flipping when the hand lines up with the forearm."""
_MAX_STEP_RAD = 0.2
_TOLERANCE_RAD = 1e-4


class ArmKinematics:
    """Joint positions of one arm that bring a site to a pose; scratch data, so nothing else moves."""

    def __init__(self, model: mujoco.MjModel, site: str, joints: Sequence[str]) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._site = model.site(site).id
        self._qpos = np.array([model.joint(j).qposadr[0] for j in joints])
        self._dof = np.array([model.joint(j).dofadr[0] for j in joints])
        ranges = np.array([model.joint(j).range for j in joints])
        self._low, self._high = ranges[:, 0], ranges[:, 1]
        self._straighten = np.array([_STRAIGHTEN * j.endswith("forearm_roll") for j in joints])

    def forward(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the position (3,) [m] and rotation (3, 3) of the site at joint positions `q` (n,) [rad]."""
        self._place(q)
        site = self._data.site(self._site)
        return site.xpos.copy(), site.xmat.reshape(3, 3).copy()

    def solve(
        self, position: FloatArray, rotation: FloatArray, start: FloatArray, iterations: int = 60
    ) -> tuple[FloatArray, float]:
        """Return joint positions (n,) [rad] near `start` that reach a pose, and the remaining distance [m].

        Args:
            position: (3,) [m].
            rotation: (3, 3).
            start: (n,) [rad], where the search begins.
            iterations: at most so many steps.
        """
        q = np.clip(start, self._low, self._high)
        jacobian = np.zeros((6, self._model.nv))
        weight = np.array([1.0] * 3 + [_ROTATION_WEIGHT] * 3)
        error = np.zeros(6)
        for _ in range(iterations):
            self._place(q)
            site = self._data.site(self._site)
            error[:3] = position - site.xpos
            error[3:] = _rotation_vector(rotation @ site.xmat.reshape(3, 3).T)
            mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], self._site)
            j = jacobian[:, self._dof]
            hessian = j.T * weight @ j + _DAMPING * np.eye(len(q)) + np.diag(self._straighten)
            step = np.linalg.solve(hessian, j.T @ (weight * error) - self._straighten * q)
            q = np.clip(q + np.clip(step, -_MAX_STEP_RAD, _MAX_STEP_RAD), self._low, self._high)
            if np.abs(step).max() < _TOLERANCE_RAD:
                break
        return q, float(np.linalg.norm(error[:3]))

    def _place(self, q: FloatArray) -> None:
        self._data.qpos[self._qpos] = q
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)


def _rotation_vector(rotation: FloatArray) -> FloatArray:
    """Return the axis times the angle [rad] (3,) of a rotation matrix (3, 3)."""
    quaternion, vector = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector
