"""Every registered task: experts solve it, controls do not, layouts vary, and a seed is an episode."""

from functools import cache

import numpy as np
import pytest

from smp_bringup.action.teleop import Leaders
from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import JointSample

VARIATIONS = [path.stem for path in share("config", "variations").glob("*.yaml")]
SEED = 20001
"""Of the episodes through the command core, as on the robot, and of those without the expert."""


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
        wanted_now = JointSample(loop.now_ns, merged.position, merged.velocity)
        loop.command.on_teleop(wanted_now, loop.now_ns, loop.now_ns)
        loop.advance()
        assert loop.command.mode in (Mode.HOLD, Mode.TELEOP), loop.command.verdict
        if world.succeeded():
            return True
    return False


def plain(world, source):
    """Drive the servos with `source(time_s) -> (J,)` directly; return success."""
    for _ in range(round(world.task.config.budget_s / world.robot.control_period_s)):
        world.set_setpoint(source(world.time_s))
        world.step(world.robot.control_period_s)
        if world.succeeded():
            return True
    return False


def operator(task, seed):
    world = world_of(task)
    world.reset(seed)
    return ScriptedOperator(world.task, world.model, world.data, world.robot, seed)


@pytest.mark.parametrize("task", GROUPS["all"])
def test_the_expert_solves_it(task):
    assert run(task, SEED, operator(task, SEED).target)


@pytest.mark.parametrize("task", GROUPS["all"])
def test_the_expert_solves_nineteen_of_twenty(task):
    assert sum(plain(world_of(task), operator(task, seed).target) for seed in range(1, 41, 2)) >= 19


@pytest.mark.parametrize("task", GROUPS["all"])
@pytest.mark.parametrize("frozen", ["left", "right"])
def test_one_arm_alone_does_not(task, frozen):
    expert, robot = operator(task, SEED), load_robot("aloha")
    home = robot.joint_array("home")

    def source(time_s):
        wanted = expert.target(time_s)
        wanted[robot.arm_slices[frozen]] = home[robot.arm_slices[frozen]]
        return wanted

    assert not plain(world_of(task), source)


@pytest.mark.parametrize("task", GROUPS["all"])
def test_doing_nothing_or_anything_does_not(task, rng):
    robot = load_robot("aloha")
    home = robot.joint_array("home")
    world_of(task).reset(SEED)
    assert not plain(world_of(task), lambda time_s: home.copy())
    world_of(task).reset(SEED)
    walk = home.copy()

    def random(time_s):
        walk[:] = np.clip(walk + rng.normal(size=robot.dof) * 0.005, robot.joint_array("min"), robot.joint_array("max"))
        return walk.copy()

    assert not plain(world_of(task), random)


@pytest.mark.parametrize("task", GROUPS["all"])
def test_a_seed_is_an_episode_and_another_seed_is_another(task):
    world = world_of(task)
    views = []
    for seed in (5, 5, 7):
        world.reset(seed)
        views.append((world.data.qpos.copy(), world.render("overview").copy()))
    np.testing.assert_array_equal(views[0][0], views[1][0])
    np.testing.assert_array_equal(views[0][1], views[1][1])
    assert (views[0][1] != views[2][1]).any()


@pytest.mark.parametrize("task", GROUPS["all"])
def test_every_camera_sees_the_scene(task):
    world = world_of(task)
    world.reset(3)
    for camera in world.robot.cameras:
        image = world.render(camera.name)
        assert image.shape == (camera.height, camera.width, 3)
        assert image.std() > 10
    world.close()


@pytest.mark.parametrize("variation", VARIATIONS)
@pytest.mark.parametrize("task", GROUPS["all"])
def test_every_variation_draws_pose_colour_and_size(task, variation):
    ranges = TASKS[task](variation).ranges
    assert set(ranges) == set(TASKS[task]().ranges) >= {"x", "y"}
    assert all(low <= high for low, high in ranges.values())
    assert any("hue" in name for name in ranges)


@pytest.mark.parametrize("task", GROUPS["all"])
def test_held_out_layouts_and_colours_are_outside_of_the_training_ranges(task):
    wide, held_out = TASKS[task]("wide").ranges, TASKS[task]("held_out").ranges
    apart = {name for name in wide if held_out[name][1] <= wide[name][0] or held_out[name][0] >= wide[name][1]}
    assert apart - {name for name in apart if "hue" in name or name == "size"}
    assert any("hue" in name for name in apart)


@pytest.mark.parametrize("variation", ["wide", "held_out"])
@pytest.mark.parametrize("task", GROUPS["all"])
def test_the_expert_solves_other_variations_too(task, variation):
    world = World(TASKS[task](variation), load_robot("aloha"))
    solved = 0
    for seed in (1, 3, 5, 7):
        world.reset(seed)
        expert = ScriptedOperator(world.task, world.model, world.data, world.robot, seed)
        solved += plain(world, expert.target)
    assert solved >= 3


@pytest.mark.parametrize("task", GROUPS["all"])
def test_one_layout_is_solved_in_two_ways(task):
    """The seed of the operator, not the layout, says which hand leads."""
    world = World(TASKS[task]("wide"), load_robot("aloha"))
    paths = []
    for seed in (1, 5):
        world.reset(1)
        expert = ScriptedOperator(world.task, world.model, world.data, world.robot, seed)
        paths.append(np.stack([expert.target(t) for t in np.arange(0, 4, 0.1)]))
        assert plain(world, expert.target)
    assert np.abs(paths[0] - paths[1]).max() > 0.1


@pytest.mark.parametrize("frozen", ["left", "right"])
@pytest.mark.parametrize("task", GROUPS["all"])
def test_one_arm_alone_does_not_solve_wide_variation(task, frozen):
    world = World(TASKS[task]("wide"), load_robot("aloha"))
    world.reset(SEED)
    expert = ScriptedOperator(world.task, world.model, world.data, world.robot, SEED)
    part, home = world.robot.arm_slices[frozen], world.robot.joint_array("home")

    def source(time_s):
        wanted = expert.target(time_s)
        wanted[part] = home[part]
        return wanted

    assert not plain(world, source)


def test_an_episode_whose_physics_broke_down_never_succeeds():
    world, expert = world_of("press_two_buttons"), operator("press_two_buttons", 1)
    world.step(0.01)
    assert not world.diverged
    world.data.qvel[0] = np.nan
    world.step(0.01)
    assert world.diverged
    assert not plain(world, expert.target)
    world.reset(1)
    assert plain(world, expert.target)


def test_sizes_follow_the_layout_and_come_back():
    world = World(TASKS["stack_blocks"]("wide"), load_robot("aloha"))
    seen = {}
    for seed in (1, 3, 1):
        world.reset(seed)
        seen.setdefault(seed, []).append([*world.model.geom("block_left").size, world.model.body("block_left").mass])
    assert seen[1][0] == seen[1][1]
    assert seen[1][0] != seen[3][0]
