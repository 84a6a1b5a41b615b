"""The recipe "add a policy": one registration is all that training, checkpoints and deployment ask of a new kind."""

import sys
from pathlib import Path

import numpy as np
import pytest

from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.policy import POLICIES, policy_config
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.sim.state_demonstration import record_state_demonstration
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.training.job import Training, TrainingJob
from smp_bringup.types import Observation

OWN = Path(__file__).parent / "own_policy"


@pytest.fixture
def registered(monkeypatch):
    """Import the policy as its user would; its registration ends with the test."""
    monkeypatch.setattr(POLICIES, "_entries", dict(POLICIES._entries))
    monkeypatch.syspath_prepend(str(OWN))
    import tiny

    yield tiny
    for name in ("tiny", "tiny_net"):
        sys.modules.pop(name, None)


@pytest.fixture
def bags(tmp_path, robot):
    world = World(TASKS["press_two_buttons"](), robot)
    for seed in (1, 3):
        record_state_demonstration(world, robot, seed, tmp_path / "demos/press_two_buttons" / str(seed), 0.0)
    return tmp_path / "demos"


def test_a_policy_outside_the_package_trains_exports_and_runs(registered, bags, robot, rng, tmp_path):
    training = Training(TrainingJob(bags, str(OWN / "tiny.yaml")))
    trained = training.trainer(tmp_path / "run").train(lambda step, losses: None)
    training.save(trained, tmp_path / "model")
    policy = load_policy(tmp_path / "model", robot)
    assert isinstance(policy, registered.TinyPolicy)
    assert policy.config.tiny.pull == 2.0
    objects = rng.normal(size=(1, training.data.objects.shape[1])).astype(np.float32)
    home = robot.joint_array("home")[None]
    chunk, report = policy.infer(Observation(1, {}, home, home * 0, objects), 0)
    mean = training.data.action.mean((0, 1))
    assert np.abs(chunk.position - mean).max() < 0.25 * np.abs(training.data.action - mean).max()
    assert report.active == (0,)
    assert "# tiny policy" in (tmp_path / "model/README.md").read_text()


def test_its_section_is_its_own(registered):
    with pytest.raises(ConfigError, match=r"tiny: unknown key 'push' .did you mean 'pull'"):
        policy_config({"kind": "tiny", "track": "state", "tiny": {"push": 1.0}}, "x")
    with pytest.raises(ConfigError, match="section 'tiny' is not read by a policy of kind diffusion"):
        policy_config({"kind": "diffusion", "track": "state", "tiny": {}}, "x")


def test_what_has_no_router_cannot_be_composed(registered, bags, tmp_path):
    training = Training(TrainingJob(bags, str(OWN / "tiny.yaml"), ("training.steps=1",)))
    training.save(training.trainer(tmp_path / "run").train(lambda step, losses: None), tmp_path / "model")
    with pytest.raises(ModelError, match="a tiny policy has no router to train alone"):
        Training(TrainingJob(bags, str(OWN / "tiny.yaml"), start=tmp_path / "model", only_router=True))
