"""A study trains and judges its rows once, shares what is equal, and says what it found."""

import os
import shutil

import numpy as np
import pytest

from smp_bringup.bench.phases import Walk, agreement, walk
from smp_bringup.bench.study import Evaluation, cells, load_study, train
from smp_bringup.errors import ConfigError
from smp_bringup.paths import share
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.sim.state_demonstration import record_state_demonstration
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

POLICY = """
policy:
  kind: smp
  track: state
  encoder: {feature: 16}
  denoiser: {width: 16, depth: 1}
  smp: {form: motion, experts: 3, mean: {width: 16, depth: 1}, gate: {top_k: 0}}
training: {steps: 3, pairs: 4}
"""
STUDY = """
text: a small study
seeds: [4, 5]
episodes: 1
rows:
  all: {policy: POLICY, tasks: [press_two_buttons]}
  one_expert: {policy: POLICY, tasks: [press_two_buttons], deploy: [gate.top_k=1]}
  few_shot: {policy: POLICY, start: all, limit: 1, only_router: true, tasks: [press_two_buttons]}
"""


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory, robot):
    bags = tmp_path_factory.mktemp("study") / "demos"
    world = World(TASKS["press_two_buttons"](), robot)
    for seed in (1, 3):
        assert record_state_demonstration(world, robot, seed, bags / "press_two_buttons" / f"episode_{seed}", 0.0)
    return bags


def written(folder, text):
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "study.yaml").write_text(text.replace("POLICY", str(folder / "policy.yaml")))
    return str(folder / "study.yaml")


def test_rows_that_train_alike_share_a_model_and_nothing_is_done_twice(tmp_path, demonstrations):
    study = load_study(written(tmp_path, STUDY))
    wanted = cells(study, demonstrations, tmp_path)
    models = {(cell.row, cell.seed): cell.model for cell in wanted}
    assert models["all", 4] == models["one_expert", 4]
    assert len(set(models.values())) == 4
    assert len(list(train(wanted, 2))) == 4
    assert list(train(wanted, 2)) == []
    evaluation = Evaluation(study, wanted, tmp_path)
    assert len(list(evaluation.run(2))) == 6
    assert Evaluation(study, wanted, tmp_path).missing == []
    rows = evaluation.report()["rows"]
    assert rows["one_expert"]["active_experts"]["mean"] == 1.0
    assert set(rows["all"]["training_seeds"]) == {4, 5}
    assert rows["all"]["all"]["episodes"] == 2
    parameters = rows["one_expert"]["parameters"]
    assert 0 < parameters["active"] < parameters["total"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("few: {policy: smp_state, start: nobody}", "row 'few' starts from 'nobody', which is no row"),
        ("few: {policy: smp_state, sed: []}", "unknown key 'sed' (did you mean 'set'?)"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(line, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        load_study(written(tmp_path, f"text: x\nrows:\n  {line}\n"))
    assert message in str(error.value)


@pytest.mark.parametrize("name", sorted(file.stem for file in share("config", "studies").glob("*.yaml")))
def test_the_studies_of_the_documentation_are_valid(name):
    assert load_study(name).rows


def test_a_gate_that_follows_the_phases_tells_more_than_chance(rng):
    phase = np.repeat([[0, 0], [1, 0], [1, 1]], 20, axis=0)
    gate = np.eye(3)[np.repeat([2, 0, 1], 20)]
    follows = [Walk(np.arange(60.0), phase, gate, None) for _ in range(4)]
    told, chance = agreement(follows)
    assert told == pytest.approx(1.0)
    assert chance < 0.6
    ignores = [Walk(np.arange(60.0), phase, rng.uniform(size=(60, 3)), None) for _ in range(4)]
    assert agreement(ignores)[0] < 0.1


def test_a_policy_looks_on_while_the_operator_works(demonstrations, tmp_path, robot):
    study = load_study(written(tmp_path, STUDY))
    cell = cells(study, demonstrations, tmp_path)[0]
    next(train([cell], 1))
    one = walk(World(TASKS["press_two_buttons"](), robot), load_policy(cell.model, robot), 2)
    assert one.gate.shape == (len(one.time_s), 3)
    assert one.basis.shape == (len(one.time_s), robot.dof, 3)
    assert (np.diff(one.phase, axis=0) >= 0).all()
    assert one.phase.max() > 0


def test_bags_recorded_anew_are_trained_on_anew(tmp_path, demonstrations):
    bags = shutil.copytree(demonstrations, tmp_path / "demos")
    study = load_study(written(tmp_path, STUDY))
    before = cells(study, bags, tmp_path)
    assert cells(study, bags, tmp_path) == before
    os.utime(next(bags.rglob("*.mcap")), (1, 1))
    assert {cell.model for cell in cells(study, bags, tmp_path)}.isdisjoint(cell.model for cell in before)


def test_what_is_decided_at_deployment_trains_nothing_anew(tmp_path, demonstrations):
    study = load_study(written(tmp_path, STUDY.split("  one_expert")[0].replace("[4, 5]", "[4]")))
    wanted = cells(study, demonstrations, tmp_path)
    list(train(wanted, 1))
    for top_k in (1, 2):
        changed = POLICY.replace("top_k: 0", f"top_k: {top_k}")
        (tmp_path / "policy.yaml").write_text(changed)
        assert cells(study, demonstrations, tmp_path) == wanted
        evaluation = Evaluation(study, wanted, tmp_path)
        assert len(list(evaluation.run(1))) == 1
        assert evaluation.report()["rows"]["all"]["active_experts"]["mean"] == top_k
