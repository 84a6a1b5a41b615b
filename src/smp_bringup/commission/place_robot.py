"""Where a robot stands by the tasks' table, and homes from which its hands come down to it, by its kinematics."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from smp_bringup.description.pose import Pose
from smp_bringup.kinematics import ArmKinematics
from smp_bringup.model_joints import ModelJoints
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.sim.scene import ARM_TYPE, TABLE_Y
from smp_bringup.simulation import SIDES, Simulation
from smp_bringup.tasks.script import OUTWARD
from smp_bringup.types import FloatArray

_READY = (0.24, -0.02, 0.22, 0.8)
"""Where hands wait: from the table's middle outwards, along y, above it [m]; and by how much they look down [rad]."""
_WORK = ((0.14, 0.0, 0.05, 1.13), (0.14, 0.0, 0.2, 1.13))
"""Where they take the tray by its handles, and where they have lifted it to."""
_REACHED_M = 0.006
_STARTS = 4
"""Searches begin at home, in the middle of the ranges, and at so many drawn poses."""
_IN_TABLE, _DEEP_M = 0.1, 0.002
"""A place where links are deeper in the table than the second counts as worse by the first [m]."""
_INSIDE = 0.02
"""No home is nearer to a limit, as a share of the range."""
_ON_TABLE_M = 0.05
"""Arms whose lowest point of standing is so near to z = 0 stand on the table as they are."""
_BESIDE = (0.0, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8)
"""So far behind the table's middle arms may stand [m]."""
_SIDE_BY_SIDE, _CHEST = 0.35, 0.5
"""Those that look the same way stand no nearer than the first [m]; what carries both, a chest, than the second."""
_HEIGHTS = (0.15, 0.3, 0.45, 0.6)
"""Of shoulders of a torso above the table [m]."""


@dataclass(frozen=True)
class Stand:
    """Where a robot stands, and how it holds its arms there."""

    at: tuple[float, float, float, float, float, float]
    homes: dict[str, float]
    """By joint of the arms."""
    error_m: float
    """By so much the worst of the poses is missed."""
    away_m: float
    """So far from where a hand would wait one is at the homes of the robot file."""


def place_robot(model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> Stand:
    """Return where a robot does best what the tasks need; `simulation` has it in the origin."""
    arms = {side: ArmKinematics(model, robot, simulation, side) for side in SIDES}
    shoulders, floor = _shoulders(model, robot, simulation)
    across = shoulders[0] - shoulders[1]
    yaw = float(np.pi - np.arctan2(across[1], across[0]))
    yaw = float(np.round(2 * yaw / np.pi) * np.pi / 2) if abs(np.sin(2 * yaw)) < 0.1 else yaw
    yaw = float((yaw + np.pi) % (2 * np.pi) - np.pi)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    middle = turn @ shoulders.mean(axis=0)
    on_table = abs(floor) < _ON_TABLE_M and _stand_apart(model, robot, simulation)
    ahead = [arm.forward(arm.home)[0][:2] - base[:2] for arm, base in zip(arms.values(), shoulders, strict=True)]
    nearest = 0.0 if ahead[0] @ ahead[1] < 0 else _SIDE_BY_SIDE  # arms that face each other stand across the table
    behind = [way for way in _BESIDE if way >= (nearest if on_table else _CHEST)]
    heights = [middle[2]] if on_table else _HEIGHTS
    best: Stand | None = None
    for back, height in product(behind, heights):
        place = np.array([0.0, TABLE_Y - back, height]) - middle
        frame = Pose(place, turn)
        found = _stand(arms, frame, robot)
        deep = in_table(model, with_homes(robot, found.homes), simulation, frame)
        found = replace(found, error_m=found.error_m + (_IN_TABLE if deep else 0.0))
        if best is None or found.error_m < best.error_m - 1e-3:
            best = found
        if best.error_m < _REACHED_M:
            break
    assert best is not None
    return best


def in_table(model: mujoco.MjModel, robot: Robot, simulation: Simulation, frame: Pose) -> dict[str, float]:
    """Return how deep links that move are in the table while all joints are at home [m].

    Args:
        model: with the table.
        robot: whose homes count.
        simulation: of it.
        frame: where the robot stands beside where the model has it; the table is moved instead.
    """
    table = model.geom("table").id
    place, turn = model.geom_pos[table].copy(), model.geom_quat[table].copy()
    seen = Pose(place, np.eye(3)).seen_from(frame)
    model.geom_pos[table], model.geom_quat[table] = seen.position, seen.quaternion
    data, found = mujoco.MjData(model), dict[str, float]()
    ModelJoints(model, robot, simulation).put(data, robot.joint_array("home"))
    mujoco.mj_kinematics(model, data)
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        if model.geom_contype[geom] == ARM_TYPE and model.body_weldid[body]:
            deep = -mujoco.mj_geomDistance(model, data, geom, table, _DEEP_M, None)
            if deep > _DEEP_M:
                name = model.body(body).name
                found[name] = max(found.get(name, 0.0), float(deep))
    model.geom_pos[table], model.geom_quat[table] = place, turn
    return found


def with_homes(robot: Robot, homes: dict[str, float]) -> Robot:
    """Return a robot some of whose joints have other homes."""
    arms = tuple(
        replace(arm, joints=tuple(replace(joint, home=homes.get(joint.name, joint.home)) for joint in arm.joints))
        for arm in robot.arms
    )
    return replace(robot, arms=arms)


def _shoulders(model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> tuple[FloatArray, float]:
    """Return where the first joints of both arms are (2, 3), and how high the robot's lowest body stands [m]."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    names = [robot.arm(simulation.hands[side].arm).joints[0].name for side in SIDES]
    called = [simulation.joints[name].name if name in simulation.joints else name for name in names]
    return np.array([data.xanchor[model.joint(name).id] for name in called]), float(data.xpos[1:, 2].min())


def _stand_apart(model: mujoco.MjModel, robot: Robot, simulation: Simulation) -> bool:
    """Return whether nothing but the ground carries both arms: each is a robot of its own."""
    ways = []
    for side in SIDES:
        name = robot.arm(simulation.hands[side].arm).joints[0].name
        name = simulation.joints[name].name if name in simulation.joints else name
        body, way = int(model.joint(name).bodyid[0]), set[int]()
        while body:
            body = int(model.body_parentid[body])
            if model.body_geomnum[body]:
                way.add(body)
        ways.append(way - {0})
    return not ways[0] & ways[1]


def _stand(arms: dict[str, ArmKinematics], frame: Pose, robot: Robot) -> Stand:
    """Return how well both arms do where the robot stands in `frame`."""
    homes, worst, away = dict[str, float](), 0.0, 0.0
    for side, arm in arms.items():
        pose, error = _ready(arm, frame, OUTWARD[side])
        low, high = arm.limits
        pose = np.clip(pose, low + _INSIDE * (high - low), high - _INSIDE * (high - low))
        homes |= {robot.joint_names[c]: round(float(q), 3) for c, q in zip(arm.columns, pose, strict=True)}
        worst = max(worst, error)
        out, along, height, _ = _READY
        here = frame.position + frame.rotation @ arm.forward(arm.home)[0]
        away = max(away, float(np.linalg.norm(here - [-OUTWARD[side] * out, TABLE_Y + along, height])))
    return Stand(Pose(frame.position.round(3), frame.rotation).six, homes, worst, away)


def _ready(arm: ArmKinematics, frame: Pose, outward: float) -> tuple[FloatArray, float]:
    """Return joint positions (n,) at which a hand waits, and by how much the worst of what follows is missed [m]."""
    low, high = arm.limits
    rng = np.random.default_rng(0)
    starts = [arm.home, (low + high) / 2, *rng.uniform(low, high, (_STARTS, len(low)))]
    best, least = arm.home, np.inf
    for start, sign in product(starts, (1.0, -1.0)):
        q, missed = _reached(arm, frame, _READY, outward, sign, start)
        if missed > 10 * _REACHED_M:
            continue
        at, way = q, [missed]
        for pose in _WORK:
            at, missed = _reached(arm, frame, pose, outward, sign, at)
            way.append(missed)
        room = np.minimum(q - low, high - q) / (high - low)
        cost = max(way) + 0.002 * float((room < 0.05).sum()) + 0.001 * float(np.abs(q - (low + high) / 2).mean())
        if cost < least:
            best, least, error = q, cost, max(way)
    return best, error if least < np.inf else 1.0


def _reached(
    arm: ArmKinematics,
    frame: Pose,
    pose: tuple[float, float, float, float],
    outward: float,
    sign: float,
    start: FloatArray,
) -> tuple[FloatArray, float]:
    """Return joint positions (n,) near a pose over the table, and by how much it is missed [m], turns with it."""
    out, along, height, pitch = pose
    x = np.array([np.cos(pitch) * outward, 0.0, -np.sin(pitch)])
    y = np.array([0.0, outward * sign, 0.0])
    goal = Pose(np.array([-outward * out, TABLE_Y + along, height]), np.stack([x, y, np.cross(x, y)], axis=1))
    here = goal.seen_from(frame)
    q, missed = arm.solve(here.position, here.rotation, start)
    turned = arm.forward(q)[1].T @ here.rotation
    angle = float(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)))
    return q, missed + (0.02 * angle if len(q) >= 6 else 0.0)
