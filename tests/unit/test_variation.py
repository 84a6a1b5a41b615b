"""One factor of a layout at a time: what changes, and what stays as it was."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from smp_bringup.errors import ConfigError
from smp_bringup.robot import load_robot
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.variation import load_task, load_variation

ORDINARY = load_variation("ordinary")


def ranges(task: str, level: str) -> dict[str, tuple[float, float]]:
    variation = load_variation(level)
    return load_task(task).scaled(variation.ranges or level, variation)


def changed(task: str, level: str) -> set[str]:
    plain, other = ranges(task, "ordinary"), ranges(task, level)
    assert plain.keys() == other.keys()
    return {key for key in plain if plain[key] != other[key]}


@pytest.mark.parametrize("task", GROUPS["all"])
@pytest.mark.parametrize("level", ["factor_hue_near", "factor_hue_new"])
def test_colours_change_alone(task, level):
    assert changed(task, level) == {key for key in ranges(task, "ordinary") if "hue" in key}


@pytest.mark.parametrize("task", GROUPS["all"])
def test_new_colours_were_never_shown(task):
    plain, new = ranges(task, "ordinary"), ranges(task, "factor_hue_new")
    for key in changed(task, "factor_hue_new"):
        assert new[key][0] > plain[key][1] or new[key][1] < plain[key][0]


@pytest.mark.parametrize("task", [name for name in GROUPS["all"] if name != "press_two_buttons"])
def test_sizes_change_alone(task):
    assert changed(task, "factor_size") == {"size"}


@pytest.mark.parametrize("task", GROUPS["all"])
def test_places_beyond_begin_where_the_known_ones_end(task):
    plain, beyond = ranges(task, "ordinary"), ranges(task, "factor_places")
    moved = changed(task, "factor_places")
    assert moved == {key for key in plain if "hue" not in key and key != "size"}
    for key in moved:
        (low, high), (first, last) = plain[key], beyond[key]
        assert first == pytest.approx(high)
        assert last - first == pytest.approx(0.2 * (high - low))


def test_a_level_that_a_task_does_not_have_is_named():
    with pytest.raises(ConfigError, match="no variation 'mars'; it has: ordinary, wide, held_out"):
        load_task("lift_tray").scaled("ordinary", replace(ORDINARY, hue="mars"))


def test_another_table_is_all_that_differs_and_it_is_gone_in_the_next_episode():
    world = World(TASKS["lift_tray"]("factor_background"), load_robot("aloha"))
    plain = World(TASKS["lift_tray"]("ordinary"), load_robot("aloha"))
    tables = []
    for seed in (2, 4, 2):
        world.reset(seed)
        plain.reset(seed)
        tables.append(world.model.geom("table").rgba.copy())
        np.testing.assert_array_equal(world.data.qpos, plain.data.qpos)
        rest = [i for i in range(world.model.ngeom) if i != world.model.geom("table").id]
        names = [mujoco.mj_id2name(world.model, mujoco.mjtObj.mjOBJ_GEOM, i) for i in rest]
        np.testing.assert_array_equal(world.model.geom_rgba[rest], plain.model.geom_rgba[rest], err_msg=str(names))
    assert (tables[0] != tables[1]).any()
    np.testing.assert_array_equal(tables[0], tables[2])
