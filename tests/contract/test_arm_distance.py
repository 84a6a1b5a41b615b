"""The distance guard on the simulated robot: links of the meshes do not meet, and what tasks need is let through."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from smp_bringup.body import Body
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.types import JointSample, Severity, nanoseconds

STARTS = 100


@pytest.fixture(scope="module")
def world(robot):
    world = World(TASKS["press_two_buttons"](), robot)
    yield world
    world.close()


def geoms(model, arm):
    return [i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name.startswith(f"vx300s_{arm}")]


def vertices(model, geom):
    """Return the vertices (N, 3) of a mesh geom in its body's frame."""
    mesh = model.geom_dataid[geom]
    start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return model.mesh_vert[start : start + count] @ rotation.reshape(3, 3).T + model.geom_pos[geom]


def test_every_vertex_of_the_arms_is_inside_a_capsule(world, robot, rng):
    """At random poses, so that the kinematics are checked too; 1.5 mm are let pass, and the plate under the base."""
    from smp_bringup.body import segment_distance

    model, data = world.model, world.data
    body = Body(robot, load_safety("default").self_gap)
    low, high = robot.joint_array("min"), robot.joint_array("max")
    for _ in range(5):
        pose = rng.uniform(low, high)
        world.pose_arms(pose)
        segments, start = body.segments(pose[None])[0], 0
        for arm, capsules in zip(robot.arms, (arm.capsules for arm in body.arms), strict=True):
            ends = segments[start : start + len(capsules)]
            start += len(capsules)
            for geom in geoms(model, arm.name):
                owner = model.geom_bodyid[geom]
                points = vertices(model, geom)
                points = points[points[:, 2] > 0.011] if "1_base" in model.geom(geom).name else points
                points = points @ data.xmat[owner].reshape(3, 3).T + data.xpos[owner]
                inside = np.min(
                    [
                        segment_distance(np.stack([points, points], axis=1), np.broadcast_to(end, (len(points), 2, 3)))
                        - capsule.radius
                        for end, capsule in zip(ends, capsules, strict=True)
                    ],
                    axis=0,
                )
                assert inside.max() < 0.0015, model.geom(geom).name


def gap(world, robot):
    """Return the distance [m] of the meshes of both arms where they are now (their convex hulls), at most 0.05."""
    model, data = world.model, world.data
    first, second = (geoms(model, arm.name) for arm in robot.arms)
    near = [  # what is left out cannot be nearer
        mujoco.mj_geomDistance(model, data, a, b, 0.2, None)
        for a in first
        for b in second
        if np.linalg.norm(data.geom_xpos[a] - data.geom_xpos[b]) < model.geom_rbound[a] + model.geom_rbound[b] + 0.05
    ]
    return min([*near, 0.05])


def draw(robot, body, rng, center, wanted):
    """Return a random pose (J,) around a center, hands above the table, whose distances (P,) are as wanted."""
    low, high = robot.joint_array("min"), robot.joint_array("max")
    while True:
        poses = np.clip(center + rng.uniform(-0.5, 0.5, (64, robot.dof)), low, high)
        lowest = np.min([hand[..., 2].min(axis=1) for hand in body.hands(poses)], axis=0)
        for pose, distance, height in zip(poses, body.distances(poses), lowest, strict=True):
            if height > 0.03 and distance[~body.across].min() > 0.02 and wanted(distance[body.across]):
                return pose


def clear_pose(robot, body, rng):
    """Return a random pose (J,), the arms well apart."""
    return draw(robot, body, rng, robot.joint_array("home"), lambda distance: distance.min() > 0.08)


def colliding_pose(robot, body, rng):
    """Return a random pose (J,) of arms that reach into each other: links, not only fingertips, overlap."""
    reach = {"shoulder": -0.2, "elbow": 0.4}
    center = [reach.get(joint.name.split("_")[-1], joint.home) for joint in robot.joints]
    links = ~body.touching[body.across]
    return draw(robot, body, rng, center, lambda distance: distance[links].min() < -0.03)


@pytest.fixture(scope="module")
def collisions(world, robot):
    """For each start: smallest distance of the meshes [m], top speed of a hand's setpoint, final mode and verdict."""
    rng = np.random.default_rng(7)
    config = replace(load_safety("default"), ramp_in_s=0.01)
    body = Body(robot, config.self_gap)
    out = []
    for _ in range(STARTS):
        start, goal = clear_pose(robot, body, rng), colliding_pose(robot, body, rng)
        out.append(run_into(world, robot, config, body, start, goal))
    return out


def run_into(world, robot, config, body, start, goal):
    """Command both arms from `start` to `goal` with every joint as fast as it may; return what happened."""
    world.reset(0)
    world.pose_arms(start)
    world.data.qvel[:] = 0
    world.set_setpoint(start)
    core, period = CommandCore(robot, config), robot.control_period_s
    speed = robot.joint_array("velocity") * 0.9
    nearest, top, last = 0.03, 0.0, None
    for cycle in range(130):
        now = nanoseconds(1 + cycle * period)
        position, velocity = world.joint_state()
        for arm in robot.arms:
            part = robot.arm_slices[arm.name]
            core.on_state(arm.name, JointSample(now, position[part], velocity[part]), now)
        travel = np.abs(goal - start).max() / speed[0]
        share = min(1.0, max(0.0, (cycle - 5) * period) / travel)
        moving = 0 < share < 1
        wanted = JointSample(now, start + share * (goal - start), (goal - start) / travel * moving)
        if cycle == 0:
            assert core.arm(now).ok
        core.on_teleop(wanted, now, now)
        if cycle == 0:
            assert core.use(Mode.TELEOP, now, now).ok
        output = core.step(now, now)
        world.set_setpoint(output.command.position)
        world.step(period)
        top = max(top, float(np.abs(output.command.velocity[:6]).max()))
        measured = world.joint_state()[0]
        if body.distances(measured[None])[0][body.across].min() < 0.03:  # else the meshes inside are no nearer
            nearest = min(nearest, gap(world, robot))
        last = output
    return nearest, top, last


def test_arms_commanded_into_each_other_at_full_speed_stop_short_of_contact(collisions):
    assert len(collisions) == STARTS
    assert all(nearest > 0 for nearest, _, _ in collisions), sorted(nearest for nearest, _, _ in collisions)[:5]
    assert all(last.verdict.severity >= Severity.HOLD for _, _, last in collisions)
    assert all(not last.command.velocity.any() for _, _, last in collisions)
    assert {last.verdict.check for _, _, last in collisions} <= {"arm_distance", "source_near"}
    assert np.median([top for _, top, _ in collisions]) > 1.5


@pytest.mark.parametrize("task", [*GROUPS["all"], "left_opens_right_takes", "right_opens_left_takes"])
def test_a_demonstration_of_a_task_is_never_held(task, robot):
    from smp_bringup.action.teleop import Leaders
    from smp_bringup.sim.lockstep import Lockstep
    from smp_bringup.sim.seeds import demonstration_seed
    from smp_bringup.tasks.experts import ScriptedOperator

    world = World(TASKS[task](), robot)
    for episode in range(2):
        seed = demonstration_seed(0, episode)
        world.reset(seed)
        operator, leaders = ScriptedOperator(world.task, world.model, world.data, robot, seed), Leaders(robot)
        loop = Lockstep(world, robot, wants_frame=lambda *_: False)
        loop.start(Mode.TELEOP)
        while not world.succeeded() and world.time_s < world.task.config.budget_s:
            leader = operator.target(world.time_s)
            for arm in robot.arms:
                names = [joint.name for joint in arm.joints]
                merged = leaders.push(arm.name, loop.now_ns, names, leader[robot.arm_slices[arm.name]])
            loop.command.on_teleop(merged, loop.now_ns, loop.now_ns)
            loop.advance()
            assert loop.output.verdict.severity < Severity.HOLD
        assert world.succeeded()
    world.close()


def meeting_pose(robot, body, rng):
    """Return a random pose (J,) in which fingertips of both arms meet, and no other links do."""
    center = [{"shoulder": -0.1, "elbow": 0.5}.get(joint.name.split("_")[-1], joint.home) for joint in robot.joints]
    tips = body.touching[body.across]
    return draw(robot, body, rng, center, lambda distance: distance[tips].min() < -0.01 and distance[~tips].min() > 0)


def test_fingertips_meet_no_faster_than_they_may(robot, rng, drive):
    """Judged from the setpoints alone; some are driven together in a third of the time that they are allowed."""
    config = replace(load_safety("default"), ramp_in_s=0.01)
    body, period = Body(robot, config.self_gap), robot.control_period_s
    fastest, met = 0.0, 0
    for _ in range(25):
        goal = meeting_pose(robot, body, rng)
        start = draw(robot, body, rng, goal, lambda distance: distance.min() > 0.08)
        travel_s = (np.abs(goal - start) / robot.joint_array("velocity"))[robot.turning].max() * rng.uniform(0.5, 2)
        driven = drive(CommandCore(robot, config), robot, start, goal, travel_s, 120)
        rows = [output.command.position for output in driven]
        distance = body.distances(np.array(rows))[:, body.touching]
        closing, inside = (distance[:-1] - distance[1:]) / period, distance[1:] < config.touch_distance
        met += inside.any()
        fastest = max(fastest, closing[inside].max(initial=0.0))
    assert met > 20
    assert 0.3 < fastest <= config.touch_speed


def test_nothing_comes_nearer_between_two_poses_than_is_said(robot, rng):
    body = Body(robot, 3)
    low, high = robot.joint_array("min"), robot.joint_array("max")
    pairs = np.flatnonzero(body.across)
    for _ in range(20):
        first = rng.uniform(low, high)
        poses = np.stack([first, np.clip(first + rng.uniform(-0.06, 0.06, robot.dof) * robot.turning, low, high)])
        distance, moved, nearest = body.sweep(poses, pairs)
        between = poses[0] + np.linspace(0, 1, 50)[:, None] * (poses[1] - poses[0])
        dense = body.distances(between, pairs)
        np.testing.assert_allclose(distance, dense[[0, -1]])
        assert (nearest[0] <= dense.min(axis=0) + 1e-3).all()
        assert (moved[0] >= np.abs(distance[1] - distance[0]) - 1e-3).all()


def test_the_setpoint_does_not_go_to_arms_that_sagged_into_each_other(robot, rng):
    config = load_safety("default")
    body, period = Body(robot, config.self_gap), robot.control_period_s
    for _ in range(5):
        start, goal = clear_pose(robot, body, rng), colliding_pose(robot, body, rng)
        core, rows, output = CommandCore(robot, config), [], None
        for cycle in range(500):
            now = nanoseconds(1 + cycle * period)
            measured = start + np.clip((cycle - 50) * period / 1.5, 0, 1) * (goal - start)
            for arm in robot.arms:
                part = measured[robot.arm_slices[arm.name]]
                core.on_state(arm.name, JointSample(now, part, np.zeros_like(part)), now)
            if cycle == 0:
                assert core.arm(now).ok
            output = core.step(now, now)
            rows += [] if output.command is None else [output.command.position]
            if cycle == 20:
                core.estop(True)
        assert output.command is None
        assert body.distances(np.array(rows))[:, ~body.touching].min() > config.stop_distance - 1e-6
