"""Corners of a Collada document (.dae): those of all meshes of its scene, where its nodes put them, in metres.

What a scene stands upright by (up_axis) is not followed, as RViz and Coal do not: a URDF says how a mesh is turned.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

import numpy as np

from smp_bringup.documents import parse_xml, shown
from smp_bringup.errors import ConfigError
from smp_bringup.types import FloatArray

_MOST_BYTES = 100_000_000
_FACES = ("triangles", "polylist", "polygons", "tristrips", "trifans")
_MOST_INSTANCES, _MOST_LEVELS = 10_000, 100
"""Nodes that name others again and again grow without end."""


def collada_corners(content: bytes, where: str) -> FloatArray:
    """Return corners (N, 3) [m]; `where` names the file in errors.

    Raises:
        ConfigError: it is no Collada document, or names what is not in it.
    """
    root = parse_xml(content, where, _MOST_BYTES)
    if _tag(root) != "COLLADA":
        raise ConfigError(f"{where}: begins with <{shown(root.tag)}>, expected <COLLADA>")
    try:
        found = list(_Scene(root).corners())
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{where}: not a Collada document that can be read: {shown(error)}") from None
    return np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 3))


class _Scene:
    """The nodes of a document, and the geometries that they show."""

    def __init__(self, root: ET.Element) -> None:
        self._root = root
        self._by_id = {name: element for element in root.iter() if (name := element.get("id"))}
        self._left = _MOST_INSTANCES

    def corners(self) -> Iterator[FloatArray]:
        """Yield the corners (N, 3) [m] of each mesh that is shown."""
        unit = next((each for each in self._root.iter() if _tag(each) == "unit"), None)
        metre = float(unit.get("meter", 1.0)) if unit is not None else 1.0
        scale = np.diag([metre, metre, metre, 1.0])
        scenes = [each for each in self._root.iter() if _tag(each) == "instance_visual_scene"]
        for scene in scenes:
            for node in _children(self._named(scene), "node"):
                yield from self._shown(node, scale)

    def _shown(self, node: ET.Element, above: FloatArray, level: int = 1) -> Iterator[FloatArray]:
        self._left -= 1
        if self._left < 0 or level > _MOST_LEVELS:
            raise ValueError(f"more than {_MOST_INSTANCES} nodes, or {_MOST_LEVELS} one in the other")
        here = above
        for child in node:
            here = here @ _transform(child)
        for child in node:
            if _tag(child) == "node":
                yield from self._shown(child, here, level + 1)
            elif _tag(child) == "instance_node":
                yield from self._shown(self._named(child), here, level + 1)
            elif _tag(child) == "instance_geometry":
                for points in self._points(self._named(child)):
                    yield points @ here[:3, :3].T + here[:3, 3]

    def _points(self, geometry: ET.Element) -> Iterator[FloatArray]:
        """Yield the positions (N, 3) that the faces of a geometry have: there may be others that none has."""
        for mesh in _children(geometry, "mesh"):
            for faces in (child for child in mesh if _tag(child) in _FACES):
                inputs = list(_children(faces, "input"))
                told = _first(inputs, "VERTEX")
                position = _first(_children(self._named(told, "source"), "input"), "POSITION")
                points = _floats(self._named(position, "source")[0]).reshape(-1, 3)
                stride, offset = 1 + max(int(each.get("offset", 0)) for each in inputs), int(told.get("offset", 0))
                for numbers in (each for each in faces.iter() if _tag(each) == "p"):
                    yield points[np.unique(_floats(numbers).astype(np.intp)[offset::stride])]

    def _named(self, element: ET.Element, key: str = "url") -> ET.Element:
        """Return what an element names in this document."""
        name = element.get(key, "")
        if not name.startswith("#") or name[1:] not in self._by_id:
            raise ValueError(f"<{_tag(element)}> names '{name}', which is not in it")
        return self._by_id[name[1:]]


def _transform(element: ET.Element) -> FloatArray:
    """Return what an element of a node does to what is in it, (4, 4)."""
    kind, whole = _tag(element), np.eye(4)
    if kind == "matrix":
        return _floats(element).reshape(4, 4)
    if kind == "translate":
        whole[:3, 3] = _floats(element)
    elif kind == "scale":
        whole[:3, :3] = np.diag(_floats(element))
    elif kind == "rotate":
        x, y, z, degrees = _floats(element)
        axis = np.array([x, y, z]) / max(float(np.linalg.norm([x, y, z])), 1e-12)
        cross, angle = np.cross(np.eye(3), axis), np.deg2rad(degrees)
        whole[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return whole


def _floats(element: ET.Element) -> FloatArray:
    return np.array((element.text or "").split(), dtype=np.float64)


def _children(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    return (child for child in element if _tag(child) == tag)


def _first(inputs: Iterable[ET.Element], semantic: str) -> ET.Element:
    """Return the input that means this; raises ValueError where there is none."""
    for each in inputs:
        if each.get("semantic") == semantic:
            return each
    raise ValueError(f"nothing says {semantic}")


def _tag(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
