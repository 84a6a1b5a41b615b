"""What varies around a task: light, the overview camera, the table, and coloured things that no task needs."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import vivid
from smp_bringup.tasks.variation import Variation
from smp_bringup.types import FloatArray

_STRIPS = ((0.18, 0.24), (0.8, 0.88))
"""Distractors stand in front of or behind the workspace, between these y [m]: the hands never come there."""
_REACH_X = 0.35
_HALF = (0.012, 0.028)
_TABLE = "table"
_TILT = 0.25
"""Largest turn of a light's direction, per axis."""
_DRAWN = (
    "light_diffuse",
    "light_dir",
    "cam_pos",
    "cam_quat",
    "geom_size",
    "geom_pos",
    "geom_rbound",
    "geom_aabb",
    "geom_rgba",
    "body_ipos",
    "body_mass",
    "body_inertia",
    "bvh_aabb",
)
"""Fields of the model that a layout may change."""


class Scenery:
    """Draws the surroundings of an episode into a compiled model, and undoes what the last episode changed."""

    def __init__(self, variation: Variation, camera: str) -> None:
        """`camera` is the one that is not mounted on an arm."""
        self._variation, self._camera = variation, camera
        self._compiled: dict[str, FloatArray] = {}

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add as many distractors as there can be; they touch nothing."""
        for i in range(self._variation.distractors):
            body = mjcf.worldbody.add_body(name=f"distractor{i}", mocap=True)
            body.add_geom(
                name=f"distractor{i}", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, 0.02, 0.02], contype=0, conaffinity=0
            )

    def restore(self, model: mujoco.MjModel) -> None:
        """Give the model the values it was compiled with."""
        if not self._compiled:
            self._compiled = {name: getattr(model, name).copy() for name in _DRAWN}
        for name, value in self._compiled.items():
            getattr(model, name)[:] = value

    def draw(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw light, camera, distractors and the table's colour."""
        model.light_diffuse[:] *= rng.uniform(*self._variation.light)
        tilted = model.light_dir + rng.uniform(-_TILT, _TILT, model.light_dir.shape)
        model.light_dir[:] = tilted / np.linalg.norm(tilted, axis=1, keepdims=True)
        camera = model.camera(self._camera).id
        model.cam_pos[camera] += rng.normal(size=3) * self._variation.camera
        mujoco.mju_quatIntegrate(model.cam_quat[camera], rng.normal(size=3) * self._variation.camera, 1.0)
        count = rng.integers(self._variation.distractors + 1)
        for i in range(self._variation.distractors):
            half = rng.uniform(*_HALF, size=3)
            spot = [rng.uniform(-_REACH_X, _REACH_X), rng.uniform(*_STRIPS[rng.integers(2)]), half[2]]
            model.geom(f"distractor{i}").size = half
            model.geom(f"distractor{i}").rgba = vivid(rng, (0.0, 1.0))
            data.mocap_pos[model.body(f"distractor{i}").mocapid[0]] = spot if i < count else [0, 0, -2]
        if share := self._variation.background:
            table = model.geom(_TABLE)
            table.rgba = (1 - share) * table.rgba + share * np.array([*rng.uniform(0, 1, 3), 1.0])
