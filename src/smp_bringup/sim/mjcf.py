"""A simulated robot as an MJCF: the models that its simulation names, servos, hands that grasp, cameras and a table.

The models come from packages and are read from their folders without importing them (docs/your_robot.md).
"""

import warnings
from collections.abc import Iterator

import mujoco
import numpy as np

from smp_bringup.description.model import urdf_spec
from smp_bringup.documents import read_xml
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.joints import Joint
from smp_bringup.model_joints import ModelJoints
from smp_bringup.paths import located
from smp_bringup.robot import Robot
from smp_bringup.sim.scene import ARM_TYPE, DRAWN_TYPE, OBJECT_TYPE, add_cameras, add_scene, set_options
from smp_bringup.simulation import Part, SimHand, Simulation, model_name, model_range
from smp_bringup.types import FloatArray

_ARMATURE, _FINGER_ARMATURE = 0.05, 0.02
"""Inertia of a drive [kg m^2], of a finger's [kg]: keeps the physics calm at 500 Hz."""
_BANDWIDTH = 40.0
"""Natural frequency [rad/s] of a servo whose simulation gives no gains: critically damped, 50 ms behind."""
_SLACK = 1e-3
"""Ranges of joints that follow each other may differ by so much [rad], [m]."""
_GRASP = 1500.0
"""Stiffness [N/m] of a hand's opening, if its simulation gives no gains."""


def robot_spec(robot: Robot, simulation: Simulation) -> mujoco.MjSpec:
    """Return the robot and its table, without objects; each servo is called as the joint of the robot file.

    Raises:
        ConfigError: a model is missing or cannot be read, or lacks what the simulation names.
    """
    mujoco.set_mju_user_warning(lambda text: None)  # else a file in the working folder, and lines between ours
    spec = mujoco.MjSpec()
    set_options(spec)
    for part in simulation.parts:
        _attach(spec, part)
    names = {joint.name: model_name(simulation, joint.name) for joint in robot.joints}
    for name in (*names.values(), *(tie.joint for tie in simulation.ties)):
        _need(spec.joint(name), "joint", name, [joint.name for joint in spec.joints])
    for side, hand in simulation.hands.items():
        _make_hand(spec, side, hand)
    _tie(spec, simulation)
    _fix_what_is_loose(spec, set(names.values()))
    _free_followers(spec)
    for joint in robot.joints:
        drive = spec.joint(names[joint.name])
        drive.frictionloss, drive.armature = 0, _ARMATURE
        if joint.gripper:  # as heavy as one that slides, however far it turns
            drive.armature = _FINGER_ARMATURE / _pace(joint, simulation) ** 2
    _add_servos(spec, robot, simulation)
    add_scene(spec)
    for name, camera in simulation.cameras.items():
        if camera.carried_by:
            _need(
                spec.body(camera.carried_by),
                f"body of camera '{name}'",
                camera.carried_by,
                [body.name for body in spec.bodies],
            )
    add_cameras(spec, {camera.name: simulation.cameras[camera.name] for camera in robot.cameras})
    return spec


def compiled(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Return the model; MuJoCo warns of a part without a prefix, which matters only where a spec is saved.

    Raises:
        ConfigError: MuJoCo refuses it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Attaching a spec with an empty prefix")
        try:
            return spec.compile()
        except ValueError as error:
            raise ConfigError(f"MuJoCo refuses the models of the simulation: {one_line(error)}") from None


def tcp_site(side: str) -> str:
    """Return the name of the site between the fingers of a hand: x forward, y closing direction."""
    return f"{side}_tcp"


def _attach(spec: mujoco.MjSpec, part: Part) -> None:
    """Add one model where its part says it stands."""
    child = _read(part)
    for item in [*child.actuators, *child.sensors, *child.keys, *child.lights, *child.cameras]:
        child.delete(item)
    for name in part.without:
        _need(child.body(name), f"body of {part.model}", name, [body.name for body in child.bodies])
        child.delete(child.body(name))
    set_options(child)
    for body in child.bodies[1:]:
        body.gravcomp = 1
    for geom in child.geoms:
        geom.contype, geom.conaffinity = ARM_TYPE if geom.contype or geom.conaffinity else DRAWN_TYPE, 0
        if part.colour:
            geom.rgba = part.colour
    for site in child.sites:
        site.group = 4  # not drawn
    for mesh in child.meshes:
        mesh.maxhullvert = 32
    carrier, place, turn = _stand(spec, part)
    frame = carrier.add_frame(pos=place, quat=turn)
    try:
        spec.attach(child, prefix=part.prefix, frame=frame)
    except ValueError as error:
        raise ConfigError(f"model '{part.model}' cannot be added: {one_line(error)}: give it a prefix?") from None


def _read(part: Part) -> mujoco.MjSpec:
    """Return a model as it is; raises ConfigError where MuJoCo refuses it."""
    path = located(part.model)
    tree = read_xml(path)[1]
    try:
        if tree.tag == "mujoco":
            return mujoco.MjSpec.from_file(str(path))
        return urdf_spec(path, tree, ("visual",))
    except ValueError as error:
        raise ConfigError(f"model '{path.name}': {one_line(error)}") from None


def _stand(spec: mujoco.MjSpec, part: Part) -> tuple[mujoco.MjsBody, FloatArray, FloatArray]:
    """Return the body that carries a part, and the position (3,) and quaternion (4,) of its base in that body."""
    place, turn = np.array(part.at[:3]), _quaternion(part.at[3:])
    if not part.carried_by:
        return spec.worldbody, place, turn
    site = spec.site(part.carried_by)
    if site is None:
        return (
            _need(spec.body(part.carried_by), "body or site", part.carried_by, [b.name for b in spec.bodies]),
            place,
            turn,
        )
    carried, turned = np.zeros(3), np.zeros(4)
    mujoco.mju_rotVecQuat(carried, place, site.quat)
    mujoco.mju_mulQuat(turned, site.quat, turn)
    return site.parent, site.pos + carried, turned


def _quaternion(angles: tuple[float, ...]) -> FloatArray:
    """Return the quaternion (4,) of roll, pitch and yaw [rad] about fixed axes."""
    out = np.zeros(4)
    mujoco.mju_euler2Quat(out, np.array(angles), "XYZ")
    return out


def _need(found: object, what: str, name: str, known: list[str]) -> mujoco.MjsBody:
    """Return what was found; raises ConfigError where it is not there."""
    if found is None:
        raise ConfigError(f"the models have no {what} '{one_line(name)}'{nearest(name, known)}")
    return found


def _make_hand(spec: mujoco.MjSpec, side: str, hand: SimHand) -> None:
    """Let the fingers of a hand hold objects, and mark the point between them."""
    known, count = [body.name for body in spec.bodies], 0
    for name in hand.fingers:
        for geom in _need(spec.body(name), f"finger of hand '{side}'", name, known).geoms:
            if hand.colour:
                geom.rgba = hand.colour
            if geom.contype != ARM_TYPE:
                continue
            geom.name, count = f"{side}_finger{count}", count + 1
            geom.conaffinity = OBJECT_TYPE
            geom.friction = [1.2, 0.02, 0.001]
            geom.solref = [0.004, 1]
            geom.solimp = [0.95, 0.99, 0.001, 0.5, 2]
            geom.condim = 6
    if not count:
        raise ConfigError(f"the fingers of hand '{side}' ({', '.join(hand.fingers)}) have no shape that could hold")
    body = _need(spec.body(hand.body), f"body of hand '{side}'", hand.body, known)
    site = body.add_site(name=tcp_site(side), pos=hand.tcp[:3], size=[0.004] * 3)
    site.quat, site.group = _quaternion(hand.tcp[3:]), 4


def _fix_what_is_loose(spec: mujoco.MjSpec, driven: set[str]) -> None:
    """Fix joints that nothing of the robot file moves or holds, at zero: a torso without a servo gives way to its arms.

    What a driven joint carries stays, since the links of a hand may hang together there.
    """
    tied = {equality.name1 for equality in spec.equalities if equality.type == mujoco.mjtEq.mjEQ_JOINT}
    for joint in list(spec.joints):
        if joint.name not in driven | tied and not any(each.name in driven for each in _above(joint.parent)):
            spec.delete(joint)


def _free_followers(spec: mujoco.MjSpec) -> None:
    """Take away limits of joints that follow another beyond them: the two would pull at the arm against each other."""
    for equality in spec.equalities:
        if equality.type != mujoco.mjtEq.mjEQ_JOINT or not equality.name2:
            continue
        own, leader = spec.joint(equality.name1), spec.joint(equality.name2)
        ends = np.polyval(equality.data[4::-1], np.array(leader.range))
        if ends.min() < own.range[0] - _SLACK or ends.max() > own.range[1] + _SLACK:
            own.limited = mujoco.mjtLimited.mjLIMITED_FALSE


def _above(body: mujoco.MjsBody) -> Iterator[mujoco.MjsJoint]:
    """Yield the joints by which a body and those that carry it move."""
    while body is not None and body.name != "world":
        yield from body.joints
        body = body.parent


def _tie(spec: mujoco.MjSpec, simulation: Simulation) -> None:
    for tie in simulation.ties:
        joint = spec.joint(tie.joint)
        joint.frictionloss, joint.armature = 0, _FINGER_ARMATURE
        equality = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT)
        equality.name1, equality.name2 = tie.joint, model_name(simulation, tie.to)
        equality.data[:5] = [0, tie.ratio, 0, 0, 0]


def _add_servos(spec: mujoco.MjSpec, robot: Robot, simulation: Simulation) -> None:
    """Give every joint of the robot file a position servo within its limits."""
    given = [_given(joint, simulation) for joint in robot.joints]
    inertias = _inertias(spec, robot, simulation) if None in given else robot.joint_array("home") * 0.0
    for joint, gains, inertia in zip(robot.joints, given, inertias, strict=True):
        kp, kv = gains or _fitting(joint, simulation, float(inertia))
        target = model_name(simulation, joint.name)
        servo = spec.add_actuator(name=joint.name, target=target, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=kp, kv=kv)
        servo.ctrllimited, servo.ctrlrange = True, sorted(model_range(joint, simulation))


def _given(joint: Joint, simulation: Simulation) -> tuple[float, float] | None:
    return next((gains for suffix, gains in simulation.servos.items() if joint.name.endswith(suffix)), None)


def _fitting(joint: Joint, simulation: Simulation, inertia: float) -> tuple[float, float]:
    """Return stiffness and damping of a servo that moves an inertia [kg m^2], [kg]."""
    kp = inertia * _BANDWIDTH**2
    if joint.gripper:
        travel = next((hand.travel for hand in simulation.hands.values() if hand.gripper == joint.name), 1.0)
        kp = _GRASP / (travel * _pace(joint, simulation)) ** 2
    return kp, 2 * float(np.sqrt(kp * inertia))


def _pace(joint: Joint, simulation: Simulation) -> float:
    """Return by how much a joint of the models moves for each unit of ours."""
    low, high = model_range(joint, simulation)
    return (high - low) / (joint.max - joint.min)


def _inertias(spec: mujoco.MjSpec, robot: Robot, simulation: Simulation) -> FloatArray:
    """Return the inertia (J,) that each joint moves when all are at home [kg m^2], [kg]."""
    model = compiled(spec)
    data = mujoco.MjData(model)
    joints = ModelJoints(model, robot, simulation)
    joints.put(data, robot.joint_array("home"))
    mujoco.mj_forward(model, data)
    whole = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, whole)
    return np.diag(whole)[joints.dofs]
