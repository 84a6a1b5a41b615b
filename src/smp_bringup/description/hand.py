"""Differential inverse kinematics of one arm: which joint speeds give its hand a velocity (mink, on MuJoCo)."""

from collections.abc import Mapping

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose, along
from smp_bringup.errors import ConfigError, InstallError
from smp_bringup.joints import DriverJoints
from smp_bringup.types import FloatArray

try:
    import mink
    import qpsolvers
except ModuleNotFoundError as error:
    raise InstallError(
        f"mink is not installed ({error}), and leaders of kind twist and pose need it: "
        "run make setup, or pip install 'smp_bringup[teleop]'"
    ) from error

_MARGIN = 0.02
"""Joints are not led nearer to their limits [rad], [m]."""
_TURN_COST = 0.1
"""One radian of rotation counts as much as so many metres: where not both can be had, the tip goes where it is led."""
_WEIGHT = np.array([1.0] * 3 + [_TURN_COST] * 3)
_DAMPING = 1e-6
_SINGULAR = 0.03
"""Where the joints move the tip on a way by less than this [m/rad], that way is near a singularity."""
_WAY_SPEED = 1.5
"""No way of the tip takes the joints faster [rad/s]; near a singularity less, down to nothing in it."""
_SOLVER = "daqp"


class Hand:
    """The tip of one arm, and what its joints must do to move it."""

    def __init__(self, description: Description, arm: Arm, tip: str) -> None:
        """Find the arm's joints in the description; its limits are those of the robot file.

        Raises:
            ConfigError: a joint or the tip is not in the description, or the joints do not move the tip.
        """
        self._description, model = description, description.model
        self._turning = np.array([i for i, joint in enumerate(arm.joints) if joint.turns])
        joints = [arm.joints[i] for i in self._turning]
        names = [joint.driver.name or joint.name for joint in joints]  # a description is of the driver's making
        scale, offset = (part[self._turning] for part in arm.driver[1:])
        self._said = DriverJoints(tuple(names), scale, offset)
        self._places, self._tip = description.places(names), description.link(tip)
        self._dofs = np.array([model.joint(name).dofadr[0] for name in names])
        ends = np.sort([joint.driver_range for joint in joints], axis=1)
        self._low, self._high = ends[:, 0], ends[:, 1]
        self._count = len(arm.joints)
        for name, low_and_high in zip(names, ends, strict=True):
            model.joint(name).range, model.jnt_limited[model.joint(name).id] = low_and_high, True
        self._limit = mink.ConfigurationLimit(model)
        speeds = np.array([joint.velocity for joint in joints]) / np.abs(scale)
        self._speed = mink.VelocityLimit(model, dict(zip(names, speeds.tolist(), strict=True)))
        others = [i for i in range(model.nv) if i not in self._dofs]
        self._frozen = [mink.DofFreezingTask(model, dof_indices=others)] if others else []
        self._task = mink.FrameTask(self._tip, "body", position_cost=1.0, orientation_cost=_TURN_COST)
        self._configuration = mink.Configuration(model)
        self.carriers = description.movers(tip) - set(names)
        """Joints of the rest of the robot that move the arm, e.g. of a torso."""
        self._place(np.array([joint.home for joint in arm.joints]))
        if not np.abs(self._jacobian()).max() > 0:
            raise ConfigError(f"arm '{arm.name}': its joints do not move {tip}: name a link at their end as tip")

    @property
    def links(self) -> tuple[str, ...]:
        """Links of the robot, in whose axes a motion can be told."""
        return self._description.links

    def carried(self, told: Mapping[str, float]) -> None:
        """Take where the joints are [rad], [m]; those that carry the arm count, and the others are ignored."""
        self._description.move({name: told[name] for name in self.carriers & told.keys()})

    def pose(self, q: FloatArray) -> Pose:
        """Return the pose of the tip, from the root, at the arm's joints (n,)."""
        self._place(q)
        return self._description.pose(self._tip)

    def axes(self, link: str, q: FloatArray) -> FloatArray:
        """Return the rotation (3, 3) of a link from the root; of the root itself if `link` is empty."""
        if not link:
            return np.eye(3)
        self._place(q)
        return self._description.pose(self._description.link(link)).rotation

    def speeds(self, q: FloatArray, twist: FloatArray, period_s: float) -> FloatArray:
        """Return the joint speeds (n,) [rad/s] that give the tip a velocity as far as the limits allow; grippers rest.

        Args:
            q: (n,) joints of the arm [rad], grippers [m].
            twist: (6,) linear [m/s] and angular [rad/s] velocity of the tip, in the axes of the root.
            period_s: for how long; limits are kept until then.
        """
        here = self.pose(q)
        there, target = along(here, twist * period_s), np.eye(4)
        target[:3, 3], target[:3, :3] = there.position, there.rotation
        self._task.set_target(mink.SE3.from_matrix(target))
        whole = self._configuration.q
        low, high = whole.copy(), whole.copy()  # a joint that is beyond its margin may come back, and go no further
        low[self._places] = np.minimum(self._low + _MARGIN, whole[self._places])
        high[self._places] = np.maximum(self._high - _MARGIN, whole[self._places])
        self._limit.lower, self._limit.upper = low, high
        problem = mink.build_ik(
            self._configuration, [self._task], period_s, _DAMPING, [self._limit, self._speed], self._frozen
        )
        problem.P[np.ix_(self._dofs, self._dofs)] += self._damping(
            np.concatenate([twist[:3] @ here.rotation, twist[3:] @ here.rotation])
        )
        step = qpsolvers.solve_problem(problem, solver=_SOLVER).x
        speeds = np.zeros(self._count)
        if step is not None:
            speeds[self._turning] = self._said.scale * step[self._dofs] / period_s
        return speeds

    def _damping(self, twist: FloatArray) -> FloatArray:
        """Return what joint steps (n, n) cost, so that no way of the tip takes the joints too fast.

        Only the ways that need it are damped, the others stay exact: numerical filtering as in Maciejewski and Klein
        (1988), with as much damping as the wanted velocity (6,), in the axes of the tip, needs.
        """
        sides, gain, ways = np.linalg.svd(self._jacobian(), full_matrices=False)
        wanted = np.abs(sides.T @ (twist * _WEIGHT))
        allowed = _WAY_SPEED * np.minimum(1.0, gain / _SINGULAR)
        cost = np.maximum(0.0, gain * wanted / np.maximum(allowed, 1e-12) - gain**2)
        damping: FloatArray = (ways.T * cost) @ ways
        return damping

    def _jacobian(self) -> FloatArray:
        """Return the Jacobian (6, n) of the tip, in its own axes and rotation weighted, where the arm is."""
        jacobian: FloatArray = (
            self._configuration.get_frame_jacobian(self._tip, "body")[:, self._dofs] * _WEIGHT[:, None]
        )
        return jacobian

    def _place(self, q: FloatArray) -> None:
        """Bring the arm to its joints (n,); the rest of the robot stays."""
        whole = self._description.position
        whole[self._places] = self._said.positions(q[self._turning])
        self._description.place(whole)
        self._configuration.update(self._description.position)
