"""Spoiled checkpoints are flagged, sound ones pass; comparison, report and exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smp_bringup.bench import spoil
from smp_bringup.bench.predict import spearman
from smp_bringup.bench.rounding import followed
from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.paths import share
from smp_bringup.replay.batch import ReplayJob, run_one
from smp_bringup.replay.compare import differences
from smp_bringup.replay.criteria import Criterion, failing, load_criteria, parse_criterion
from smp_bringup.replay.metrics import summarise
from smp_bringup.replay.run import ReplaySettings
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS


@pytest.fixture(scope="module")
def bag(robot, tmp_path_factory):
    """A demonstration of the simulated robot, which the shipped models know."""
    folder = tmp_path_factory.mktemp("bags") / "press"
    world = World(TASKS["press_two_buttons"](), robot)
    assert record_demonstration(world, robot, demonstration_seed(3, 0), folder, noise=0.0)
    world.close()
    return folder


def figures(bag, model):
    return summarise(run_one(ReplayJob(bag, model)).samples)


@pytest.mark.parametrize("model", ["sparse_aloha", "smp_aloha", "diffusion_aloha"])
def test_a_shipped_model_passes_the_criteria(bag, model):
    assert failing(load_criteria("default"), figures(bag, share("models", model))) == []


def test_spoiled_checkpoints_fail_them(bag, robot, tmp_path):
    good = share("models", "smp_aloha")
    spoiled = [
        spoil.noisy(good, tmp_path / "noise", 0.15, seed=0),
        spoil.swapped_arms(good, tmp_path / "arms", robot),
        spoil.wrong_normalizer(good, tmp_path / "normalizer", 0.1),
    ]
    for model in spoiled:
        assert failing(load_criteria("default"), figures(bag, model)), model.name


def test_a_comparison_says_which_is_worse(bag, tmp_path):
    good = share("models", "smp_aloha")
    bad = spoil.noisy(good, tmp_path / "bad", 0.2, seed=1)
    one, two = run_one(ReplayJob(bag, good)).samples, run_one(ReplayJob(bag, bad)).samples
    rows = {row.name: row for row in differences([one] * 3, [two] * 3)}
    assert rows["joint_rmse"].word == "worse"
    assert rows["joint_rmse"].change == pytest.approx(rows["joint_rmse"].second - rows["joint_rmse"].first)
    assert {row.word for row in differences([one], [one])} <= {"no difference"}


def test_recorded_episodes_judge_a_rounded_policy(bag, robot, tmp_path):
    good = share("models", "smp_aloha")
    bad = spoil.noisy(good, tmp_path / "bad", 0.2, seed=1)
    before, after = followed(good, shutil.copytree(good, tmp_path / "same"), robot, [bag], lambda: None)
    assert before == after
    with pytest.raises(ModelError, match=r"rad from the operator's, 0.\d+ before: rounding may make that 1.05 times"):
        followed(good, bad, robot, [bag], lambda: None)


def test_two_runs_are_equal_to_the_bit_and_another_seed_is_told(bag):
    model = share("models", "diffusion_aloha")
    digests = [run_one(ReplayJob(bag, model, settings=ReplaySettings(seed=seed))).result.digest for seed in (0, 0)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("text", ["joint_rmse", "joint_rmse=1", "joint_rmse>x", "__import__('os')>1"])
def test_a_gate_is_a_figure_a_sign_and_a_number(text):
    with pytest.raises(ConfigError, match="must be a figure"):
        parse_criterion(text)


def test_a_figure_that_is_no_number_fails_and_an_unknown_one_is_named():
    criterion = Criterion("joint_rmse", ">", 0.1)
    assert failing([criterion], {"joint_rmse": float("nan")})
    assert failing([criterion], {"joint_rmse": 0.05}) == []
    with pytest.raises(ConfigError, match=r"no figure 'joint_rmse' \(did you mean 'joint_rms'\?\)"):
        failing([criterion], {"joint_rms": 1.0})


def test_ranks_correlate_as_they_should():
    import numpy as np

    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 25, 99])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1])) == pytest.approx(-1)
    assert np.isnan(spearman(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))


def smp(*words):
    command = [sys.executable, "-m", "smp_bringup.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_exit_codes_report_and_json(bag, tmp_path):
    done = smp("replay", bag, "--fail-if", "joint_rmse>1e-9", "--report", tmp_path, "--json", tmp_path / "out.json")
    assert done.returncode == 1, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "Worst moments" in page
    assert "FAIL" in page
    assert page.count('<svg role="img"') >= 1
    assert page.count("data:image/webp;base64,") >= 2
    assert "http" not in page.replace("http-equiv", "")
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["failed"] == ["joint_rmse>1e-09"]
    assert data["bags"][str(bag)]["actions"]
    missing = smp("replay", bag, "--fail-if", "jont_rmse>1")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert smp("bag", "check", bag).returncode == 0
    assert smp("bag", "check", Path(__file__).parent / "bags").returncode == 1
