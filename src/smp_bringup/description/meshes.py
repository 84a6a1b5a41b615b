"""Corners of the meshes that MuJoCo does not read: Collada, STL as text or of very many faces, and plates.

A shape counts as its convex hull, so corners are all that is needed; faces, colours and textures are not looked at.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smp_bringup.description.collada import collada_corners
from smp_bringup.documents import read_bytes
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.physics import mujoco
from smp_bringup.types import FloatArray

KINDS = (".stl", ".obj", ".msh", ".dae")
"""Files of meshes that are read."""
_MOST_BYTES = 100_000_000
_MOST_FACES = 200_000
"""Of an STL that MuJoCo reads."""
_HEAD, _FACE = 84, 50
"""Bytes of a binary STL before its faces, and of each face."""
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)
_THIN_M = 5e-4
"""So far on both sides a plate without thickness is thickened: MuJoCo takes no hull of it."""
_FLAT = 1e-4
"""A mesh is a plate where it is so much thinner than long."""


def read_meshes(spec: mujoco.MjSpec) -> None:
    """Give a model the corners of the meshes that MuJoCo does not read itself.

    Raises:
        ConfigError: a file is none of its kind, or has no corners.
    """
    for mesh in spec.meshes:
        path = Path(mesh.file)
        if (corners := _corners(path)) is None:
            continue
        if not len(corners) or not np.isfinite(corners).all():
            raise ConfigError(
                f"mesh '{one_line(path.name)}' has no corners, or some that are no numbers: export it again"
            )
        mesh.file, mesh.uservert = "", _thickened(corners, np.abs(mesh.scale)).astype(np.float32).ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # a thin one has no volume


def _corners(path: Path) -> FloatArray | None:
    """Return the corners (N, 3) of a mesh, in its own units; None where MuJoCo reads it itself."""
    kind = path.suffix.lower()
    if kind == ".dae":
        return collada_corners(read_bytes(path, _MOST_BYTES), one_line(path.name))
    if kind != ".stl":
        return None
    content = read_bytes(path, _MOST_BYTES)
    faces = int.from_bytes(content[_HEAD - 4 : _HEAD], "little")
    if len(content) != _HEAD + faces * _FACE:
        return np.unique(np.array(list(_told(content, path))).reshape(-1, 3), axis=0)
    floats = np.frombuffer(content, np.uint8, offset=_HEAD).reshape(-1, _FACE)[:, 12:48].copy().view("<f4")
    corners = np.unique(floats.reshape(-1, 3), axis=0).astype(np.float64)
    return corners if faces > _MOST_FACES or _is_flat(corners) else None


def _told(content: bytes, path: Path) -> Iterator[list[float]]:
    """Yield the corners of an STL that is a text."""
    for words in _VERTEX.findall(content):
        try:
            yield [float(word) for word in words]
        except ValueError:
            raise ConfigError(f"mesh '{one_line(path.name)}' is no STL, neither binary nor text") from None


def _is_flat(corners: FloatArray) -> bool:
    if len(corners) < 3 or not np.isfinite(corners).all():
        return False
    spans = np.linalg.svd(corners - corners.mean(axis=0), compute_uv=False)
    return bool(spans[2] <= _FLAT * spans[0])


def _thickened(corners: FloatArray, scale: FloatArray) -> FloatArray:
    """Return corners (N, 3) of something that has a volume, the mesh's where it has one."""
    if not _is_flat(corners):
        return corners
    normal = np.linalg.svd(corners - corners.mean(axis=0), full_matrices=False)[2][2]
    step = _THIN_M * normal / np.linalg.norm(normal * scale)
    return np.concatenate([corners - step, corners + step])
