"""The robots that ship beside ALOHA: each is simulated, solves a task with both hands, and is kept apart.

Their models are packages (`make robots`). What they do is judged by MuJoCo's shapes, not by capsules of the check.
"""

import os
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import mujoco
import numpy as np
import pytest

from smp_bringup.action.teleop import Leaders
from smp_bringup.body import Body, segment_distance
from smp_bringup.kinematics import ArmKinematics
from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.collisions import Collisions, moved_by
from smp_bringup.sim.demonstration import led_by_joints
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation, model_name
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import JointSample, Severity, nanoseconds

if find_spec("robosuite") is None:
    pytest.skip("models of the robots are missing: make robots", allow_module_level=True)

OTHERS = [path.stem for path in sorted(share("config", "robots").glob("*.yaml")) if not path.stem.startswith("aloha")]
STARTS = int(os.environ.get("SMP_STARTS", "3"))
"""Drives into each other; 100 before a release."""
FAR = 0.2
"""Distances are not looked at beyond this [m]."""


@cache
def world_of(name, task="lift_tray"):
    return World(TASKS[task](), load_robot(name))


def drive(world, seed, frozen=""):
    """Let the scripted operator lead the arms through the command core, but the one that is frozen; return its loop."""
    world.reset(seed)
    robot = world.robot
    operator, led = ScriptedOperator(world.task, world.model, world.data, robot, seed), led_by_joints(robot)
    leaders, loop = Leaders(led), Lockstep(world, robot, wants_frame=lambda *_: False)
    collisions, home = Collisions(world.model, robot), robot.joint_array("home")
    loop.start(Mode.TELEOP)
    while not world.succeeded() and world.time_s < min(world.budget_s, operator.duration_s + 1):
        wanted = operator.target(world.time_s)
        for arm in led.arms:
            part = robot.arm_slices[arm.name]
            if frozen and arm.name.startswith(frozen):
                wanted[part] = home[part]
            said = arm.leader_joints.positions(wanted[part])
            merged = leaders.push(arm.name, loop.now_ns, arm.leader_joints.names, said)
        loop.command.on_teleop(merged, loop.now_ns, loop.now_ns)
        loop.advance()
        assert loop.output.verdict.severity < Severity.HOLD, loop.output.verdict.reason
        if loop.tick % 4 == 0:
            collisions.look(world.data)
    assert (collisions.arms, collisions.table) == (0, 0)
    return loop


@pytest.mark.parametrize("name", OTHERS)
def test_both_hands_lift_the_tray_and_one_alone_does_not(name):
    world = world_of(name)
    drive(world, 1)
    assert world.succeeded()
    for frozen in ("left", "right"):
        drive(world, 1, frozen)
        assert not world.succeeded()


def test_a_cube_goes_from_hand_to_hand():
    world = world_of("dual_ur5e", "transfer_cube")
    drive(world, 1)
    assert world.succeeded()


@pytest.mark.parametrize("name", OTHERS)
def test_every_camera_sees_the_scene_and_wakes_at_its_rate(name):
    world, frames = world_of(name), []
    world.reset(3)
    loop = Lockstep(world, world.robot, on_frame=lambda camera, frame: frames.append(camera), wants_frame=lambda *_: 1)
    loop.start(Mode.TELEOP)
    for _ in range(99):
        loop.advance()
    for camera in world.robot.cameras:
        assert world.render(camera.name).shape == (camera.height, camera.width, 3)
        assert world.render(camera.name).std() > 10
        assert frames.count(camera.name) == round(camera.rate_hz)
    world.close()


def links(world):
    """Return the geoms that each arm moves, its hand with it."""
    robot, simulation = world.robot, load_simulation(world.robot)
    firsts = [robot.arm(hand.arm).joints[0].name for hand in simulation.hands.values()]
    return [moved_by(world.model, model_name(simulation, joint)) for joint in firsts]


def corners(model, geom):
    """Return the corners (N, 3) of a mesh or a box in its body's frame."""
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        points = model.mesh_vert[start : start + count]
    elif model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
        points = signs * model.geom_size[geom]
    else:
        return np.zeros((0, 3))
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return points @ rotation.reshape(3, 3).T + model.geom_pos[geom]


@pytest.mark.parametrize("name", OTHERS)
def test_every_corner_of_the_links_is_inside_a_capsule(name, rng):
    world = world_of(name)
    robot, model, data = world.robot, world.model, world.data
    body = Body(robot, load_safety(robot.safety).self_gap)
    radii = np.concatenate([[c.radius for c in arm.capsules] for arm in body.arms])
    for _ in range(2):
        pose = rng.uniform(robot.joint_array("min"), robot.joint_array("max"))
        world.pose_arms(pose)
        ends = body.segments(pose[None])[0]
        for geom in (geom for side in links(world) for geom in side):
            owner = model.geom_bodyid[geom]
            points = corners(model, geom) @ data.xmat[owner].reshape(3, 3).T + data.xpos[owner]
            if not len(points):
                continue
            lines = np.broadcast_to(ends[:, None], (len(ends), len(points), 2, 3))
            both = np.broadcast_to(np.stack([points, points], axis=1), lines.shape)
            outside = (segment_distance(both, lines) - radii[:, None]).min(axis=0)
            assert outside.max() < 1e-3, (model.body(owner).name, outside.max())


def meeting(world, rng):
    """Return a pose (J,) that brings both hands to one place: links, not only fingertips, would overlap."""
    robot, pose = world.robot, np.array(world.robot.joint_array("home"))
    place = np.array([0.0, 0.5, 0.25]) + rng.uniform(-0.08, 0.08, 3)
    for side in load_simulation(robot).hands:
        arm = ArmKinematics(world.model, robot, load_simulation(robot), side)
        beyond = 0.1 if side == "left" else -0.1
        pose[arm.columns], _ = arm.solve(place + [beyond, 0, 0], arm.forward(arm.home)[1], arm.home, 200)

    return pose


def gap(world):
    """Return the distance [m] between the shapes of both arms where they are now, at most FAR."""
    first, second = links(world)
    model, data = world.model, world.data
    near = [
        mujoco.mj_geomDistance(model, data, a, b, FAR, None)
        for a in first
        for b in second
        if np.linalg.norm(data.geom_xpos[a] - data.geom_xpos[b]) < model.geom_rbound[a] + model.geom_rbound[b] + FAR
    ]
    return min([*near, FAR])


@pytest.mark.parametrize("name", OTHERS)
def test_arms_commanded_into_each_other_at_full_speed_never_touch(name):
    world, rng = world_of(name), np.random.default_rng(11)
    robot = world.robot
    config = replace(load_safety(robot.safety), ramp_in_s=0.01)
    body, period = Body(robot, config.self_gap), robot.control_period_s
    speed, found = robot.joint_array("velocity") * config.velocity_scale * 0.9, []
    low, high = robot.joint_array("min"), robot.joint_array("max")
    for _ in range(STARTS):
        home = np.clip(robot.joint_array("home") + rng.uniform(-0.2, 0.2, robot.dof) * robot.turning, low, high)
        goal = meeting(world, rng)
        world.reset(0)
        world.pose_arms(home)
        world.set_setpoint(home)
        world.data.qvel[:] = 0
        if body.distances(home[None])[0].min() < config.stop_distance:
            continue
        core, nearest, asked, told = CommandCore(robot, config), FAR, home, home
        pace = (goal - home) / float((np.abs(goal - home) / speed).max())
        for cycle in range(round(5 / period)):
            now = nanoseconds(1 + cycle * period)
            position, velocity = world.joint_state()
            for arm in robot.arms:
                part = robot.arm_slices[arm.name]
                core.on_state(arm.name, JointSample(now, position[part], velocity[part]), now)
            # As fast as they may be told to go, and never so far ahead that this alone would stop them.
            moves = cycle >= 5 and (np.abs(asked - told) < 0.1).all() and (np.abs(goal - asked) > speed * period).any()
            asked = asked + pace * period * moves
            wanted = JointSample(now, asked, pace * moves)
            if cycle == 0:
                assert core.arm(now).ok
            core.on_teleop(wanted, now, now)
            if cycle == 0:
                assert core.use(Mode.TELEOP, now, now).ok
            output = core.step(now, now)
            told = output.command.position
            world.set_setpoint(told)
            world.step(period)
            if body.distances(world.joint_state()[0][None])[0][body.across].min() < FAR:
                nearest = min(nearest, gap(world))
        assert nearest > 0
        assert output.verdict.check in ("arm_distance", ""), output.verdict.reason
        found += [nearest] if output.verdict.check else []  # few of the drives drawn end beside the other arm
    print(
        f"{name}: {len(found)} drives, nearest {1e3 * min(found):.1f} mm, half within {1e3 * np.median(found):.1f} mm"
    )
    assert len(found) > STARTS / 2
    assert np.median(found) < 0.12
