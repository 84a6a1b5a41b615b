"""examples/gym_aloha: somebody else's simulation under our command core; all of it runs by `make gym-aloha`."""

import importlib
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from smp_bringup.bag.aligned import aligned_sets
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import ConfigError
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.robot import load_robot
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.seeds import demonstration_seed, evaluation_seed
from smp_bringup.types import ActionChunk, GateReport, seconds

EXAMPLE = Path(__file__).parents[2] / "examples" / "gym_aloha"
needs_gym = pytest.mark.skipif(find_spec("dm_control") is None, reason="gym-aloha's packages: make gym-aloha")
TASKS = ("transfer_cube", "insertion")


@pytest.fixture
def example(monkeypatch):
    """Return an importer of the example's files."""
    monkeypatch.syspath_prepend(EXAMPLE)
    return importlib.import_module


@pytest.mark.parametrize("task", TASKS)
def test_the_operator_reaches_every_corner_of_the_layouts(task, example):
    plan = example("motions").plan
    for y, other in product((0.4, 0.6), repeat=2):
        far = {"transfer_cube": [[other - 0.4, y, 0.05]], "insertion": [[0.1, y, 0.05], [-0.2, other, 0.05]]}
        motion = plan(task, np.array(far[task]))
        assert motion.duration_s < 8


def test_the_arms_are_those_of_the_shipped_robot():
    theirs, ours = load_robot(str(EXAMPLE / "robot.yaml")), load_robot("aloha")
    assert theirs.joint_names == ours.joint_names
    for limit in ("min", "max", "velocity", "acceleration", "jerk"):
        np.testing.assert_array_equal(theirs.joint_array(limit), ours.joint_array(limit))


@needs_gym
@pytest.mark.parametrize("task", TASKS)
def test_a_world_steps_as_the_environment_does(task, example):
    world_file = example("world")
    world, theirs = world_file.AlohaWorld(task), world_file.AlohaEnv(task)
    world.reset(3)
    theirs.reset(seed=3)
    wanted = world.joint_state()[0] + 0.02
    world.set_setpoint(wanted)
    world.step(0.02)
    reward = theirs.step(world_file.to_action(wanted))[1]
    position = theirs._env.task.get_qpos(theirs._env.physics)
    np.testing.assert_allclose(world_file.to_action(world.joint_state()[0]), position, rtol=1e-9)
    assert world.best_reward == reward


@needs_gym
def test_grippers_are_in_metres(example):
    to_action, robot = example("world").to_action, load_robot("aloha")
    closed, opened = (to_action(robot.joint_array(end))[~robot.turning] for end in ("min", "max"))
    assert ((closed > 0) & (closed < 0.1) & (opened > 0.9) & (opened < 1)).all()


@needs_gym
@pytest.mark.parametrize("task", TASKS)
def test_a_demonstration_is_solved_by_their_reward(task, example, tmp_path):
    world = example("world").AlohaWorld(task)
    assert example("record").record(world, demonstration_seed(1, 0), tmp_path / "bag", noise=0.0)
    bag = open_bag(tmp_path / "bag")
    assert (bag.outcome, bag.text) == ("success", example("world").TASKS[task])
    assert len(list(aligned_sets(bag, bag.robot()))) > 100


class Oracle(AbstractPolicy):
    """Knows the motion, and says it chunk by chunk; or stays where it is."""

    config = PolicyConfig("oracle", ("top",), replan_s=0.32)

    def __init__(self, target):
        self._target = target

    def infer(self, observation, seed, prefix=None):
        start_s = seconds(observation.stamp_ns - START_NS)
        rows = [self._target(start_s + 0.04 * k) for k in range(self.config.horizon)]
        one = np.ones(1)
        gate = GateReport(observation.stamp_ns, one, one, (0,), 1.0, np.zeros(1, dtype=np.int64), {})
        return ActionChunk(observation.stamp_ns, 0.04, np.array(rows)), gate


@needs_gym
def test_a_policy_is_judged_by_their_reward(example):
    world = example("world").AlohaWorld("transfer_cube")
    seed = evaluation_seed(1, 0)
    world.reset(seed)
    home = world.joint_state()[0]
    motion = example("motions").plan("transfer_cube", world.objects()[None, :3])
    episode = example("evaluate").episode
    solved, still = episode(world, Oracle(motion.target), seed), episode(world, Oracle(lambda time_s: home), seed)
    assert (solved["success"], solved["reward"], solved["fault"]) == (True, 4, "")
    assert (still["success"], still["reward"], still["time_s"]) == (False, 0, 8.0)


@pytest.mark.parametrize(
    ("read", "text"),
    [(read, text) for read in ("seed_of", "episodes_of") for text in ("-1", "1.5", "x", "", "\u00b2", "4294967296")]
    + [("episodes_of", "0"), ("seed_of", "21474")],
)
def test_a_number_that_cannot_be_is_refused(read, text, example):
    with pytest.raises(ConfigError, match=r"is a whole number from \d to"):
        getattr(example("arguments"), read)(text)


def test_the_last_seed_is_one_that_the_environment_has(example):
    seed = example("arguments").seed_of("21473")
    np.random.RandomState(demonstration_seed(seed, 0))


@needs_gym
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate.py", "transfer_cube", "nobodys"], "unknown model 'nobodys'"),
        (["evaluate.py", "insertion", "nobodys", "--json", "/proc/none/x.json"], "cannot write to '/proc/none/x.json'"),
        (["evaluate.py", "insertion", "nobodys", "--seed", "-1"], "a seed is a whole number from 0 to"),
        (["record.py", "insertion", "--episodes", "1", "--out", "/proc/none"], "bag '/proc/none/"),
        (
            ["compare.py", "camera", "62", "--json", "{other}"],
            "of another track, evaluation seed or number of episodes",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(words, says, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('[{"track": "camera", "evaluation_seed": 61, "episodes": 50}]')
    script, *rest = [word.format(other=other) for word in words]
    done = subprocess.run([sys.executable, EXAMPLE / script, *rest], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
