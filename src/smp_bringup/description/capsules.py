"""Capsules around the collision shapes of links: every point of a shape is inside one of its capsules.

Shapes are convex, as MuJoCo takes them: of a mesh its convex hull. A long one is cut across into slabs.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smp_bringup.geometry import Capsule, Vector
from smp_bringup.physics import mujoco
from smp_bringup.types import FloatArray

_SLABS = 4
"""A shape has at most so many capsules."""
_WORTH = 0.15
"""A further capsule must save so much of the volume."""
_ROUND = 16
"""Corners of a polygon that stands for a circle, around it."""
_STEPS = 200
_DIGITS = 6
_GRID_M = 1e-4
"""Figures are rounded to this; radii upwards, with room for the rounding of the ends."""


class Shape(NamedTuple):
    """A convex shape."""

    points: FloatArray
    """Corners (N, 3) [m]."""
    edges: NDArray[np.intp]
    """(E, 2) between corners."""
    radius: float = 0.0
    """What is within so much [m] of it belongs to it, too."""


def shapes(model: mujoco.MjModel, body: int) -> list[Shape]:
    """Return the collision shapes of a link in its frame."""
    first = int(model.body_geomadr[body])
    own = range(first, first + int(model.body_geomnum[body])) if first >= 0 else range(0)
    return [shape_of(model, geom) for geom in own if model.geom_contype[geom] or model.geom_conaffinity[geom]]


def capsules(name: str, shape: Shape, after: int, touches: bool = False) -> list[Capsule]:
    """Return the capsules that enclose a shape, of as little volume as a few of them can have.

    Args:
        name: of its link.
        shape: in the frame of the joint that moves it.
        after: see `Capsule`.
        touches: see `Capsule`.
    """
    best, least = list[_Round](), np.inf
    for axis in _axes(shape.points):
        for slabs in range(1, (_SLABS if len(shape.edges) else 1) + 1):  # without edges nobody knows what a slab has
            found = [_enclosing(points, shape.radius) for points in _slabs(shape, axis, slabs)]
            volume = sum(each.volume for each in found) * (1 + _WORTH * (slabs - 1))
            if volume < least:
                best, least = found, volume
    names = [f"{name}_part{k + 1}" for k in range(len(best))] if len(best) > 1 else [name]
    return [Capsule(part, after, *each.rounded(), touches=touches) for part, each in zip(names, best, strict=True)]


class _Round(NamedTuple):
    """What is within `radius` [m] of the line between two points (3,) [m]."""

    start: FloatArray
    end: FloatArray
    radius: float

    @property
    def volume(self) -> float:
        """[m^3]."""
        return float(np.pi * self.radius**2 * (np.linalg.norm(self.end - self.start) + 4 / 3 * self.radius))

    def rounded(self) -> tuple[Vector, Vector, float]:
        """Return figures to be written, around a little more: half the diagonal of the grid is 0.87 of its step."""
        radius = float(np.ceil(self.radius / _GRID_M + 1) * _GRID_M)
        return _on_grid(self.start), _on_grid(self.end), round(radius, _DIGITS)


def shape_of(model: mujoco.MjModel, geom: int) -> Shape:
    """Return the convex shape of a geom, in the frame of its body."""
    kinds, size = mujoco.mjtGeom, model.geom_size[geom].astype(np.float64)
    kind = kinds(int(model.geom_type[geom]))  # NumPy's integers are in no tuple of these
    if kind == kinds.mjGEOM_MESH:
        shape = _hull(model, int(model.geom_dataid[geom]))
    elif kind == kinds.mjGEOM_CYLINDER:
        shape = _prism(float(size[0]), float(size[1]))
    elif kind in (kinds.mjGEOM_CAPSULE, kinds.mjGEOM_SPHERE):
        ends = np.array([[0, 0, -1.0], [0, 0, 1.0]]) * (size[1] if kind == kinds.mjGEOM_CAPSULE else 0.0)
        shape = Shape(ends, np.array([[0, 1]]), float(size[0]))
    else:  # an ellipsoid in the box around it
        shape = _box(size)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return shape._replace(points=shape.points @ rotation.reshape(3, 3).T + model.geom_pos[geom])


def _hull(model: mujoco.MjModel, mesh: int) -> Shape:
    """Return the convex hull of a mesh: MuJoCo keeps it as counts, then per vertex, per edge, and its faces."""
    graph = model.mesh_graph[model.mesh_graphadr[mesh] :]
    vertices, faces = int(graph[0]), int(graph[1])
    numbers = graph[2 + vertices : 2 + 2 * vertices]
    start = 2 + 3 * vertices + 3 * faces
    corners = graph[start : start + 3 * faces].reshape(-1, 3)
    places = np.zeros(int(model.mesh_vertnum[mesh]), dtype=np.intp)
    places[numbers] = np.arange(vertices)
    edges = np.sort(places[corners[:, [0, 1, 1, 2, 2, 0]]].reshape(-1, 2), axis=1)
    first = int(model.mesh_vertadr[mesh])
    return Shape(model.mesh_vert[first + numbers].astype(np.float64), np.unique(edges, axis=0))


def _prism(radius: float, half: float) -> Shape:
    angles = np.arange(_ROUND) * 2 * np.pi / _ROUND
    circle = radius / np.cos(np.pi / _ROUND) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.concatenate([np.insert(circle, 2, z, axis=1) for z in (-half, half)])
    around = np.stack([np.arange(_ROUND), np.roll(np.arange(_ROUND), -1)], axis=1)
    along = np.stack([np.arange(_ROUND), np.arange(_ROUND) + _ROUND], axis=1)
    return Shape(points, np.concatenate([around, around + _ROUND, along]))


def _box(half: FloatArray) -> Shape:
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    edges = [(i, j) for i in range(8) for j in range(i) if np.abs(signs[i] - signs[j]).sum() == 2]
    return Shape(signs * half, np.array(edges))


def _axes(points: FloatArray) -> FloatArray:
    """Return the main axes (3, 3) of points (N, 3)."""
    axes: FloatArray = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    return axes


def _slabs(shape: Shape, axis: FloatArray, count: int) -> Iterator[FloatArray]:
    """Yield the corners of each of up to `count` slabs of equal thickness across an axis (3,)."""
    points, edges, _ = shape
    along = points @ axis
    cuts = np.linspace(along.min(), along.max(), count + 1)
    for low, high in pairwise(cuts):
        inside = points[(along >= low) & (along <= high)]
        if len(slab := np.concatenate([inside, *(_crossed(points, edges, along - cut) for cut in (low, high))])):
            yield slab


def _crossed(points: FloatArray, edges: NDArray[np.intp], side: FloatArray) -> FloatArray:
    """Return where edges cross the plane that corners are at these distances (N,) from."""
    a, b = side[edges[:, 0]], side[edges[:, 1]]
    crossing = a * b < 0
    share = (a / (a - b + ~crossing))[crossing, None]
    first, second = points[edges[crossing, 0]], points[edges[crossing, 1]]
    crossed: FloatArray = first + share * (second - first)
    return crossed


def _enclosing(points: FloatArray, room: float) -> _Round:
    """Return a capsule around points (N, 3) and all within `room` [m] of them, along the best of their main axes."""
    found = (_along(points, axis) for axis in _axes(points))
    return min((each._replace(radius=each.radius + room) for each in found), key=lambda each: each.volume)


def _along(points: FloatArray, axis: FloatArray) -> _Round:
    t = points @ axis
    flat = points - t[:, None] * axis
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    for step in range(1, _STEPS):  # Badoiu and Clarkson, "Smaller core-sets for balls" (2003): go towards the farthest
        middle = middle + (flat[np.linalg.norm(flat - middle, axis=1).argmax()] - middle) / (step + 1)
    aside = np.linalg.norm(flat - middle, axis=1)
    radius = float(aside.max())
    room = np.sqrt(np.maximum(radius**2 - aside**2, 0.0))  # the round end reaches so far beyond the axis' end
    low, high = float((t + room).min()), float((t - room).max())
    if low > high:
        low = high = (low + high) / 2
    return _Round(middle + low * axis, middle + high * axis, radius)


def _on_grid(point: FloatArray) -> Vector:
    x, y, z = (round(float(np.round(value / _GRID_M) * _GRID_M), _DIGITS) + 0.0 for value in point)
    return x, y, z
