"""What is wrong with a robot file by itself: what it names exists and fits, and its numbers are plausible."""

import numpy as np

from smp_bringup.body import Body
from smp_bringup.commission.finding import Finding, error, few, warning
from smp_bringup.commission.urdf_limits import check_limits_against
from smp_bringup.commission.watched import unwatched
from smp_bringup.description.urdf import parse_urdf
from smp_bringup.documents import read_xml
from smp_bringup.errors import SmpError
from smp_bringup.geometry import has_geometry, load_geometry
from smp_bringup.joints import Joint
from smp_bringup.paths import located
from smp_bringup.pipeline import build_command, build_policy
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.checks.arm_distance import ArmDistance
from smp_bringup.safety.config import DEFAULT_SAFETY, SafetyConfig, load_safety, safety_of

_SLOWEST_HZ = 50.0
"""Joint states that come less often hold the arms at the first that is missed (docs/safety.md)."""
_SLOWEST_S = 0.05
"""Arms that are told less often than this move in steps."""
_LEAST_RANGE = 0.01
"""A joint that can move less is hardly one [rad]; for those in m it is a tenth [m]."""
_NEAR = 0.01
"""Share of the range within which a joint at home stands at its limit."""
_FRAMES = 1.5
"""Frames that are more actions apart make no observation of two instants, and no pair to learn from: sync.history."""
_RISE_S = (0.005, 5.0)
"""Between the shortest and the longest time to top speed, or to the top of the acceleration, that is plausible."""


def check_file(name: str, urdf: str = "", namespace: str = "/") -> tuple[list[Finding], Robot | None]:
    """Return what is wrong with a robot file, and the robot; None where it does not load.

    Args:
        name: of a robot in config/robots, or a path to a YAML file.
        urdf: path to the robot's URDF; empty: the description that the file names.
        namespace: of the nodes.
    """
    try:
        robot = load_robot(name, namespace)
    except SmpError as refusal:
        return [error("robot file", str(refusal), "correct it there (docs/robots.md)")], None
    found = [*_safety(robot, name), *_model(robot), *_urdf(robot, urdf), *_periods(robot)]
    for joint in robot.joints:
        found += _joint(joint)
    return found + _homes(robot) + _distances(robot) + _simulation(robot), robot


def safety_settings(robot: Robot) -> SafetyConfig:
    """Return the safety settings of a robot, or where they do not load the default ones, to go on with."""
    try:
        return load_safety(safety_of(robot))
    except SmpError:
        return load_safety(DEFAULT_SAFETY)


def _safety(robot: Robot, name: str) -> list[Finding]:
    """Return what is wrong with the safety settings: they are what the command node is started with."""
    found = []
    if not robot.safety:
        said = f"the robot file names none, so those of config/safety/{safety_of(robot)}.yaml are taken"
        found.append(warning("safety", said, "name your own: safety: my_safety.yaml"))
    try:
        checks = load_safety(safety_of(robot)).checks
        if any(CHECKS[each].needs_geometry for each in checks if each in CHECKS) and (wrong := _shapes(robot, name)):
            return [*found, *wrong]
        build_command(robot)
    except SmpError as refusal:
        return [*found, error("safety", str(refusal), f"correct {safety_of(robot)}, or name other settings")]
    out = [each for each in load_safety(DEFAULT_SAFETY).checks if each not in checks]
    if out:
        said = f"left out of its checks: {', '.join(out)}"
        todo = "list each under checks: as soon as the robot has what it needs; until then it is you who looks"
        found.append(warning("safety", said, todo))
    return found


def _shapes(robot: Robot, path: str) -> list[Finding]:
    """Return what is wrong with the shapes that arms name."""
    found = []
    for arm in (arm for arm in robot.arms if arm.geometry):
        try:
            load_geometry(arm)
        except SmpError as refusal:
            todo = f"name the file that smp robot new wrote for it, or write it anew: smp robot shapes {path} --force"
            found.append(error(f"arm {arm.name}", str(refusal), todo))
    return found


def _model(robot: Robot) -> list[Finding]:
    if not robot.model:
        return []  # as before the first training
    from smp_bringup.policy.checkpoint import find_model

    try:
        build_policy(find_model(robot.model), robot)
    except SmpError as refusal:
        return [error("model", str(refusal), "name a model that was trained for this robot, or none")]
    return []


def _simulation(robot: Robot) -> list[Finding]:
    if not robot.simulation:
        return []
    from smp_bringup.commission.simulated import check_simulation

    return check_simulation(robot, safety_settings(robot))


def _urdf(robot: Robot, urdf: str) -> list[Finding]:
    """Return what is wrong with the description, and with the limits against it."""
    about, named = "description", urdf or robot.description
    if not named:
        return []
    try:
        path = located(named)
        content, root = read_xml(path)
        if root.tag == "mujoco" and not urdf:
            return []  # an MJCF says nothing of speeds
        return check_limits_against(robot, parse_urdf(content, path.name))
    except SmpError as refusal:
        return [error(about, str(refusal), "name the URDF of the whole robot")]


def _periods(robot: Robot) -> list[Finding]:
    found, timeout_s = list[Finding](), safety_settings(robot).state_timeout_s
    if timeout_s < 1 / robot.state_rate_hz:
        said = f"state_timeout_s is {timeout_s:g}, joint states come every {1 / robot.state_rate_hz:g} s: arms are held"
        found.append(error("safety", said, "write state_timeout_s: 0.05, or more"))
    if robot.state_rate_hz < _SLOWEST_HZ:
        said = f"state_rate_hz is {robot.state_rate_hz:g}, a driver must say the joints at {_SLOWEST_HZ:g} Hz or more"
        found.append(warning("periods", said, "let the driver say them more often"))
    if robot.control_period_s > _SLOWEST_S:
        said = f"control_period_s is {robot.control_period_s:g}, so the arms are told {1 / robot.control_period_s:g} Hz"
        found.append(warning("periods", said, "0.01 is usual"))
    for camera in robot.cameras:
        if 1 / camera.rate_hz > _FRAMES * robot.action_period_s:
            said = f"{camera.rate_hz:g} Hz, while an action lasts {robot.action_period_s:g} s: most have no frame"
            todo = f"write action_period_s: {np.ceil(100 / camera.rate_hz) / 100:g}, or let it send more often"
            found.append(error(f"camera {camera.name}", said, todo))
    return found


def _distances(robot: Robot) -> list[Finding]:
    """Return what keeps the distances of the links from being watched."""
    settings = safety_settings(robot)
    if not has_geometry(robot) or ArmDistance.name not in settings.checks:
        return []
    body, found = Body(robot, settings.self_gap), list[Finding]()
    home = body.distances(robot.joint_array("home")[None])[0]
    near = np.flatnonzero(body.across & (home < settings.stop_distance))
    if len(near):
        said = f"{few([body.pair(int(pair)) for pair in near])} are nearer than stop_distance at home"
        found.append(error("arms", said, "look at base and carried_by of the arms, and at home of their joints"))
    if unseen := unwatched(robot, settings):
        said = f"not watched, since they are near each other at home: {few(unseen)}"
        found.append(warning("arms", said, "choose homes that are apart, or smaller capsules in the geometry file"))
    return found


def _homes(robot: Robot) -> list[Finding]:
    """Return which joints that turn stand at a limit when they are at home."""
    found = []
    for arm in robot.arms:
        ends = [
            joint.name
            for joint in arm.joints
            if joint.turns and min(joint.home - joint.min, joint.max - joint.home) < _NEAR * (joint.max - joint.min)
        ]
        if ends:
            said = f"home of {few(ends)} lies at a limit"
            todo = "choose one from which each can move both ways, unless it opens and closes"
            found.append(warning(f"arm {arm.name}", said, todo))
    return found


def _joint(joint: Joint) -> list[Finding]:
    about, unit, span = f"joint {joint.name}", joint.kind.unit, joint.max - joint.min
    found = []
    if span < (_LEAST_RANGE if joint.turns else 0.1 * _LEAST_RANGE):
        said = f"range [{joint.min:g}, {joint.max:g}] {unit} is hardly one"
        found.append(warning(about, said, "look at min and max, and at their unit"))
    rises = (("velocity", "acceleration"), ("acceleration", "jerk"))
    for fast, slow in rises[1:] if joint.rate else rises:
        rise_s = getattr(joint, fast) / getattr(joint, slow)
        if not _RISE_S[0] <= rise_s <= _RISE_S[1]:
            said = f"{fast} {getattr(joint, fast):g} and {slow} {getattr(joint, slow):g} take {rise_s:.2g} s to reach"
            found.append(warning(about, said, f"look at {slow}, and at its unit"))
    return found
