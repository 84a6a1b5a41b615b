"""The joints of a URDF as values: what moves what, within which limits. Shapes and masses are not looked at."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from smp_bringup.documents import parse_xml, shown
from smp_bringup.errors import ConfigError

TURNING = ("revolute", "continuous")
ONE_NUMBER = (*TURNING, "prismatic")
"""Joints whose position is one number."""
_KINDS = (*ONE_NUMBER, "fixed", "floating", "planar")
_MOST_JOINTS = 500


@dataclass(frozen=True)
class UrdfJoint:
    """One joint of a URDF."""

    name: str
    kind: str
    """revolute, continuous, prismatic, fixed, floating or planar."""
    parent: str
    """Link that it hangs on."""
    child: str
    """Link that it moves."""
    lower: float | None = None
    """[rad], [m]; the tighter of `limit` and `safety_controller`; None where there is none."""
    upper: float | None = None
    velocity: float | None = None
    """[rad/s], [m/s]; None where none is given, or none above zero."""
    mimics: str = ""
    """The joint that it follows."""

    @property
    def moves(self) -> bool:
        """Whether it is told by one number of its own."""
        return self.kind in ONE_NUMBER and not self.mimics


@dataclass(frozen=True)
class Urdf:
    """A robot as its URDF has it."""

    name: str
    joints: tuple[UrdfJoint, ...]
    actuated: frozenset[str]
    """Joints that a transmission or a ros2_control tag names; empty where there is none."""

    @cached_property
    def named(self) -> Mapping[str, UrdfJoint]:
        """All joints by name."""
        return {joint.name: joint for joint in self.joints}

    @cached_property
    def movers(self) -> Mapping[str, UrdfJoint]:
        """The joint by which each link hangs, by the link."""
        return {joint.child: joint for joint in self.joints}

    def before(self, joint: UrdfJoint) -> UrdfJoint | None:
        """Return the nearest joint towards the root that moves by a number of its own."""
        above = self.movers.get(joint.parent)
        while above is not None and not above.moves:
            above = self.movers.get(above.parent)
        return above


def parse_urdf(text: str | bytes, where: str) -> Urdf:
    """Return the robot of a URDF; `where` names its origin in errors.

    Raises:
        ConfigError: it is no URDF, or its joints make no tree, or a limit is no number.
    """
    root = parse_xml(text, where)
    if root.tag != "robot":
        raise ConfigError(f"{where}: begins with <{shown(root.tag)}>, expected <robot> of a URDF")
    if any("xacro" in element.tag for element in root.iter()):
        raise ConfigError(f"{where}: this is a xacro: run xacro FILE > robot.urdf, and name that")
    try:
        joints = tuple(_joint(element) for element in root.findall("joint"))
        _check_tree(joints, {link.get("name", "") for link in root.findall("link")})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return Urdf(root.get("name", ""), joints, _actuated(root))


def _joint(element: ET.Element) -> UrdfJoint:
    name, kind = element.get("name", ""), element.get("type", "")
    if kind not in _KINDS:
        raise ConfigError(f"joint '{shown(name)}': type '{shown(kind)}', expected one of {', '.join(_KINDS)}")
    ends = [_attribute(element.find(tag), "link") for tag in ("parent", "child")]
    limit, soft = element.find("limit"), element.find("safety_controller")
    velocity = _number(name, limit, "velocity")
    lower, upper = (_number(name, limit, key) for key in ("lower", "upper"))
    if kind in ("revolute", "prismatic") and limit is not None:  # what is left out is zero, says the format
        lower, upper = lower or 0.0, upper or 0.0
    if kind == "continuous":
        lower = upper = None
    inner = [_number(name, soft, f"soft_{key}_limit") for key in ("lower", "upper")]
    if lower is not None and upper is not None and None not in inner and inner != [0.0, 0.0]:
        lower, upper = max(lower, inner[0] or 0.0), min(upper, inner[1] or 0.0)
    mimics = _attribute(element.find("mimic"), "joint")
    speed = velocity if velocity is not None and velocity > 0 else None
    return UrdfJoint(name, kind, ends[0], ends[1], lower, upper, speed, mimics)


def _attribute(element: ET.Element | None, key: str) -> str:
    return "" if element is None else element.get(key, "")


def _number(joint: str, element: ET.Element | None, key: str) -> float | None:
    """Return a number of a joint; None where it is not there."""
    text = None if element is None else element.get(key)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"joint '{shown(joint)}': {key} '{shown(text)}' is no number")
    return value


def _check_tree(joints: tuple[UrdfJoint, ...], links: set[str]) -> None:
    """Raise ConfigError unless the joints make a tree of these links."""
    if len(joints) > _MOST_JOINTS:
        raise ConfigError(f"{len(joints)} joints, at most {_MOST_JOINTS} are read")
    names, children = [joint.name for joint in joints], [joint.child for joint in joints]
    if len(set(names)) < len(names) or "" in names:
        raise ConfigError("a joint has no name, or two have the same")
    above = dict(zip(children, joints, strict=True))
    if len(above) < len(children):
        raise ConfigError("a link hangs on two joints: a URDF is a tree")
    for joint in joints:
        if not {joint.parent, joint.child} <= links:
            raise ConfigError(f"joint '{shown(joint.name)}' joins links that are not there")
    done: set[str] = set()  # links from which the way to the root is known to end
    for joint in joints:
        way, link = set[str](), joint.child
        while link in above and link not in done:
            if link in way:
                raise ConfigError(f"link '{shown(link)}' hangs on itself: a URDF is a tree")
            way.add(link)
            link = above[link].parent
        done |= way
    if len(roots := sorted(links - set(children))) > 1:
        raise ConfigError(f"a URDF is a tree with one root link, this has {shown(', '.join(roots))}: join them")


def _actuated(root: ET.Element) -> frozenset[str]:
    """Return the joints that something drives, as far as the URDF says."""
    told = [joint for tag in root.findall("ros2_control") for joint in tag.iter("joint")]
    told = [joint for joint in told if joint.find("command_interface") is not None]
    named = [joint for tag in root.findall("transmission") for joint in tag.iter("joint")]
    return frozenset(joint.get("name", "") for joint in told + named)
