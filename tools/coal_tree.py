"""The joints of our files in Pinocchio, and shapes on them in Coal: for distance_libraries.py."""

from typing import Any

import coal
import numpy as np
import pinocchio as pin

from smp_bringup.body import Body
from smp_bringup.geometry import load_geometry
from smp_bringup.robot import Robot

Frame = tuple[int, int]
"""Number of an arm, and how many of its joints that are no grippers come before."""


class Tree:
    """The joints of our files in Pinocchio, without shapes."""

    def __init__(self, robot: Robot, body: Body) -> None:
        self.robot, self.body, self.model = robot, body, pin.Model()
        self.joints: dict[Frame, int] = {}
        self.zero: dict[Frame, pin.SE3] = {}
        """Where the frames are while all joints are at zero."""
        self.inside: dict[Frame, pin.SE3] = {}
        """Where they are in the frame of their Pinocchio joint: elsewhere only for what stands on something."""
        self.told: list[tuple[int, int, float]] = []
        """Place in Pinocchio's configuration, column of ours, scale."""
        for arm in sorted(range(len(robot.arms)), key=lambda a: robot.mounts[a] is not None):  # carriers first
            self._add(arm)

    def _add(self, arm: int) -> None:
        entry, kind, mount = self.robot.arms[arm], self.body.arms[arm], self.robot.mounts[arm]
        place = pin.SE3(kind.base[1], kind.base[0])
        parent = self.joints[mount] if mount else 0
        inside = self.inside[mount] * place if mount else place
        zero = self.zero[mount] * place if mount else place
        self.joints[arm, 0], self.inside[arm, 0], self.zero[arm, 0] = parent, inside, zero
        first, frames = self.robot.arm_slices[entry.name].start, load_geometry(entry).joints
        moving = [k for k, joint in enumerate(entry.joints) if not joint.gripper]
        for n, k in enumerate(moving):
            frame, origin = (arm, n + 1), pin.SE3(np.eye(3), np.array(frames[n].origin))
            made = pin.JointModelPrismaticUnaligned if frames[n].slides else pin.JointModelRevoluteUnaligned
            axis = np.array(frames[n].axis)
            joint = self.joint(self.joints[arm, n], made(axis), self.inside[arm, n] * origin, first + k)
            self.joints[frame], self.inside[frame] = joint, pin.SE3.Identity()
            self.zero[frame] = self.zero[arm, n] * origin

    def joint(self, parent: int, made: Any, place: pin.SE3, column: int, scale: float = 1.0) -> int:
        """Add a joint that goes with a column of our joint positions; return its number."""
        number: int = self.model.addJoint(parent, made, place, f"joint{self.model.njoints}")
        self.told.append((self.model.joints[number].idx_q, column, scale))
        return number

    def configuration(self, position: np.ndarray) -> np.ndarray:
        """Return Pinocchio's configuration (nq,) at our joint positions (J,)."""
        q = np.zeros(self.model.nq)
        for place, column, scale in self.told:
            q[place] = scale * position[column]
        return q


class Shown:
    """Shapes on a tree, and pairs of them: distances by Coal."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.shapes = tree, pin.GeometryModel()

    def add(self, joint: int, place: pin.SE3, shape: Any) -> None:
        """Hang a shape on a joint."""
        self.shapes.addGeometryObject(pin.GeometryObject(f"shape{self.shapes.ngeoms}", joint, place, shape))

    def add_capsule(self, joint: int, place: pin.SE3, ends: np.ndarray, radius: float) -> None:
        """Hang on a joint what is within `radius` [m] of the line between two points (2, 3)."""
        along = ends[1] - ends[0]
        turn = (
            pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), along)
            if along.any()
            else pin.Quaternion(1, 0, 0, 0)
        )
        long = float(np.linalg.norm(along))
        shape = coal.Capsule(radius, long) if long else coal.Sphere(radius)
        self.add(joint, place * pin.SE3(turn.toRotationMatrix(), ends.mean(axis=0)), shape)

    def add_hull(self, joint: int, place: pin.SE3, corners: np.ndarray) -> None:
        """Hang the convex hull of points (N, 3) [m] on a joint."""
        told = coal.StdVec_Vec3s()
        for corner in corners:
            told.append(corner)
        self.add(joint, place, coal.Convex.convexHull(told, True, "Qt"))

    def ready(self, pairs: list[tuple[int, int]]) -> "Shown":
        """Take the pairs of shapes that are looked at."""
        for pair in pairs:
            self.shapes.addCollisionPair(pin.CollisionPair(*pair))
        self.data, self.geometry_data = self.tree.model.createData(), self.shapes.createData()
        return self

    def look(self, position: np.ndarray) -> None:
        """Compute all distances at joint positions (J,)."""
        pin.computeDistances(
            self.tree.model, self.data, self.shapes, self.geometry_data, self.tree.configuration(position)
        )

    def distances(self, position: np.ndarray) -> np.ndarray:
        """Return the distances (P,) [m]; negative where shapes overlap."""
        self.look(position)
        return np.array([found.min_distance for found in self.geometry_data.distanceResults])
