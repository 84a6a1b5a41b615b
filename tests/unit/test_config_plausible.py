"""Settings of recording, criteria, tasks, variations, studies and phrases: what cannot be meant so is refused."""

from dataclasses import replace

import pytest
import yaml

from smp_bringup.bench.study import load_study
from smp_bringup.config import parse_yaml
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.paths import named_config
from smp_bringup.record.config import load_recording
from smp_bringup.replay.criteria import load_criteria
from smp_bringup.safety.config import load_safety
from smp_bringup.simulation import load_simulation
from smp_bringup.tasks.lift_tray import LiftTray
from smp_bringup.tasks.variation import TaskConfig, load_task, load_variation
from smp_bringup.words.phrases import load_phrases

KINDS = {
    "recording/default": load_recording,
    "criteria/default": load_criteria,
    "tasks/transfer_cube": load_task,
    "variations/wide": load_variation,
    "studies/ablations": load_study,
    "safety/default": load_safety,
}

REFUSED = {
    # thresholds of a judge in another unit, or such that nothing is ever rejected
    ("recording/default", "quality.gap_s", (80.0, 100.0)): "must be a number in [0, 5], got 80.0",
    ("recording/default", "quality.jump_rad", (6.9, 11.5)): "must be a number in [0, 3], got 6.9",
    ("recording/default", "quality.jump_m", (12.0, 20.0)): "must be a number in [0, 0.5], got 12.0",
    ("recording/default", "quality.rate_share", (0.98, -1.0)): "must be a number in [0, 1], got -1.0",
    ("recording/default", "quality.dropped_share", (0.0, 57.0)): "must be a number in [0, 1], got 57.0",
    ("recording/default", "quality.frozen_frames", (4, 1000000)): "must be a number in [1, 1000]",
    ("recording/default", "storage.reserve_mib", 1e9): "must be a number in [0, 1024]",
    ("recording/default", "storage.queue_mib", 1e9): "must be a number in [1, 16384]",
    ("recording/default", "storage.min_free_gib", 1e6): "must be a number in [0, 1000]",
    ("recording/default", "pedal.discard", 0): "button 0 is toggle and discard: each needs a button of its own",
    ("criteria/default", "fail_if", ()): "fail_if: none is listed, so every policy would pass",
    ("criteria/default", "fail_if", ("joint_rmse>1e999",)): "criterion 'joint_rmse>1e999' must be a figure",
    ("tasks/transfer_cube", "limits.speed", 500.0): "limits.speed must be in (0, 10] m/s, got 500",
    ("tasks/transfer_cube", "limits.speed", -0.5): "limits.speed must be in (0, 10] m/s, got -0.5",
    ("tasks/transfer_cube", "ranges.wide.x", (0.1, -0.1)): "ranges.wide.x must rise from its first number",
    ("tasks/transfer_cube", "ranges.wide.x", (-100.0, 100.0)): "ranges.wide.x must be within [-3, 3] m",
    ("tasks/transfer_cube", "ranges.wide.yaw", (-40.0, 40.0)): "ranges.wide.yaw must be within [-6.3, 6.3] rad",
    ("tasks/transfer_cube", "ranges.wide.size", (0.0, 1.0)): "ranges.wide.size must be within [0.1, 10]",
    ("tasks/transfer_cube", "ranges.wide.hue", (0.0, 120.0)): "ranges.wide.hue must be within [-1, 1] turns",
    ("variations/wide", "light", (1.4, 0.5)): "light must rise from its first number to its second",
    ("variations/wide", "light", (-1.0, 1.0)): "light[0] must be a number in [0, 4], got -1.0",
    ("studies/ablations", "rows", None): "rows: none is listed, so nothing would be compared",
    ("studies/ablations", "seeds", ()): "seeds: none is listed, so nothing would be compared",
    ("studies/ablations", "seeds", (1, 1)): "seed 1 is listed twice",
    ("studies/ablations", "seeds", (-1,)): "seeds[0] must be a whole number in [0, inf), got -1",
    ("safety/default", "max_switch_step", 5.7): "max_switch_step must be a number in (0, 3], got 5.7",
    ("safety/default", "follow_step", 5.7): "follow_step must be a number in (0, 3], got 5.7",
}
"""File, key and value (None: an empty mapping), and what the refusal says."""


@pytest.mark.parametrize(("kind", "key", "value"), REFUSED)
def test_what_cannot_be_meant_so_is_refused(kind, key, value, tmp_path):
    folder, _, name = kind.partition("/")
    data = parse_yaml(named_config(folder, name).read_bytes(), name)
    inner = data
    *above, last = key.split(".")
    for step in above:
        inner = inner[step]
    inner[last] = list(value) if isinstance(value, tuple) else {} if value is None else value
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as refused:
        KINDS[kind](str(path))
    assert REFUSED[kind, key, value] in str(refused.value)


def test_every_file_that_is_shipped_is_plausible():
    for kind, load in KINDS.items():
        folder = kind.partition("/")[0]
        for path in named_config(*kind.split("/")).parent.glob("*.yaml"):
            assert load(path.stem), f"{folder}/{path.name}"


def test_tasks_that_are_like_each_other_are_named(tmp_path):
    one, other = (tmp_path / f"{name}.yaml" for name in ("one", "other"))
    for path, like in ((one, other), (other, one)):
        path.write_text(f"text: x\nlike: {like}\nbudget_s: 5.0\nhold_s: 0.1\n")
    with pytest.raises(ConfigError, match="is like itself"):
        load_task(str(one))


def test_a_task_whose_file_lacks_a_bound_or_a_range_is_named(monkeypatch, rng):
    bare = TaskConfig("x", 5.0, 0.1, ranges={"ordinary": {}})
    monkeypatch.setattr("smp_bringup.tasks.base.load_task", lambda name: bare)
    task = LiftTray()
    with pytest.raises(ConfigError, match="task 'lift_tray': limits has no tilt_deg"):
        task.limit("tilt_deg")
    with pytest.raises(ConfigError, match="task 'lift_tray' has no range x, yaw at 'ordinary'"):
        task.draw(rng, "x", "yaw")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "it holds no sentence"),
        ('pick it up: ["a\\u0007b"]', "holds the control character '\\x07'"),
        (f"pick it up: [{'x' * 2000}]", "is text of 2000 characters"),
        ('"pick it\\u202eup": [take it]', "holds the control character '\\u202e'"),
    ],
)
def test_ways_to_say_it_are_plain_text(text, said, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_phrases(str(tmp_path / "own.yaml"))
    assert said in str(refused.value)


def test_an_unknown_name_is_cut_to_what_a_line_can_hold():
    assert len(str(UnknownNameError("policy", "x" * 100_000, ["smp"]))) < 200


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "hands.left.tcp",
            [135, 0, 0, 0, 0, 0],
            "tcp: x, y, z must be within 10 m, got [135.0, 0.0, 0.0]: is it in mm",
        ),
        ("hands.left.tcp", [0, 0, 0, 0, -90, 0], "tcp: roll, pitch, yaw must be within 6.3 rad"),
        ("hands.left.travel", 0, "travel must be at least 0.001 from zero"),
        ("hands.left.closed", 24, "closed must be a number in [-13, 13]"),
        ("hands.left.fingers", [], "fingers: none is listed"),
        ("hands.left.colour", [160, 170, 200, 1], "colour[0] must be a number in [0, 1], got 160"),
        ("cameras.overview.at", [0, 20, 780], "at[1] must be a number in [-10, 10]"),
        ("cameras.overview.look", [0, 0.02, 0.78], "cannot look at where it is"),
        ("servos.waist", [-300, 30], "servos.waist[0] must be a number in [0, 1e+06], got -300"),
        ("servos.waist", [0, 30], "servos.waist: a stiffness of 0 holds nothing"),
        ("ties.0.ratio", 0, "ratio of 'vx300s_left/right_finger' is 0"),
        (
            "joints.left_waist",
            {"name": "vx300s_left/waist", "at_min": 1, "at_max": 1},
            "are both 1: the joint would not",
        ),
    ],
)
def test_a_simulation_is_in_metres_and_radians_and_moves(key, value, said, robot, tmp_path):
    data = parse_yaml(named_config("simulations", "aloha").read_bytes(), "aloha")
    inner = data
    *above, last = [int(step) if step.isdigit() else step for step in key.split(".")]
    for step in above:
        inner = inner[step]
    inner[last] = value
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as refused:
        load_simulation(replace(robot, simulation=str(tmp_path / "own.yaml")))
    assert said in str(refused.value)
