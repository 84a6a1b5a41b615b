"""Every registered task: experts solve it, controls do not, layouts vary, and a seed is an episode."""

from functools import cache

import numpy as np
import pytest

from smp_bringup.action.teleop import Leaders
from smp_bringup.robot import load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import JointSample

SEEDS = (1, 20001)
"""Of episodes through the command core, as on the robot."""


@cache
def world_of(task):
    return World(TASKS[task](), load_robot("aloha"))


def run(task, seed, source):
    """Drive the arms through the command core with `source(time_s) -> (J,)`; return success."""
    world = world_of(task)
    loop = Lockstep(world, world.robot, wants_frame=lambda camera, now: False)
    loop.start(Mode.TELEOP)
    leaders = Leaders(world.robot)
    for _ in range(round(world.task.config.budget_s / world.robot.control_period_s)):
        wanted = source(world.time_s)
        for arm in world.robot.arms:
            names = [joint.name for joint in arm.joints]
            merged = leaders.push(arm.name, loop.now_ns, names, wanted[world.robot.arm_slices[arm.name]])
        loop.command.on_teleop(JointSample(loop.now_ns, merged.position, merged.velocity), loop.now_ns)
        loop.advance()
        assert loop.command.mode is Mode.TELEOP, loop.command.verdict
        if world.succeeded():
            return True
    return False


def operator(task, seed):
    world = world_of(task)
    world.reset(seed)
    return ScriptedOperator(world.task, world.model, world.data, world.robot)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("seed", SEEDS)
def test_the_expert_solves_it(task, seed):
    assert run(task, seed, operator(task, seed).target)


@pytest.mark.parametrize("task", list(TASKS))
def test_the_expert_solves_nineteen_of_twenty(task):
    world = world_of(task)
    solved = 0
    for seed in range(1, 41, 2):
        expert = operator(task, seed)
        while not world.succeeded() and world.time_s < world.task.config.budget_s:
            world.set_setpoint(expert.target(world.time_s))
            world.step(world.robot.control_period_s)
        solved += world.succeeded()
    assert solved >= 19


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("frozen", ["left", "right"])
def test_one_arm_alone_does_not(task, frozen):
    expert, robot = operator(task, SEEDS[0]), load_robot("aloha")
    home = robot.joint_array("home")

    def source(time_s):
        wanted = expert.target(time_s)
        wanted[robot.arm_slices[frozen]] = home[robot.arm_slices[frozen]]
        return wanted

    assert not run(task, SEEDS[0], source)


@pytest.mark.parametrize("task", list(TASKS))
def test_doing_nothing_or_anything_does_not(task, rng):
    robot = load_robot("aloha")
    home = robot.joint_array("home")
    world_of(task).reset(SEEDS[0])
    assert not run(task, SEEDS[0], lambda time_s: home.copy())
    world_of(task).reset(SEEDS[0])
    walk = home.copy()

    def random(time_s):
        walk[:] = np.clip(walk + rng.normal(size=robot.dof) * 0.005, robot.joint_array("min"), robot.joint_array("max"))
        return walk.copy()

    assert not run(task, SEEDS[0], random)


@pytest.mark.parametrize("task", list(TASKS))
def test_a_seed_is_an_episode_and_another_seed_is_another(task):
    world = world_of(task)
    views = []
    for seed in (5, 5, 7):
        world.reset(seed)
        views.append((world.data.qpos.copy(), world.render("overview").copy()))
    np.testing.assert_array_equal(views[0][0], views[1][0])
    np.testing.assert_array_equal(views[0][1], views[1][1])
    assert (views[0][1] != views[2][1]).any()


@pytest.mark.parametrize("task", list(TASKS))
def test_every_camera_sees_the_scene(task):
    world = world_of(task)
    world.reset(3)
    for camera in world.robot.cameras:
        image = world.render(camera.name)
        assert image.shape == (camera.height, camera.width, 3)
        assert image.std() > 10
    world.close()


@pytest.mark.parametrize("task", list(TASKS))
def test_pose_colour_and_light_are_drawn_at_random(task):
    assert {"light"} < set(TASKS[task]().config.ranges)
    assert {"x", "y"} <= set(TASKS[task]().config.ranges)
    assert any("hue" in name for name in TASKS[task]().config.ranges)
