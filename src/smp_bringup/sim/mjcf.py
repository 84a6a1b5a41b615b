"""The dual-arm ALOHA as an MJCF: retuned servos, three cameras, a table, and room for a task's objects.

The arms are the vx300s meshes of the gym-aloha wheel (Apache-2.0), read from its
assets folder without importing it. Servo gains and contact settings make grasps
repeatable at 500 Hz; hull rendering makes a 128x128 image cost about a millisecond
on a CPU.
"""

import importlib.util
from pathlib import Path

import mujoco
import numpy as np

from smp_bringup.errors import ConfigError, InstallError, nearest, one_line
from smp_bringup.robot import Robot

PHYSICS_PERIOD_S = 0.002
TABLE_Y = 0.5
"""The arms face each other along x; the middle of the table is (0, TABLE_Y, 0) [m]."""

_GAINS = {
    "waist": (300.0, 30.0),
    "shoulder": (500.0, 50.0),
    "elbow": (300.0, 30.0),
    "forearm_roll": (100.0, 6.0),
    "wrist_angle": (100.0, 6.0),
    "wrist_rotate": (50.0, 3.0),
    "gripper": (800.0, 16.0),
}
"""Per joint (kp [N m/rad], kv [N m s/rad]); the gripper in [N/m] and [N s/m]."""

_ARM_TYPE, _OBJECT_TYPE = 2, 1
"""Collision types. Arm links need one that nothing answers to: without any, MuJoCo builds no hull to draw."""

_ARMS = ("left", "right")
_TCP_OFFSET_M = 0.135
"""From the gripper link to the point between the finger pads."""


def aloha_spec(robot: Robot) -> mujoco.MjSpec:
    """Return the robot and its table, without objects; joints are named as in the robot file.

    Raises:
        ConfigError: the robot file names arms or joints that the simulated robot lacks.
    """
    names = [arm.name for arm in robot.arms]
    if set(names) != set(_ARMS):
        raise ConfigError(f"simulation 'aloha' has the arms {' and '.join(_ARMS)}, the robot file {', '.join(names)}")
    spec = mujoco.MjSpec.from_file(str(_assets() / "bimanual_viperx_transfer_cube.xml"))
    _strip(spec)
    _options(spec)
    for arm in robot.arms:
        _tune_arm(spec, arm.name)
    known = [joint.name for joint in spec.joints]
    for joint in robot.joints:
        if joint.name not in known:
            raise ConfigError(f"simulation 'aloha' has no joint '{one_line(joint.name)}'{nearest(joint.name, known)}")
        _add_servo(spec, joint.name, (joint.min, joint.max))
    _add_scene(spec)
    _add_cameras(spec)
    return spec


def finger_joint(name: str) -> str:
    """Return the name of the mirrored finger that follows the gripper joint `name`."""
    return f"{name}_mirror"


def tcp_site(arm: str) -> str:
    """Return the name of the site between the finger pads of `arm`: x forward, y closing direction."""
    return f"{arm}_tcp"


def _assets() -> Path:
    found = importlib.util.find_spec("gym_aloha")
    if found is None or found.origin is None:
        raise InstallError(
            "the vx300s meshes are missing: the simulator needs the assets of gym-aloha; "
            "run: pip install --no-deps gym-aloha==0.1.5"
        )
    return Path(found.origin).parent / "assets"


def _strip(spec: mujoco.MjSpec) -> None:
    """Remove what the wheel's scene brings along: its object, servos, key frame, table, lights and cameras."""
    for item in [*spec.actuators, *spec.keys, *spec.lights, *spec.cameras]:
        spec.delete(item)
    for name in ("box", "table", "midair"):
        spec.delete(spec.body(name))


def _options(spec: mujoco.MjSpec) -> None:
    spec.compiler.inertiagrouprange = [0, 5]  # the wheel's scene counts only two groups
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
    for mesh in spec.meshes:
        mesh.maxhullvert = 32


def _tune_arm(spec: mujoco.MjSpec, arm: str) -> None:
    """Rename the joints of one arm, compensate gravity, and let only its fingers touch objects."""
    prefix = f"vx300s_{arm}"
    for body in [spec.body(prefix), *spec.body(prefix).find_all(mujoco.mjtObj.mjOBJ_BODY)]:
        body.gravcomp = 1
    for geom in spec.body(prefix).find_all(mujoco.mjtObj.mjOBJ_GEOM):
        finger = geom.name.endswith("gripper_finger")
        geom.contype = _ARM_TYPE
        geom.conaffinity = _OBJECT_TYPE if finger else 0
        geom.rgba = [0.75, 0.75, 0.78, 1] if finger else [0.16, 0.17, 0.2, 1]
        if finger:
            geom.friction = [1.2, 0.02, 0.001]
            geom.solref = [0.004, 1]
            geom.solimp = [0.95, 0.99, 0.001, 0.5, 2]
            geom.condim = 6
    for joint in spec.body(prefix).find_all(mujoco.mjtObj.mjOBJ_JOINT):
        short = joint.name.removeprefix(f"{prefix}/")
        joint.frictionloss = 0
        joint.armature = 0.05
        joint.name = f"{arm}_{short}"
        if short in ("left_finger", "right_finger"):
            joint.armature = 0.02
            joint.name = f"{arm}_gripper" if short == "left_finger" else finger_joint(f"{arm}_gripper")
    tie = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT)
    tie.name1, tie.name2 = finger_joint(f"{arm}_gripper"), f"{arm}_gripper"
    tie.data[:5] = [0, -1, 0, 0, 0]
    spec.body(f"{prefix}/gripper_link").add_site(name=tcp_site(arm), pos=[_TCP_OFFSET_M, 0, 0], size=[0.004] * 3)
    spec.site(tcp_site(arm)).group = 4


def _add_servo(spec: mujoco.MjSpec, joint: str, limits: tuple[float, float]) -> None:
    kp, kv = next(gains for suffix, gains in _GAINS.items() if joint.endswith(suffix))
    servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    servo.set_to_position(kp=kp, kv=kv)
    servo.ctrllimited, servo.ctrlrange = True, limits


def _add_scene(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0, TABLE_Y, -0.02],
        size=[0.62, 0.42, 0.02],
        rgba=[0.62, 0.6, 0.56, 1],
        contype=_OBJECT_TYPE,
        conaffinity=_OBJECT_TYPE | _ARM_TYPE,
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


def _add_cameras(spec: mujoco.MjSpec) -> None:
    """Add the overview camera opposite the operator, and one on each wrist looking past the fingertips."""
    position = np.array([0, 0.02, 0.78])
    overview = spec.worldbody.add_camera(name="overview", pos=position, fovy=46)
    overview.quat = _looking_at(position, np.array([0, TABLE_Y - 0.02, 0.1]))
    for arm in ("left", "right"):
        position = np.array([-0.05, 0.0, 0.13])
        camera = spec.body(f"vx300s_{arm}/gripper_link").add_camera(name=f"wrist_{arm}", pos=position, fovy=60)
        camera.quat = _looking_at(position, np.array([_TCP_OFFSET_M + 0.03, 0, 0]))


def _looking_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the quaternion (4,) of a camera at `position` that looks at `target` (cameras look along -z, z is up)."""
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quaternion
