"""Measures distances between links by our capsules, by Pinocchio with Coal and by MuJoCo, into docs/results (ADR 11).

    .venv/bin/pip install --target out/pin pin
    PYTHONPATH=out/pin/cmeel.prefix/lib/python3.11/site-packages .venv/bin/python tools/distance_libraries.py

`make robots` first. All look at the same states, in turn, on one core, whose time is taken: what runs beside them is
not counted.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coal
import mujoco
import numpy as np
import pinocchio as pin
from coal_tree import Frame, Shown, Tree

from smp_bringup.body import Body
from smp_bringup.description.capsules import shapes
from smp_bringup.geometry import Capsule
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation, model_name
from smp_bringup.tasks import TASKS

ROBOTS = ("dual_ur5e", "aloha", "dual_panda")
STATES, POSES = 500, 31
"""Random states; poses of one cycle of `arm_distance`: where the arms are, and a stop."""
STEP = 0.02
"""How far a joint goes from pose to pose at most [rad], [m]."""
FAR = 0.2
"""MuJoCo does not look beyond this [m]; nor is it compared beyond."""


def shown_capsules(robot: Robot, body: Body) -> Shown:
    """Return our capsules as Coal's, in our order, with our pairs."""
    tree = Tree(robot, body)
    joints = [_carrier(tree, arm, capsule) for arm, kind in enumerate(body.arms) for capsule in kind.capsules]
    shown = Shown(tree)
    for (joint, place), capsule in zip(joints, [each for kind in body.arms for each in kind.capsules], strict=True):
        shown.add_capsule(joint, place, np.array([capsule.start, capsule.end]), capsule.radius)
    return shown.ready(list(zip(body.first.tolist(), body.second.tolist(), strict=True)))


def _carrier(tree: Tree, arm: int, capsule: Capsule) -> tuple[int, pin.SE3]:
    """Return the joint that moves a capsule, and its frame in that; what goes with a gripper gets its own joint."""
    frame = arm, capsule.after
    travel = float(np.linalg.norm(capsule.slide))
    if not travel:
        return tree.joints[frame], tree.inside[frame]
    robot = tree.robot
    column = next(
        k for k in range(*robot.arm_slices[robot.arms[arm].name].indices(robot.dof)) if robot.joints[k].gripper
    )
    made = pin.JointModelPrismaticUnaligned(np.array(capsule.slide) / travel)
    return tree.joint(tree.joints[frame], made, tree.inside[frame], column, travel), pin.SE3.Identity()


def shown_hulls(world: World, body: Body) -> tuple[Shown, list[tuple[int, int]]]:
    """Return the convex hulls of the links in Coal, and the pairs of geoms of MuJoCo that are looked at in both.

    Pairs are those whose frames have capsules that are looked at. Grippers stand at zero.
    """
    robot, model, data = world.robot, world.model, world.data
    tree = Tree(robot, body)
    shown, geoms, frames = Shown(tree), list[int](), list[Frame]()
    world.pose_arms(np.zeros(robot.dof))
    for geom, frame in _arm_geoms(world, tree):
        owner = int(model.geom_bodyid[geom])
        inside = [g for g in range(model.ngeom) if model.geom_bodyid[g] == owner and _collides(model, g)].index(geom)
        shape = shapes(model, owner)[inside]
        here = (
            tree.inside[frame] * tree.zero[frame].inverse() * pin.SE3(data.xmat[owner].reshape(3, 3), data.xpos[owner])
        )
        if shape.radius:
            shown.add_capsule(tree.joints[frame], here, shape.points, shape.radius)
        else:
            shown.add_hull(tree.joints[frame], here, shape.points)
        geoms.append(geom)
        frames.append(frame)
    links = [_whole(robot, (a, after)) for a, kind in enumerate(body.arms) for after in kind.after.tolist()]
    looked = {frozenset((links[i], links[j])) for i, j in zip(body.first, body.second, strict=True)}
    pairs = [
        (i, j)
        for j in range(len(geoms))
        for i in range(j)
        if frozenset((_whole(robot, frames[i]), _whole(robot, frames[j]))) in looked
    ]
    return shown.ready(pairs), [(geoms[i], geoms[j]) for i, j in pairs]


def _whole(robot: Robot, frame: Frame) -> Frame:
    """Return the frame of the arm below for what stands on it and is not moved against it."""
    mount = robot.mounts[frame[0]]
    return frame if frame[1] or mount is None else mount


def _collides(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def _arm_geoms(world: World, tree: Tree) -> list[tuple[int, Frame]]:
    """Return the shapes that joints of the arms move, and the frame that carries each."""
    robot, model, simulation = world.robot, world.model, load_simulation(world.robot)
    carried: dict[int, Frame] = {}
    for arm, entry in enumerate(robot.arms):
        names = [model_name(simulation, joint.name) for joint in entry.joints if not joint.gripper]
        carried |= {int(model.joint(name).bodyid[0]): (arm, n + 1) for n, name in enumerate(names)}
    found = []
    for geom in range(model.ngeom):
        above = int(model.geom_bodyid[geom])
        while above and above not in carried:
            above = int(model.body_parentid[above])
        if above and _collides(model, geom):
            found.append((geom, carried[above]))
    return found


def mujoco_distances(world: World, pairs: list[tuple[int, int]], position: np.ndarray) -> np.ndarray:
    """Return the distances (P,) [m] of pairs of geoms, at most FAR, at joint positions (J,)."""
    world.pose_arms(position)
    model, data = world.model, world.data
    return np.array([mujoco.mj_geomDistance(model, data, a, b, FAR, None) for a, b in pairs])


def model_root(world: World, pair: tuple[int, int]) -> tuple[int, int]:
    """Return the trees of MuJoCo's bodies that the geoms of a pair belong to: one an arm."""
    first, second = (int(world.model.body_treeid[world.model.geom_bodyid[geom]]) for geom in pair)
    return first, second


def path(rng: np.random.Generator, robot: Robot, count: int) -> np.ndarray:
    """Return joint positions (count, J): a random one, and a stop from there."""
    low, high = robot.joint_array("min"), robot.joint_array("max")
    steps = np.linspace(0, 1, count)[:, None] * count * STEP * rng.uniform(-1, 1, robot.dof)
    return np.clip(rng.uniform(low, high) + steps, low, high)


def spread(took: list[float]) -> dict[str, float]:
    """Return p50 and p99 [ms] of durations [s]."""
    p50, p99 = np.percentile(1e3 * np.array(took), [50, 99])
    return {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}


def measured(name: str) -> dict[str, Any]:
    """Return what was found of one robot."""
    robot, rng = load_robot(name), np.random.default_rng(0)
    world, body = World(TASKS["lift_tray"](), robot), Body(robot, load_safety(robot.safety).self_gap)
    ours, (hulls, geoms) = shown_capsules(robot, body), shown_hulls(world, body)
    root = [model_root(world, pair) for pair in geoms]
    across = np.array([first != second for first, second in root])
    arms_alone = ~np.array([joint.gripper for joint in robot.joints])
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "ours": body.distances,
        "coal_capsules": lambda poses: [ours.look(pose) for pose in poses],
        "coal_hulls": lambda poses: [hulls.look(pose) for pose in poses],
        "mujoco_hulls": lambda poses: [mujoco_distances(world, geoms, pose) for pose in poses],
    }
    took: dict[str, list[float]] = {f"{way}_{count}": [] for way in ways for count in (1, POSES)}
    apart, overlapping, between, standing_out = [], [], [], []
    for _ in range(STATES):
        poses = path(rng, robot, POSES)
        for way, look in ways.items():
            for count in (1, POSES):
                begun = time.thread_time()
                look(poses[:count])
                took[f"{way}_{count}"].append(time.thread_time() - begun)
        near, theirs = body.distances(poses[:1])[0], ours.distances(poses[0])
        off = np.abs(near - theirs)
        apart += off[near > 0].tolist()
        overlapping += off[near <= 0].tolist()
        still = poses[0] * arms_alone
        hull, judge = hulls.distances(still), mujoco_distances(world, geoms, still)
        both = (judge > 0) & (judge < FAR)
        between += np.abs(hull - judge)[both].tolist()
        if (least := min(hull[across])) > 0:
            standing_out.append(float(least - body.distances(still[None])[0][body.across].min()))
    return {
        "pairs_of_capsules": len(body.first),
        "pairs_of_hulls": len(geoms),
        "time": {way: spread(each) for way, each in took.items()},
        "capsules_apart_differ_m": max(apart),
        "capsules_overlapping_differ_m": max(overlapping, default=0.0),
        "hulls_differ_from_mujoco_m": {"p50": float(np.median(between)), "max": max(between), "pairs": len(between)},
        "arms_nearer_by_capsules_m": {
            "p50": float(np.median(standing_out)),
            "p95": float(np.percentile(standing_out, 95)),
            "states": len(standing_out),
        },
    }


def main() -> None:
    """Measure the robots, and write the result."""
    found = {"pinocchio": pin.__version__, "coal": coal.__version__, "mujoco": mujoco.__version__, "states": STATES}
    for name in ROBOTS:
        found[name] = measured(name)
        print(name, json.dumps(found[name], indent=1))
    Path("docs/results/distance_libraries.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
