"""All the room that a shape sweeps when joints move it: a finger, and whatever mimics its joint."""

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from smp_bringup.description.capsules import Shape
from smp_bringup.description.model import Description
from smp_bringup.physics import mujoco
from smp_bringup.types import FloatArray

MOST_JOINTS = 7
"""That may sweep one link."""
_ONE = 33
"""Positions between both ends of one joint, at which what it sweeps is looked at: between them an arc of 0.2 m and
2 rad rises by less than the grid of the capsules."""
_SEVERAL = {2: 17, 3: 7, 4: 5, 5: 4, 6: 3, 7: 3}
"""The same of each of several joints: some hundred poses; arcs count."""
_EDGELESS = np.zeros((0, 2), dtype=np.intp)
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)


def swept(description: Description, ranges: Mapping[str, tuple[float, float]], link: str, shape: Shape) -> Shape:
    """Return a shape of a link wherever joints can bring it, all others at zero, from the root.

    Args:
        description: which is left at zero.
        ranges: of the joints that move the link.
        link: whose shape it is.
        shape: in the frame of the link.
    """
    several = len(ranges) > 1
    points = _box(shape.points) if several else shape.points
    steps = [np.linspace(*ends, _SEVERAL.get(len(ranges), _ONE)) for ends in ranges.values()]
    number, corners, positions = description.link(link), list[FloatArray](), list[FloatArray]()
    for told in product(*steps):
        description.place(description.model.qpos0)
        description.move(dict(zip(ranges, map(float, told), strict=True)))
        pose = description.pose(number)
        corners.append(points @ pose.rotation.T + pose.position)
        positions.append(description.position)
    description.place(description.model.qpos0)
    between = _arcs(description, link, points, np.array(positions)) if several else 0.0
    return Shape(np.concatenate(corners), _EDGELESS, shape.radius + between)


def _arcs(description: Description, link: str, points: FloatArray, positions: FloatArray) -> float:
    """Return how far [m] a point can be outside of the hull of where it is seen, at joint positions (N, nq).

    A joint that turns by h from one to the next takes a point at a distance r on an arc that rises over its chord by
    r (1 - cos(h / 2)) at most; one joint after the other, so their arcs add up.
    """
    model, body = description.model, description.model.body(link)
    reach, rise = float(np.linalg.norm(points, axis=1).max()), 0.0
    while body.id:
        if body.jntnum[0]:
            joint = model.joint(int(body.jntadr[0]))
            seen = np.unique(np.round(positions[:, joint.qposadr[0]], 9))
            apart = float(np.diff(seen).max()) if len(seen) > 1 else 0.0
            reach += float(np.linalg.norm(model.jnt_pos[joint.id]))
            if joint.type[0] == _HINGE:
                rise += reach * (1 - np.cos(apart / 2))
            else:
                reach += float(np.ptp(seen))
        reach += float(np.linalg.norm(body.pos))
        body = model.body(int(body.parentid[0]))
    return rise


def _box(points: FloatArray) -> FloatArray:
    """Return the corners (8, 3) of a box around points (N, 3), along their main axes."""
    middle = points.mean(axis=0)
    axes = np.linalg.svd(points - middle, full_matrices=True)[2]
    along = (points - middle) @ axes.T
    signs: NDArray[np.intp] = np.array(list(product((0, 1), repeat=3)))
    ends = np.stack([along.min(axis=0), along.max(axis=0)])
    corners: FloatArray = ends[signs, np.arange(3)] @ axes + middle
    return corners
