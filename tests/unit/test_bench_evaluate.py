"""Evaluation: what an episode is condensed to, the summary, and going on where it was stopped."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smp_bringup.bench.episodes import EpisodeFile, condense
from smp_bringup.bench.evaluate import EpisodeJob, arguments, summary
from smp_bringup.errors import ConfigError
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.sim.collisions import Collisions
from smp_bringup.sim.noise import NoisySensors
from smp_bringup.sim.rollout import EpisodeResult
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.state import POSE_SIZE
from smp_bringup.types import GateReport, Observation


def gate(weight, first):
    weight = np.array(weight)
    return GateReport(0, weight, weight, (first,), 0.9, np.ones(2), {"encode": 1.0, "denoise": 2.0, "decode": 0.5})


RESULT = EpisodeResult("lift_tray", 8, True, 3.0, [gate([1.0, 0.0], 0), gate([0.5, 0.5], 0), gate([0.0, 1.0], 1)])


def test_an_episode_is_condensed_to_what_the_summary_needs():
    episode = condense(RESULT, 4)
    assert (episode.chunks, episode.flips, episode.variation) == (3, 1, 1.0)
    assert episode.usage == (0.5, 0.5)
    failed = replace(episode, episode=5, success=False, arm_collisions=2)
    report = summary([episode, failed])
    assert report["gate"] == {
        "flip_rate": 0.5,
        "total_variation": 0.5,
        "usage": [0.5, 0.5],
        "usage_entropy": 0.6931,
        "largest_entropy": 0.6931,
    }
    assert report["latency_ms"]["p50"] == 3.5
    assert report["tasks"]["lift_tray"]["rate"] == 0.5
    assert report["all"]["collisions"] == {"arms": 2, "table": 0, "episodes": 1}


def test_an_episode_without_a_chunk_is_counted():
    report = summary([condense(EpisodeResult("lift_tray", 8, fault="state_near"), 0)])
    assert report["all"]["faults"] == 1
    assert report["active_experts"]["mean"] == 0


def test_a_stopped_evaluation_goes_on(tmp_path):
    words = {"seed": 1}
    first = EpisodeFile(tmp_path, "smp", words, resume=True)
    first.append(condense(RESULT, 0))
    first.append(condense(RESULT, 1))
    text = first.path.read_text()
    first.path.write_text(text[:-30])  # killed while it wrote the second
    again = EpisodeFile(tmp_path, "smp", words, resume=True)
    assert again.done == {("lift_tray", 0): condense(RESULT, 0)}
    again.append(condense(RESULT, 1))
    assert first.path.read_text() == text
    first.path.write_text('{"se')  # killed while it wrote the first line
    EpisodeFile(tmp_path, "smp", words, resume=True).append(condense(RESULT, 1))
    assert EpisodeFile(tmp_path, "smp", words, resume=True).done == {("lift_tray", 1): condense(RESULT, 1)}
    assert EpisodeFile(tmp_path, "smp", {"seed": 2}, resume=True).done == {}
    assert EpisodeFile(tmp_path, "smp", words, resume=False).done == {}


def test_a_line_that_is_no_episode_is_named(tmp_path):
    path = EpisodeFile(tmp_path, "smp", {}, resume=True).path
    path.write_text(path.read_text() + json.dumps({"task": "lift_tray"}) + "\n")
    with pytest.raises(ConfigError, match=r"jsonl:2 is no episode"):
        EpisodeFile(tmp_path, "smp", {}, resume=True)


def test_every_condition_is_another_evaluation(checkpoints, robot):
    job = EpisodeJob("lift_tray", robot, checkpoints["smp"][0], 0, 0)
    others = [
        replace(job, seed=1),
        replace(job, variation="wide"),
        replace(job, action_offset=0.02),
        replace(job, sensor_noise=0.01),
        replace(job, swap_images=True),
        replace(job, model=checkpoints["diffusion"][0]),
    ]
    assert all(arguments(other) != arguments(job) for other in others)
    assert arguments(replace(job, task="transfer_cube", episode=7)) == arguments(job)


def test_arms_that_pass_through_each_other_are_counted(robot):
    world = World(TASKS["transfer_cube"](), robot)
    world.reset(1)
    collisions = Collisions(world.model, robot)
    collisions.look(world.data)
    assert (collisions.arms, collisions.table) == (0, 0)
    reaching = robot.joint_array("home").copy()
    for arm in robot.arms:
        reaching[robot.arm_slices[arm.name]][1:3] = 0.3, 0.5
    for pose in (reaching, reaching, robot.joint_array("home"), reaching):
        world.pose_arms(pose)
        collisions.look(world.data)
    assert collisions.arms == 2


def test_an_arm_that_is_pushed_into_the_table_is_counted_once(robot):
    world = World(TASKS["transfer_cube"](), robot)
    world.reset(1)
    collisions = Collisions(world.model, robot)
    down = robot.joint_array("home").copy()
    down[robot.arm_slices["left"]][1:3] = 0.6, 1.2
    for _ in range(50):
        world.set_setpoint(down)
        world.step(0.04)
        collisions.look(world.data)
    assert collisions.table == 1


def test_an_offset_moves_the_arms_beside_their_setpoint_and_spares_the_grippers(robot):
    world = World(TASKS["transfer_cube"](), robot)
    world.reset(1)
    world.set_offset(0.02)
    home = robot.joint_array("home")
    for _ in range(50):
        world.set_setpoint(home)
        world.step(0.02)
    off = world.joint_state()[0] - home
    grippers = np.array([joint.gripper for joint in robot.joints])
    np.testing.assert_allclose(off[~grippers], 0.02, atol=2e-3)
    np.testing.assert_allclose(off[grippers], 0.0, atol=1e-3)


class Seen(AbstractPolicy):
    """Keeps what it is told."""

    config = PolicyConfig("diffusion", track="state")

    def infer(self, observation, seed, prefix=None):
        self.observation = observation
        return None, None


def test_noise_reaches_joints_and_poses_and_nothing_else(robot):
    world = World(TASKS["stack_blocks"](), robot)
    world.reset(1)
    state, objects = world.joint_state()[0][None], world.objects()[None]
    seen = Seen()
    NoisySensors(seen, robot, 0.01, 3).infer(Observation(0, {}, state, state * 0, objects), 0)
    grippers = np.array([joint.gripper for joint in robot.joints])
    moved = (seen.observation.position != state)[0]
    np.testing.assert_array_equal(moved, ~grippers)
    changed = (seen.observation.objects != objects)[0]
    np.testing.assert_array_equal(changed[:POSE_SIZE], objects[0, :POSE_SIZE] != 0)
    assert not changed[POSE_SIZE:].any()
    first = seen.observation.position
    NoisySensors(seen, robot, 0.01, 3).infer(Observation(0, {}, state, state * 0, objects), 0)
    np.testing.assert_array_equal(seen.observation.position, first)


KEYS = """
import sys
from pathlib import Path

from smp_bringup import paths
from smp_bringup.bench.evaluate import EpisodeJob, arguments
from smp_bringup.robot import load_robot

job = EpisodeJob("lift_tray", load_robot("aloha"), Path(sys.argv[1]), 0, 0)
print(arguments(job)["sha256"])
for change in sys.argv[2:]:
    file, old, new = change.split("|")
    path = paths.share("config", file)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    print(arguments(job)["sha256"])
    path.write_text(text)
"""
COMMENT, *MOVING = (
    "safety/default.yaml|checks:|# a remark\nchecks:",
    "safety/default.yaml|max_tracking_error: 0.5|max_tracking_error: 0.4",
    "geometry/vx300s.yaml|radius: 0.05|radius: 0.06",
    "simulations/aloha.yaml|waist: [300, 30]|waist: [300, 31]",
    "tasks/transfer_cube.yaml|hold_s:|hold_s: 0.123 #",
    "variations/ordinary.yaml|spread:|spread: 0.5 #",
)


def test_whatever_moves_a_robot_is_part_of_what_an_evaluation_is_found_again_by(checkpoints, robot, tmp_path):
    """In a copy of the package, whose configuration can be changed."""
    root = Path(__file__).parents[2]
    shutil.copytree(root / "src" / "smp_bringup", tmp_path / "src" / "smp_bringup")
    shutil.copytree(root / "config", tmp_path / "config")
    shutil.copy(root / "package.xml", tmp_path)
    model = checkpoints["smp"][0]
    command = [sys.executable, "-c", KEYS, str(model), COMMENT, *MOVING]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), *sys.path])}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    first, remarked, *moved = done.stdout.split()
    assert remarked == first
    assert len({first, *moved}) == 1 + len(MOVING)
    job = EpisodeJob("lift_tray", robot, model, 0, 0)
    assert arguments(job)["sha256"] == first
    faster = replace(robot, state_rate_hz=200.0)
    assert arguments(replace(job, robot=faster))["sha256"] != first
