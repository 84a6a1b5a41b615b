"""What stands around a simulated robot: table, floor, light, cameras, and how the physics is computed.

Contact settings make grasps repeatable at 500 Hz; hull rendering makes a 128x128 image cost about a millisecond on a
CPU.
"""

from collections.abc import Mapping

import mujoco
import numpy as np

from smp_bringup.simulation import SimCamera

PHYSICS_PERIOD_S = 0.002
TABLE_Y = 0.5
"""The middle of the table is (0, TABLE_Y, 0) [m]."""
ARM_TYPE, OBJECT_TYPE, DRAWN_TYPE = 2, 1, 4
"""Collision types. Links need one that nothing answers to: without any, MuJoCo builds no hull to draw."""


def set_options(spec: mujoco.MjSpec) -> None:
    """Set how the physics is computed, and how it is drawn."""
    spec.compiler.inertiagrouprange = [0, 5]  # models differ in which groups they count
    spec.nuserdata = 4  # what predicates remember of an episode
    spec.option.timestep = PHYSICS_PERIOD_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 5
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.offsamples = 0
    spec.visual.headlight.ambient = [0.35] * 3
    spec.visual.headlight.diffuse = [0.25] * 3
    spec.visual.headlight.specular = [0.0] * 3
    spec.visual.map.znear = 0.01


def add_scene(spec: mujoco.MjSpec) -> None:
    """Add table, floor, sky and light."""
    world = spec.worldbody
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0, TABLE_Y, -0.02],
        size=[0.62, 0.42, 0.02],
        rgba=[0.62, 0.6, 0.56, 1],
        contype=OBJECT_TYPE,
        conaffinity=OBJECT_TYPE | ARM_TYPE,
        friction=[0.8, 0.01, 0.001],
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0, 0, -0.75],
        size=[4, 4, 0.1],
        rgba=[0.42, 0.46, 0.5, 1],
        contype=0,
        conaffinity=0,
    )
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.55, 0.65, 0.75],
        rgb2=[0.35, 0.4, 0.45],
        width=64,
        height=64,
    )
    for name, direction in (("key", [0.3, 0.4, -1.0]), ("fill", [-0.6, -0.3, -0.8])):
        light = world.add_light(name=name, pos=[0, TABLE_Y, 1.5], dir=direction, castshadow=False)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.diffuse, light.specular = [0.4] * 3, [0.05] * 3


def add_cameras(spec: mujoco.MjSpec, cameras: Mapping[str, SimCamera]) -> None:
    """Add the cameras; those of `carried_by` move with a link."""
    for name, said in cameras.items():
        body = spec.body(said.carried_by) if said.carried_by else spec.worldbody
        camera = body.add_camera(name=name, pos=said.at, fovy=said.fovy)
        camera.quat = _looking_at(np.array(said.at), np.array(said.look))


def _looking_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the quaternion (4,) of a camera at `position` that looks at `target` (cameras look along -z, z is up)."""
    back = (position - target) / np.linalg.norm(position - target)
    up = [0.0, 0.0, 1.0] if abs(back[2]) < 0.99 else [1.0, 0.0, 0.0]
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quaternion
