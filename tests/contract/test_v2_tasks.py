"""Every task that benchmark v2 adds: its operator solves it; nothing, noise, one arm alone and its siblings' do not."""

from functools import cache
from itertools import permutations

import numpy as np
import pytest

from smp_bringup.robot import load_robot
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS, expanded
from smp_bringup.tasks.experts import ScriptedOperator

ADDED = [name for name in GROUPS["v2"] if name not in GROUPS["all"]]
SIBLINGS = (
    ("transfer_from_left", "transfer_from_right"),
    ("transfer_and_place", "transfer_and_return"),
    ("bin_from_left", "bin_from_right"),
    (
        "press_left_then_right",
        "press_right_then_left",
        "hold_left_press_right_twice",
        "hold_right_press_left_twice",
    ),
    ("tray_to_front", "tray_to_back", "tray_turned_left", "tray_turned_right"),
    ("box_to_front", "box_to_back", "box_turned_left", "box_turned_right"),
    ("peg_into_held_socket", "socket_onto_held_peg"),
    ("left_opens_right_places", "right_opens_left_places"),
    ("left_opens_right_takes", "right_opens_left_takes"),
    ("left_block_below", "right_block_below", "blocks_side_by_side"),
)
"""In one scene each, and whoever does one of them has not done another."""
SEED = 20001


@cache
def world_of(task):
    return World(TASKS[task]("v2"), load_robot("aloha"))


def operator(world, seed, task=None):
    """Return the operator of `task`, or of the world's own, for the layout of `seed`."""
    world.reset(seed)
    task = world.task if task is None else TASKS[task]("v2")
    return ScriptedOperator(task, world.model, world.data, world.robot, seed)


def solves(world, source):
    """Drive the servos with `source(time_s) -> (J,)`; return success."""
    while world.time_s < world.budget_s and not world.succeeded():
        world.set_setpoint(source(world.time_s))
        world.step(world.robot.control_period_s)
    return world.succeeded()


@pytest.mark.parametrize("task", ADDED)
def test_the_operator_solves_it(task):
    world = world_of(task)
    assert [seed for seed in (1, 3, 5) if not solves(world, operator(world, seed).target)] == []


@pytest.mark.parametrize("frozen", ["left", "right"])
@pytest.mark.parametrize("task", ADDED)
def test_one_arm_alone_does_not(task, frozen):
    world = world_of(task)
    expert, part = operator(world, SEED), world.robot.arm_slices[frozen]
    home = world.robot.joint_array("home")

    def source(time_s):
        wanted = expert.target(time_s)
        wanted[part] = home[part]
        return wanted

    assert not solves(world, source)


@pytest.mark.parametrize("task", ADDED)
def test_doing_nothing_or_anything_does_not(task, rng):
    world = world_of(task)
    low, high, home = (world.robot.joint_array(name) for name in ("min", "max", "home"))
    world.reset(SEED)
    assert not solves(world, lambda time_s: home)
    world.reset(SEED)
    walk = home.copy()

    def random(time_s):
        walk[:] = np.clip(walk + rng.normal(size=len(walk)) * 0.005, low, high)
        return walk

    assert not solves(world, random)


@pytest.mark.parametrize(("task", "other"), [pair for names in SIBLINGS for pair in permutations(names, 2)])
def test_the_operator_of_a_sibling_does_not(task, other):
    world = world_of(task)
    assert not solves(world, operator(world, SEED, other).target)


def test_the_groups_are_parts_of_each_other_and_the_first_is_benchmark_v1():
    assert len(GROUPS["all"]) == 8
    assert set(GROUPS["all"]) < set(GROUPS["v2"]) == set(TASKS)
    parts = [GROUPS[f"v2_{count}"] for count in (4, 8, 16, 24)]
    assert [len(part) for part in parts] == [4, 8, 16, 24]
    for smaller, larger in zip(parts, [*parts[1:], GROUPS["v2"]], strict=True):
        assert set(smaller) < set(larger)
    assert expanded(["lift_tray", "v2_4", "own"]) == ("lift_tray", *GROUPS["v2_4"], "own")


@pytest.mark.parametrize("task", ADDED)
def test_a_variant_has_its_own_words_and_the_layouts_of_what_it_is_like(task):
    added = TASKS[task]("v2")
    like = TASKS[added.config.like]("v2")
    assert added.ranges == like.ranges
    assert added.config.text != like.config.text
    assert added.objects == like.objects
