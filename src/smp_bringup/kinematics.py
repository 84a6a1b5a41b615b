"""Inverse kinematics of one arm of a MuJoCo model by damped least squares."""

import numpy as np

from smp_bringup.model_joints import ModelJoints
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.simulation import Simulation
from smp_bringup.types import FloatArray

_ROTATION_WEIGHT = 0.05
"""One radian of rotation counts as much as so many metres, squared."""
_SHORT_WEIGHT = 0.001
"""The same of an arm of fewer than six joints, which cannot have every rotation: it comes to the place first."""
_DAMPING = 1e-5
_KEEP = 1e-3
"""Pull of joints that are to stay near home: see `simulation.SimHand.keep`."""
_MAX_STEP_RAD = 0.2
_TOLERANCE_RAD = 1e-4


class ArmKinematics:
    """Joint positions of one arm that bring its hand to a pose; scratch data, so nothing else moves."""

    def __init__(self, model: mujoco.MjModel, robot: Robot, simulation: Simulation, side: str) -> None:
        """Take the arm of the hand `side`; all others stand at home."""
        hand, joints = simulation.hands[side], ModelJoints(model, robot, simulation)
        part = robot.arm_slices[hand.arm]
        self.columns = np.array([j for j in range(part.start, part.stop) if not robot.joints[j].gripper])
        """(n,) of its joints in an array over joints (J,)."""
        self._model, self._data, home = model, mujoco.MjData(model), robot.joint_array("home")
        self._site = model.site(f"{side}_tcp").id
        self._places, self._dof = joints.places[self.columns], joints.dofs[self.columns]
        self._scale, self._offset = joints.scale[self.columns], joints.offset[self.columns]
        self._low, self._high = (robot.joint_array(end)[self.columns] for end in ("min", "max"))
        names = [robot.joints[j].name for j in self.columns]
        self._keep = np.array([_KEEP * (name in hand.keep) for name in names])
        self.home: FloatArray = home[self.columns]
        """(n,) [rad]."""
        joints.put(self._data, home)

    @property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Least and largest joint positions (n,) each [rad], [m]."""
        return self._low, self._high

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
        weight = np.array([1.0] * 3 + [_ROTATION_WEIGHT if len(q) >= 6 else _SHORT_WEIGHT] * 3)
        error = np.zeros(6)
        for _ in range(iterations):
            self._place(q)
            site = self._data.site(self._site)
            error[:3] = position - site.xpos
            error[3:] = _rotation_vector(rotation @ site.xmat.reshape(3, 3).T)
            mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], self._site)
            j = jacobian[:, self._dof] * self._scale
            hessian = j.T * weight @ j + _DAMPING * np.eye(len(q)) + np.diag(self._keep)
            slope = j.T @ (weight * error) - self._keep * (q - self.home)
            step = np.linalg.solve(hessian, slope)
            free = ~(((q <= self._low) & (step < 0)) | ((q >= self._high) & (step > 0)))
            if not free.all():  # what a joint at its limit cannot do, the others do
                step = np.zeros(len(q))
                step[free] = np.linalg.solve(hessian[np.ix_(free, free)], slope[free])
            q = np.clip(q + np.clip(step, -_MAX_STEP_RAD, _MAX_STEP_RAD), self._low, self._high)
            if np.abs(step).max() < _TOLERANCE_RAD:
                break
        return q, float(np.linalg.norm(error[:3]))

    def _place(self, q: FloatArray) -> None:
        self._data.qpos[self._places] = self._scale * q + self._offset
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)


def _rotation_vector(rotation: FloatArray) -> FloatArray:
    """Return the axis times the angle [rad] (3,) of a rotation matrix (3, 3)."""
    quaternion, vector = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector
