"""What a task is: objects, a random layout, a success predicate, and a script that solves it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import mujoco
import numpy as np

from smp_bringup.errors import ConfigError
from smp_bringup.simulation import SIDES
from smp_bringup.tasks.script import Script
from smp_bringup.tasks.variation import DEFAULT, Range, load_task, load_variation
from smp_bringup.types import FloatArray


class AbstractTask(ABC):
    """One two-arm task; it owns names of objects, never the state of an episode."""

    name: str
    objects: tuple[str, ...]
    """Bodies whose poses are the state of the task, at most three."""
    leads: str = ""
    """Side of the hand that must lead, the first of `Script.ordered`; empty where either may."""

    def __init__(self, variation: str = DEFAULT) -> None:
        """Read the task's file; `variation` names one of config/variations."""
        self.config = load_task(self.name)
        self.variation = load_variation(variation)
        self.variation_name = variation
        self.ranges = self.config.scaled(self.variation.ranges or variation, self.variation)

    @abstractmethod
    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the bodies of the task to the scene."""

    @abstractmethod
    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw a layout: poses into `data`, colours into `model`."""

    @abstractmethod
    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the predicate holds at this instant; called once every control period.

        What it must remember of the episode stands in `data.userdata`, which a reset clears.
        """

    @abstractmethod
    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Write the motion that solves the layout in `data` into `script`."""

    def draw(self, rng: np.random.Generator, *names: str) -> FloatArray:
        """Return one uniform sample of each named range."""
        if missing := [name for name in names if name not in self.ranges]:
            raise ConfigError(f"task '{self.name}' has no range {', '.join(missing)} at '{self.variation_name}'")
        return np.array([rng.uniform(*self.ranges[name]) for name in names])

    def led_by(self, hands: Sequence[bool]) -> bool:
        """Return whether the hand that must lead is among `hands` (left, right); true where either may."""
        return not self.leads or hands[SIDES.index(self.leads)]

    def limit(self, name: str) -> float:
        """Return an upper bound of the predicate at this variation."""
        if name not in self.config.limits:
            raise ConfigError(f"task '{self.name}': limits has no {name}")
        return self.config.limits[name] * self.variation.tolerance


def add_free_box(
    mjcf: mujoco.MjSpec,
    name: str,
    half: tuple[float, float, float],
    rgba: list[float],
    mass: float = 0.05,
    friction: float = 1.0,
) -> None:
    """Add a box (half sizes [m], mass [kg]) that moves freely and can be grasped (fingers bring their own friction)."""
    body = mjcf.worldbody.add_body(name=name, pos=[0, 0.5, half[2]])
    body.add_freejoint(name=name)
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half,
        rgba=rgba,
        mass=mass,
        condim=6,
        friction=[friction, 0.02, 0.001],
        solref=[0.004, 1],
        solimp=[0.95, 0.99, 0.001, 0.5, 2],
    )


def set_free_pose(model: mujoco.MjModel, data: mujoco.MjData, name: str, position: FloatArray, yaw: float) -> None:
    """Put a free body at `position` (3,) [m], turned by `yaw` [rad] about the vertical."""
    start = model.joint(name).qposadr[0]
    data.qpos[start : start + 7] = [*position, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]


def resize(model: mujoco.MjModel, body: str, factor: float) -> None:
    """Make a body of the compiled scene larger by `factor`, its density unchanged."""
    b = model.body(body).id
    first, count = model.body_geomadr[b], model.body_geomnum[b]
    geoms = slice(first, first + count)
    for array in (model.geom_size, model.geom_pos, model.geom_rbound, model.geom_aabb):
        array[geoms] *= factor
    boxes = slice(model.body_bvhadr[b], model.body_bvhadr[b] + model.body_bvhnum[b])
    model.bvh_aabb[boxes] *= factor
    model.body_ipos[b] *= factor
    model.body_mass[b] *= factor**3
    model.body_inertia[b] *= factor**5


def yaw_of(data: mujoco.MjData, body: str) -> float:
    """Return the turn of a body about the vertical [rad]."""
    matrix = data.body(body).xmat
    return float(np.arctan2(matrix[3], matrix[0]))


def tilt_of(data: mujoco.MjData, body: str) -> float:
    """Return the angle [rad] between a body's z axis and the vertical."""
    return float(np.arccos(np.clip(data.body(body).xmat[8], -1, 1)))


def touching(model: mujoco.MjModel, data: mujoco.MjData, side: str, *geoms: str) -> bool:
    """Return whether a finger of the hand `side` touches one of the geoms."""
    finger = f"{side}_finger"
    for pair in data.contact.geom.tolist():
        first, second = (model.geom(geom).name for geom in pair)
        if (first.startswith(finger) and second in geoms) or (second.startswith(finger) and first in geoms):
            return True
    return False


def vivid(rng: np.random.Generator, hue: Range) -> FloatArray:
    """Return a saturated colour (4,) with a hue drawn from a range in turns [0, 1)."""
    h, s, v = rng.uniform(*hue) % 1.0, rng.uniform(0.75, 1.0), rng.uniform(0.7, 0.95)
    k = (np.array([5.0, 3.0, 1.0]) + h * 6) % 6
    rgb = v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)
    return np.array([*rgb, 1.0])
