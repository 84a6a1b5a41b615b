"""Where the fingers of a simulated hand are, how they close, and where between them its tool centre point would be.

All of it is in the frame of the hand's body and comes from collision shapes: jaws are told apart by how they move.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smp_bringup.description.capsules import Shape, shape_of
from smp_bringup.description.model import followers
from smp_bringup.description.pose import Pose
from smp_bringup.model_joints import ModelJoints
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.simulation import Simulation, model_name
from smp_bringup.types import FloatArray

INSIDE_M = 0.02
"""A tool centre point lies so far behind the fingertips."""
_TIP_M = 0.03
"""What is so near to the end of a finger is its tip."""
_STILL_M = 5e-4
"""A finger whose middle moves less stands still."""
_PART = 0.2
"""Share of the range by which fingers open to show their direction: those that turn go along a line so far."""
_SNAP = float(np.cos(np.deg2rad(30)))
"""An axis of the hand's body, or of its last joint, is taken for a direction that is so near to it."""
_STEPS = 11
"""Values of the gripper's joint that are looked at."""
_HELD_M = 0.025
"""A jaw that alone moves holds what is so thick with its middle half of that away from the other."""
Tip: TypeAlias = dict[int, NDArray[np.intp]]
"""Which points of a finger are its tip, by the number of the shape."""
_BETWEEN = np.linspace(0, 1, 9)[:, None, None]
"""Where edges of shapes are looked at, besides their ends."""


@dataclass(frozen=True)
class Grip:
    """How a hand grips."""

    tcp: Pose
    """Between the fingers: x out of the hand, y the direction in which they close."""
    values: FloatArray
    """(n,) of the gripper's joint, from closed to open."""
    gaps: FloatArray
    """(n,) between the tips of the fingers then [m]."""


class Fingers:
    """The fingers of one hand in a compiled simulation; what else the robot has stands at home."""

    def __init__(self, model: mujoco.MjModel, robot: Robot, simulation: Simulation, side: str) -> None:
        self._model, self._data, self._robot = model, mujoco.MjData(model), robot
        self._hand, self._joints = simulation.hands[side], ModelJoints(model, robot, simulation)
        self._shapes = [
            (int(model.geom_bodyid[geom]), shape_of(model, geom))
            for geom in range(model.ngeom)
            if model.geom(geom).name.startswith(f"{side}_finger")
        ]
        arm = robot.arm(self._hand.arm)
        last = [joint.name for joint in arm.joints if not joint.gripper][-1]
        self._last = model.joint(self._joints.names[robot.joint_names.index(last)]).id
        self.gripper = model_name(simulation, self._hand.gripper)
        """What the models call the gripper's joint."""
        self.range = (0.0, 0.0)
        """Of the gripper's joint."""
        if self._hand.gripper:
            joint = robot.joint(self._hand.gripper)
            self.range = joint.min, joint.max

    @property
    def moved_body(self) -> bool:
        """Whether the gripper's joint moves the body that the tool centre point is told in."""
        here, there = (self._wrist(value)[0] for value in self.range)
        return float(np.linalg.norm(here - there)) > _STILL_M

    def behind(self) -> tuple[str, ...]:
        """Return the joints of the models behind the arm's last one, without those that follow others."""
        model, following = self._model, {place for place, _, _ in followers(self._model)}
        found = list[str]()
        for joint in range(model.njnt):
            body = int(model.jnt_bodyid[joint])
            while body and body != model.jnt_bodyid[self._last]:
                body = int(model.body_parentid[body])
            if body and joint > self._last and model.jnt_qposadr[joint] not in following:
                found.append(model.joint(joint).name)
        return tuple(found)

    def ahead(self, tcp: Pose) -> float:
        """Return how far the ends of the fingers are before a point, along its x, where they reach least [m]."""
        low, _ = self._ends()
        points = self._points(low)
        jaws = self._jaws() or [list(range(len(points)))]
        reach = [max(float(((points[k] - tcp.position) @ tcp.rotation[:, 0]).max()) for k in jaw) for jaw in jaws]
        return min(reach)

    def grip(self) -> Grip | None:
        """Return how the hand grips; None where not two jaws are found that move apart."""
        jaws = self._jaws()
        if not jaws:
            return None
        closed, opened = self._ends()
        forward, points = self._forward(jaws, closed), self._points(closed)
        tips = [_tip(jaw, points, forward) for jaw in jaws]
        values = np.linspace(closed, opened, _STEPS)
        at = np.array([[_middle_of(tip, self._points(value)) for tip in tips] for value in values])  # (n, 2, 3)
        ways = at - at[0]
        part = ways[int(_PART * (_STEPS - 1))]
        across = part[0] - part[1]
        across -= (across @ forward) * forward
        if not np.linalg.norm(across) > _STILL_M:
            return None
        across = _snapped(across / np.linalg.norm(across))
        across -= (across @ forward) * forward
        across /= np.linalg.norm(across)
        first, second = (_of(tip, points) @ across for tip in tips)
        gaps = float(first.min() - second.max()) + np.linalg.norm(ways[:, 0] - ways[:, 1], axis=1)
        if not gaps[-1] > max(float(gaps[0]), 0.0) + _STILL_M:
            return None  # they pass each other, and are never apart
        held = int(np.argmin(np.abs(gaps - _HELD_M)))
        side = (first.min() + second.max()) / 2 + float(ways[held].mean(axis=0) @ across)
        return Grip(_between(jaws, points, forward, across, side), values, gaps)

    def pointed(self) -> Pose:
        """Return a tool centre point of a hand that nothing opens: out of it, turned about that as its body is."""
        (value, _), every = self.range, [list(range(len(self._shapes)))]
        forward, points = self._forward(every, value), self._points(value)
        across = np.eye(3)[int(np.argmin(np.abs(forward)))]
        across = across - (across @ forward) * forward
        across /= np.linalg.norm(across)
        middle = _middle_of(_tip(every[0], points, forward), points)
        return _between(every, points, forward, across, float(middle @ across))

    def _ends(self) -> tuple[float, float]:
        """Return the values of the gripper's joint where the tips are nearest, and where they are farthest apart."""
        jaws = self._jaws()
        if not jaws:
            return self.range
        forward = self._forward(jaws, sum(self.range) / 2)
        apart = []
        for value in self.range:
            points = self._points(value)
            first, second = (_middle_of(_tip(jaw, points, forward), points) for jaw in jaws)
            apart.append(float(np.linalg.norm(first - second)))
        low, high = self.range
        return (low, high) if apart[0] <= apart[1] else (high, low)

    def _jaws(self) -> list[list[int]]:
        """Return the shapes of each of two jaws, told apart by how they move; nothing where they do not."""
        low, high = self.range
        middles = [[points.mean(axis=0) for points in self._points(v)] for v in (low, low + _PART * (high - low))]
        ways = np.array(middles[1]) - np.array(middles[0])
        far = np.linalg.norm(ways, axis=1)
        if not len(far) or not far.max() > _STILL_M:
            return []
        along = ways @ ways[int(far.argmax())]
        moving = far > _STILL_M
        first = [k for k in range(len(far)) if moving[k] and along[k] > 0]
        second = [k for k in range(len(far)) if moving[k] and along[k] <= 0]
        second = second or [k for k in range(len(far)) if not moving[k]]
        return [first, second] if second else []

    def _wrist(self, value: float) -> tuple[FloatArray, FloatArray]:
        """Return the anchor (3,) of the arm's last joint and its axis (3,), in the frame of the hand's body."""
        frame = self._place(value)
        anchor, axis = self._data.xanchor[self._last], self._data.xaxis[self._last]
        return frame.rotation.T @ (anchor - frame.position), frame.rotation.T @ axis

    def _place(self, value: float) -> Pose:
        """Bring the gripper's joint to a value; return the pose of the hand's body."""
        position = np.array(self._robot.joint_array("home"))
        if self._hand.gripper:
            position[self._robot.joint_names.index(self._hand.gripper)] = value
        self._joints.put(self._data, position)
        mujoco.mj_kinematics(self._model, self._data)
        body = self._data.body(self._hand.body)
        return Pose(body.xpos.copy(), body.xmat.reshape(3, 3).copy())

    def _points(self, value: float) -> list[FloatArray]:
        """Return points (N, 3) on each shape at a value of the gripper's joint."""
        frame, found = self._place(value), []
        for body, shape in self._shapes:
            points = _surface(shape) @ self._data.xmat[body].reshape(3, 3).T + self._data.xpos[body]
            here = (points - frame.position) @ frame.rotation
            out = shape.radius * np.concatenate([np.eye(3), -np.eye(3)])
            found.append((here[:, None] + out).reshape(-1, 3) if shape.radius else here)
        return found

    def _forward(self, jaws: list[list[int]], value: float) -> FloatArray:
        """Return the direction (3,) out of the hand: from its wrist to the fingertips."""
        anchor, axis = self._wrist(value)
        points = self._points(value)
        rough = np.mean([np.concatenate([points[k] for k in jaw]).mean(axis=0) for jaw in jaws], axis=0) - anchor
        rough /= max(float(np.linalg.norm(rough)), 1e-9)
        tips = np.mean([_middle_of(_tip(jaw, points, rough), points) for jaw in jaws], axis=0) - anchor
        return _snapped(tips / max(float(np.linalg.norm(tips)), 1e-9), axis)


def _snapped(direction: FloatArray, *more: FloatArray) -> FloatArray:
    """Return the axis that a direction (3,) means, or itself where it lies between them."""
    axis = max([*np.eye(3), *more], key=lambda each: abs(float(each @ direction)))
    along = float(axis @ direction)
    return np.array(axis * np.sign(along)) if abs(along) > _SNAP else direction


def _tip(jaw: Sequence[int], points: list[FloatArray], forward: FloatArray, least: float = np.inf) -> Tip:
    """Return which points of a jaw are near its end, or beyond `least` along `forward` where that is less."""
    along = {k: points[k] @ forward for k in jaw}
    end = max(float(each.max()) for each in along.values())
    return {k: np.flatnonzero(each >= min(end - _TIP_M, least)) for k, each in along.items()}


def _of(tip: Tip, points: list[FloatArray]) -> FloatArray:
    """Return the points (N, 3) of a tip."""
    return np.concatenate([points[k][rows] for k, rows in tip.items()])


def _middle_of(tip: Tip, points: list[FloatArray]) -> FloatArray:
    own = _of(tip, points)
    middle: FloatArray = (own.min(axis=0) + own.max(axis=0)) / 2
    return middle


def _between(
    jaws: list[list[int]], points: list[FloatArray], forward: FloatArray, across: FloatArray, side: float
) -> Pose:
    """Return the tool centre point of fingers that are closed; `side` is where it lies between them."""
    end = min(float((_of(_tip(jaw, points, forward), points) @ forward).max()) for jaw in jaws)
    tips = [_of(_tip(jaw, points, forward, end - _TIP_M), points) for jaw in jaws]
    up = np.cross(forward, across)
    low, high = max(float((tip @ up).min()) for tip in tips), min(float((tip @ up).max()) for tip in tips)
    place = (end - INSIDE_M) * forward + side * across + (low + high) / 2 * up
    turns = [np.stack([forward, sign * across, sign * up], axis=1) for sign in (1.0, -1.0)]
    return Pose(np.round(place, 4), max(turns, key=np.trace))  # fingers hold alike either way round


def _surface(shape: Shape) -> FloatArray:
    """Return the corners of a shape and points on its edges (N, 3)."""
    if not len(shape.edges):
        return shape.points
    start, end = shape.points[shape.edges[:, 0]], shape.points[shape.edges[:, 1]]
    inner: FloatArray = (start + _BETWEEN * (end - start)).reshape(-1, 3)
    return np.concatenate([shape.points, inner])
