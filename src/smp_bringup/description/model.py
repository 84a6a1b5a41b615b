"""A robot's description as a MuJoCo model: links, joints, where they are, and the shapes with which they collide."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smp_bringup.description.meshes import KINDS, read_meshes
from smp_bringup.description.pose import Pose
from smp_bringup.documents import read_xml
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.paths import PACKAGE_URI, located
from smp_bringup.physics import mujoco
from smp_bringup.types import FloatArray

_UNSEEN = ("visual", "inertial")
"""What says nothing of where links are; meshes of it are not even looked for."""
_COMPILER = {"fusestatic": "false", "discardvisual": "false", "strippath": "false"}
"""Every link stays."""
_ANY_MASS = {"boundmass": "1", "boundinertia": "1"}
_LEAST_MASS = {"boundmass": "1e-3", "boundinertia": "1e-7", "balanceinertia": "true"}
"""MuJoCo wants a mass of each link: any, where the URDF's are left out, else as little as it takes."""
_LEAST_INERTIA = 1e-7
"""[kg m^2]."""
_FIXED = "world"
"""What MuJoCo calls its fixed frame, and some robots their root."""
_ONE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


class Description:
    """Links and joints of a whole robot, and a pose of it; whatever is not told of stands at zero."""

    def __init__(self, uri: str, shapes: bool = False) -> None:
        """Read a URDF or an MJCF.

        Args:
            uri: a path, or package://PACKAGE/PATH.
            shapes: whether the collision shapes of a URDF are read, too.

        Raises:
            ConfigError: there is no such file, or it is neither; or a mesh is missing, or of a kind that is not read.
        """
        path = located(uri)
        try:
            content, tree = read_xml(path)
            text = content.decode()
        except (ConfigError, UnicodeDecodeError) as error:
            raise ConfigError(f"description '{path}' cannot be read: {one_line(error)}") from None
        rooted = tree.tag != "robot" or any(link.get("name") == _FIXED for link in tree.findall("link"))
        shown = [link.get("name", "") for link in tree.findall("link") if link.find("visual") is not None]
        self._take(_compiled(path, tree, shapes), path, rooted)
        self.text, self.shown = text, tuple(shown)
        """What was read, and the names of the links of a URDF that are to be seen."""
        self.urdf = tree.tag == "robot"
        """Whether it can be shown to others: /robot_description is a URDF."""

    @classmethod
    def of_model(cls, model: mujoco.MjModel, name: str) -> "Description":
        """Return what a compiled model says; `name` is what it is called in errors."""
        found = cls.__new__(cls)
        found._take(model, Path(name), rooted=True)
        found.text, found.shown, found.urdf = "", (), False
        return found

    def _take(self, model: mujoco.MjModel, path: Path, rooted: bool) -> None:
        """Take a model; `rooted` is one whose fixed frame is a link."""
        self.model, self.path = model, path
        self._data = mujoco.MjData(self.model)
        self._joints = {self.model.joint(i).name: i for i in range(self.model.njnt)}
        self._mimics = followers(self.model)
        self.links = tuple(self.model.body(i).name for i in range(0 if rooted else 1, self.model.nbody))
        """Names of all links, the root first."""
        self._numbers = {name: int(self.model.body(name).id) for name in self.links}
        self.move({})

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of all joints that turn or slide by one number."""
        return tuple(name for name, i in self._joints.items() if self.model.jnt_type[i] in _ONE)

    def link(self, name: str) -> int:
        """Return the number of a link; raises ConfigError where there is none."""
        if name not in self._numbers:
            raise ConfigError(
                f"description '{self.path.name}' has no link '{one_line(name)}'{nearest(name, self.links)}"
            )
        return self._numbers[name]

    def movers(self, link: str) -> frozenset[str]:
        """Return the joints by whose positions a link moves against the root."""
        body, found = self.model.body(self.link(link)), set()
        while body.id:
            found.add(self.mover(body.name))
            body = self.model.body(body.parentid[0])
        return frozenset(found - {""})

    def mover(self, link: str) -> str:
        """Return the joint by whose position a link moves against its parent, its own or one that it mimics.

        Empty where none does, or one that is not told by one number.
        """
        body = self.model.body(link)
        if not body.jntnum[0]:
            return ""
        place = self.model.jnt_qposadr[body.jntadr[0]]
        place = next((source for own, source, _ in self._mimics if own == place), place)
        return next(name for name, i in self._joints.items() if self.model.jnt_qposadr[i] == place)

    def places(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return where these joints (n,) lie in `position`; raises ConfigError where one is not of one number."""
        known = self.joints
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"description '{self.path.name}' has no joint '{one_line(name)}' that turns or slides"
                    f"{nearest(name, known)}: joints are called there as in the robot file"
                )
        return np.array([self.model.jnt_qposadr[self._joints[name]] for name in names], dtype=np.intp)

    @property
    def position(self) -> FloatArray:
        """All joint positions [rad], [m]; see `places`."""
        return np.array(self._data.qpos)

    def move(self, told: Mapping[str, float]) -> None:
        """Bring joints to their positions [rad], [m]; names that are no joints, and NaN, are ignored."""
        for name, position in told.items():
            if name in self._joints and np.isfinite(position):
                self._data.qpos[self.model.jnt_qposadr[self._joints[name]]] = position
        self.place(self._data.qpos)

    def place(self, position: FloatArray) -> None:
        """Bring all joints to `position`, and those that mimic another to where that brings them."""
        self._data.qpos[:] = position
        zero = self.model.qpos0
        for place, source, polynomial in self._mimics:
            travel = self._data.qpos[source] - zero[source]
            self._data.qpos[place] = zero[place] + np.polyval(polynomial[::-1], travel)
        mujoco.mj_kinematics(self.model, self._data)

    def pose(self, link: int) -> Pose:
        """Return the pose of a link, from the root."""
        body = self._data.body(link)
        return Pose(body.xpos.copy(), body.xmat.reshape(3, 3).copy())


def _compiled(path: Path, tree: ET.Element, shapes: bool) -> mujoco.MjModel:
    """Return the model; raises ConfigError where MuJoCo refuses it."""
    if tree.tag not in ("robot", "mujoco"):
        raise ConfigError(
            f"description '{path}' begins with <{one_line(tree.tag)}>, expected <robot> of a URDF, or an MJCF"
        )
    if any("xacro" in element.tag for element in tree.iter()):
        raise ConfigError(f"description '{path}' is a xacro: run xacro {path.name} > robot.urdf, and name that")
    try:
        if tree.tag == "mujoco":
            return mujoco.MjModel.from_xml_path(str(path))
        spec = urdf_spec(path, tree, _UNSEEN + ("collision",) * (not shapes))
        for mesh in spec.meshes:  # what it weighs is not asked; a thin one has no volume that MuJoCo takes
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        return spec.compile()
    except ValueError as error:
        raise ConfigError(f"description '{path}': {one_line(error)}") from None


def urdf_spec(path: Path, tree: ET.Element, without: Sequence[str]) -> mujoco.MjSpec:
    """Return a URDF, read from `path`, as MuJoCo has it; what its links have of `without` is left out.

    Raises:
        ConfigError: a mesh is missing, of a kind that is not read, or none of its kind.
        ValueError: MuJoCo refuses it.
    """
    spec = mujoco.MjSpec.from_string(_readable(path, tree, without))
    try:
        read_meshes(spec)
    except ConfigError as error:
        raise ConfigError(f"description '{path}': {error}") from None
    return spec


def _readable(path: Path, tree: ET.Element, without: Sequence[str]) -> str:
    """Return a URDF as MuJoCo can read it but for its meshes; see `urdf_spec`."""
    for element in [child for child in tree if child.tag not in ("link", "joint")]:
        tree.remove(element)
    for link in tree.findall("link"):
        for shape in [child for child in link if child.tag in without]:
            link.remove(shape)
    names = {joint.get("name") for joint in tree.findall("joint")}
    for joint in tree.findall("joint"):
        for mimic in joint.findall("mimic"):
            if mimic.get("joint") not in names - {joint.get("name")}:
                joint.remove(mimic)  # of nobody, or of itself: then it stands still, as far as anybody knows
    for mesh in tree.iter("mesh"):
        mesh.set("filename", str(_mesh(path, mesh.get("filename", ""))))
    for inertia in tree.iterfind("link/inertial/inertia"):
        _make_possible(inertia)
    masses = _ANY_MASS if "inertial" in without else _LEAST_MASS
    ET.SubElement(ET.SubElement(tree, "mujoco"), "compiler", _COMPILER | masses)
    return ET.tostring(tree, encoding="unicode")


def _make_possible(inertia: ET.Element) -> None:
    """Make an inertia that no body can have, as drawing programs leave some, that of a ball: MuJoCo refuses it."""
    try:
        xx, xy, xz, yy, yz, zz = (float(inertia.get(key, "0")) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
    except ValueError:
        return  # MuJoCo says what it is
    whole = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if np.isfinite(whole).all() and np.linalg.eigvalsh(whole).min() <= 0:
        round_one = f"{max(float(np.abs(np.diag(whole)).max()), _LEAST_INERTIA):g}"
        for key in inertia.keys():  # noqa: SIM118 - of an element, not of a dict
            inertia.set(key, round_one if key in ("ixx", "iyy", "izz") else "0")


def mesh_path(description: Path, name: str) -> Path:
    """Return where the file of a mesh is, or would be; raises ConfigError where its package is not found.

    A package that is not installed is looked for in the folders above the description, where its own repository has it.
    """
    if name.startswith(PACKAGE_URI):
        inside = Path(name.removeprefix(PACKAGE_URI).lstrip("/"))  # package:///folder/... is seen, too
        beside = [above / inside for above in description.resolve().parents if (above / inside).is_file()]
        return beside[0] if beside else located(name)
    return description.parent / name.removeprefix("file://")


def _mesh(description: Path, name: str) -> Path:
    """Return the file of a mesh; raises ConfigError where there is none that is read."""
    found = mesh_path(description, name)
    if not found.is_file():
        raise ConfigError(f"description '{description}': its mesh '{one_line(name)}' does not exist")
    if found.suffix.lower() not in KINDS:
        raise ConfigError(
            f"description '{description}': mesh '{one_line(found.name)}' is none of {', '.join(KINDS)}: convert it"
        )
    return found


def followers(model: mujoco.MjModel) -> list[tuple[int, int, FloatArray]]:
    """Return the joints that follow another: their place, that of the other, and the polynomial between the two."""
    found = []
    for i in range(model.neq):
        if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and model.eq_obj2id[i] >= 0:
            place, source = (int(model.jnt_qposadr[each[i]]) for each in (model.eq_obj1id, model.eq_obj2id))
            found.append((place, source, model.eq_data[i, :5].copy()))
    return found
