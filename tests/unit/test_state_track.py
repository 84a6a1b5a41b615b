"""The state track: one vector for all tasks, the same in the world, in bags and in observations."""

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import ModelError, OutputError
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy, known_objects
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs, recorded
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.state_demonstration import record_state_demonstration
from smp_bringup.sim.state_track import Follower, state_rollout
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.tasks.state import FIRST_SIZE, SLOTS, STATE_NAMES, STATE_SIZE
from smp_bringup.types import ActionChunk, GateReport, seconds
from smp_bringup.wire import OBJECTS_TOPIC

ROOT = Path(__file__).parents[2]


class Oracle(AbstractPolicy):
    """Answers with the scripted operator's motion, and keeps what it was shown."""

    def __init__(self, world, robot, seed):
        self.config = PolicyConfig("diffusion", track="state", observation_steps=2)
        world.reset(seed)
        self.operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
        self.seen = deque()

    def infer(self, observation, seed, prefix=None):
        self.seen.append(observation)
        start_s = seconds(observation.stamp_ns - START_NS)
        rows = np.stack([self.operator.target(start_s + k * 0.04) for k in range(16)])
        one = np.ones(1)
        gate = GateReport(observation.stamp_ns, one, one, (0,), 1.0, np.ones(1, np.int64), {})
        return ActionChunk(observation.stamp_ns, 0.04, rows), gate


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_fits_the_vector(task, robot):
    world = World(TASKS[task](), robot)
    world.reset(1)
    seen = world.objects()
    assert len(seen) == (FIRST_SIZE if task in GROUPS["all"] else STATE_SIZE)
    assert len(STATE_NAMES) == STATE_SIZE == 9 * SLOTS + len(TASKS)
    state = dict(zip(STATE_NAMES, np.pad(seen, (0, STATE_SIZE - len(seen))), strict=True))
    assert [n for n in STATE_NAMES if n.startswith("task_") and state[n]] == [f"task_{task}"]
    for slot, name in enumerate(world.task.objects):
        body = world.data.body(name)
        np.testing.assert_array_equal([state[f"object{slot}_{axis}"] for axis in "xyz"], body.xpos)
        x, y = ([state[f"object{slot}_{a}{b}"] for b in "xyz"] for a in "xy")
        np.testing.assert_allclose(np.stack([x, y, np.cross(x, y)], axis=1), body.xmat.reshape(3, 3), atol=1e-12)
    assert not world.objects()[9 * len(world.task.objects) : 9 * SLOTS].any()


def test_a_chunk_of_the_operator_solves_the_task_from_observations_an_action_period_apart(robot):
    world = World(TASKS["press_two_buttons"](), robot)
    oracle = Oracle(world, robot, 3)
    result = state_rollout(world, oracle, robot, 3)
    assert result.success
    first, second = oracle.seen[0], oracle.seen[1]
    assert first.stamp_ns - START_NS == 40_000_000
    assert second.stamp_ns - first.stamp_ns == 160_000_000
    assert first.images == {}
    assert first.objects.shape == (2, FIRST_SIZE)
    world.reset(3)
    np.testing.assert_array_equal(first.objects[0], world.objects())


def test_the_vector_of_benchmark_v1_is_what_it_was():
    first = [f"task_{name}" for name in sorted(GROUPS["all"])]
    assert list(STATE_NAMES[9 * SLOTS : FIRST_SIZE]) == first
    assert [name for name in STATE_NAMES if name.startswith("task_")][:8] == first


def test_a_shipped_policy_does_what_it_was_trained_for_and_refuses_a_task_that_came_later(robot):
    policy = build_policy(find_model("smp_state"), robot)
    world = World(TASKS["lift_tray"](), robot)
    assert state_rollout(world, policy, robot, 1).gates
    with pytest.raises(ModelError, match=r"knows the first 35 numbers .* and number .* not trained for this task"):
        state_rollout(World(TASKS["tray_to_back"](), robot), policy, robot, 1)


def test_a_policy_of_more_tasks_is_told_zeros_after_the_vector_of_the_first(rng):
    told = rng.normal(size=(2, FIRST_SIZE))
    np.testing.assert_array_equal(known_objects(told, STATE_SIZE)[:, :FIRST_SIZE], told)
    assert not known_objects(told, STATE_SIZE)[:, FIRST_SIZE:].any()
    np.testing.assert_array_equal(known_objects(known_objects(told, STATE_SIZE), FIRST_SIZE), told)


def test_the_follower_keeps_positions_and_velocities_inside_the_limits(robot, rng):
    home = robot.joint_array("home")
    follower, last = Follower(robot, home), home
    for k in range(200):
        if k % 10 == 0:
            rows = home + rng.normal(size=(16, robot.dof)) * 5
            assert follower.on_chunk(ActionChunk(START_NS + k * 10_000_000, 0.04, rows), START_NS) is None
        now = follower.step(START_NS + k * 10_000_000).copy()
        assert (np.abs(now - last) <= robot.joint_array("velocity") * 0.01 + 1e-12).all()
        np.testing.assert_array_equal(now, np.clip(now, robot.joint_array("min"), robot.joint_array("max")))
        last = now
    np.testing.assert_array_equal(follower.step(START_NS * 2), last)


def test_both_tracks_record_the_objects_at_the_action_rate(tmp_path, robot):
    world = World(TASKS["press_two_buttons"](), robot)
    recorded = {}
    for record in (record_demonstration, record_state_demonstration):
        assert record(world, robot, 3, tmp_path / record.__name__, 0.0)
        messages = [m for topic, _, m in open_bag(tmp_path / record.__name__).messages({OBJECTS_TOPIC})]
        recorded[record] = [np.array(m.position) for m in messages]
        assert tuple(messages[0].name) == STATE_NAMES[:FIRST_SIZE]
        stamps = [m.header.stamp.sec * 1_000_000_000 + m.header.stamp.nanosec for m in messages]
        assert set(np.diff(stamps)) == {40_000_000}
    world.close()
    world.reset(3)
    for states in recorded.values():
        np.testing.assert_array_equal(states[0], world.objects())


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("x"), lambda path: path.mkdir()], ids=["file", "empty"])
def test_what_has_the_name_of_a_bag_and_is_none_is_said_before_the_work(spoil, robot, tmp_path):
    (job,) = jobs("press_two_buttons", 1, 0, tmp_path, DemonstrationJob(robot, 0.0))
    assert not recorded(job)
    job.folder.parent.mkdir()
    spoil(job.folder)
    with pytest.raises(OutputError, match="is no bag, and a bag is to have its name: remove it"):
        next(collect([job], 1))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("smp_aloha", "is of the camera track: name one of the state track"),
        ("smp_state", "has no demonstration for"),
        ("nobodys", "models/nobodys"),
    ],
)
def test_the_tool_that_displaces_arms_says_what_it_cannot_use(model, said, tmp_path):
    words = [sys.executable, ROOT / "tools/leads_back.py", tmp_path / "none", ROOT / "models" / model]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
