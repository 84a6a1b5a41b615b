"""The URDF of several robots of one kind that stand beside each other, out of the URDF of one."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from copy import deepcopy
from math import isfinite, pi
from pathlib import Path

from smp_bringup.description.model import mesh_path
from smp_bringup.documents import parse_xml
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.paths import PACKAGE_URI, located

Place = tuple[float, float, float, float, float, float]
"""x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""

_ROOT = "world"
_FARTHEST_M = 10.0
"""No arm stands farther from the origin of its robot [m]."""
_NAMED = (("parent", "link"), ("child", "link"), ("mimic", "joint"))
"""What a joint says of others, and where."""


def place_of(copy: str, text: str) -> Place:
    """Return where a copy stands, said as X,Y,Z or X,Y,Z,ROLL,PITCH,YAW.

    Raises:
        ConfigError: it is something else, or looks like millimetres or degrees.
    """
    said = f"--at {one_line(copy)}={one_line(text)}"
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (3, 6) or not all(map(isfinite, numbers)):
        raise ConfigError(f"{said}: expected X,Y,Z or X,Y,Z,ROLL,PITCH,YAW in m and rad, e.g. {one_line(copy)}=0,0.3,0")
    x, y, z, roll, pitch, yaw = (*numbers, *(0.0,) * (6 - len(numbers)))
    if max(abs(x), abs(y), abs(z)) > _FARTHEST_M:
        raise ConfigError(
            f"{said}: at most {_FARTHEST_M:g} m away; this looks like millimetres: divide X, Y, Z by 1000"
        )
    if max(abs(roll), abs(pitch), abs(yaw)) > 2 * pi:
        raise ConfigError(f"{said}: at most one turn; this looks like degrees: multiply ROLL,PITCH,YAW by pi / 180")
    return x, y, z, roll, pitch, yaw


def composed(text: str | bytes, path: Path, name: str, places: Mapping[str, Place]) -> str:
    """Return the URDF of copies of a robot, the links and joints of each with its name and "_" in front.

    Args:
        text: URDF of one of them.
        path: of its file, from which it names its meshes.
        name: of the whole.
        places: where each copy stands.

    Raises:
        ConfigError: it is no tree of links.
    """
    one = parse_xml(text, one_line(path.name))
    whole = ET.Element("robot", name=name)
    whole.append(ET.Comment(" Made by smp robot new out of the URDF of one "))
    whole.extend(one.findall("material"))
    ET.SubElement(whole, "link", name=_ROOT)
    for mesh in one.iter("mesh"):
        mesh.set("filename", _found_from_elsewhere(path, mesh.get("filename", "")))
    root = _root(one, path)
    for copy, place in places.items():
        stand = ET.SubElement(whole, "joint", name=f"{copy}_stand", type="fixed")
        ET.SubElement(stand, "parent", link=_ROOT)
        ET.SubElement(stand, "child", link=f"{copy}_{root}")
        ET.SubElement(stand, "origin", xyz=_three(place[:3]), rpy=_three(place[3:]))
        whole.extend(_renamed(part, f"{copy}_") for part in one if part.tag in ("link", "joint"))
    ET.indent(whole)
    return ET.tostring(whole, encoding="unicode") + "\n"


def _root(one: ET.Element, path: Path) -> str:
    """Return the link that hangs on no joint."""
    hung = {child.get("link", "") for child in one.findall("joint/child")}
    roots = [name for link in one.findall("link") if (name := link.get("name", "")) not in hung]
    if len(roots) != 1:
        raise ConfigError(f"{one_line(path.name)}: a robot has one root link, this has {one_line(', '.join(roots))}")
    return roots[0]


def _renamed(part: ET.Element, front: str) -> ET.Element:
    """Return a link or joint of a copy."""
    own = deepcopy(part)
    own.set("name", front + own.get("name", ""))
    for tag, key in _NAMED:
        for said in own.findall(tag):
            said.set(key, front + said.get(key, ""))
    return own


def _found_from_elsewhere(path: Path, name: str) -> str:
    """Return the name of a mesh by which it is found wherever the description lies; as it is where nobody finds it."""
    try:
        if name.startswith(PACKAGE_URI) and located(name):
            return name
    except ConfigError:
        pass  # no package that is sourced: it may lie beside the description
    try:
        found = mesh_path(path, name)
    except ConfigError:
        return name
    return f"file://{found.resolve()}" if found.is_file() else name


def _three(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.9g}" for value in values)
