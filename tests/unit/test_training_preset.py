"""A preset changes any run, for any robot, and the card says what it changed."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smp_bringup.bench.study import Row, Study, cells
from smp_bringup.cli.app import app
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.training.config import load_run
from smp_bringup.training.preset import Preset, load_preset

sys.path.insert(0, str(Path(__file__).parents[1]))
from other_robots import demonstrate, six

REGRESSIONS = "eyes_regression", "v2_regression"
RUNS = sorted({path.stem for path in share("config", "policies").glob("*.yaml")} - {*REGRESSIONS})
FEW = load_preset("few")


def value(run, path):
    for name in path.split("."):
        run = getattr(run, name)
    return run


@pytest.mark.parametrize("name", ["aloha", "dual_ur5e"])
@pytest.mark.parametrize("run", RUNS)
def test_few_is_made_to_every_run_that_denoises_of_every_robot(run, name):
    robot = load_robot(name)
    plain = load_run(run, robot)
    made = load_run(run, robot, FEW.set)
    assert (made.policy.kind, made.policy.sights) == (plain.policy.kind, plain.policy.sights)
    for change in FEW.set:
        path, _, wanted = change.partition("=")
        assert str(value(made, path)) == wanted, "written as it is read, so that the card says what was trained"


@pytest.mark.parametrize("run", REGRESSIONS)
def test_a_run_that_denoises_nothing_says_what_to_leave_out(run):
    with pytest.raises(ConfigError, match="a regression denoises nothing: leave out 'noise'"):
        load_run(run, load_robot("aloha"), FEW.set)


def test_what_is_set_beside_a_preset_comes_after_it(tmp_path):
    robot = six("top", "side")
    demonstrate(tmp_path / "bags/reach/0", robot)
    demonstrate(tmp_path / "bags/reach/1", robot, seed=1)
    (tmp_path / "mine.yaml").write_text(
        "policy: diffusion\nset: [training.steps=900, training.pairs=2, training.warmup_steps=1, policy.horizon=8]\n"
    )
    words = ["--preset", tmp_path / "mine.yaml", "--steps", 2, "--set", "training.pairs=3", "--out", tmp_path / "run"]
    done = CliRunner().invoke(app, ["train", "--bags", str(tmp_path / "bags"), *map(str, words)])
    assert done.exit_code == 0, done.output
    assert "sees cameras top, side" in done.output
    card = (tmp_path / "run/model/README.md").read_text()
    assert "--policy diffusion --seed 0 --set training.steps=900 --set training.pairs=2" in card
    assert "--set policy.horizon=8 --set training.pairs=3 --set training.steps=2" in card
    assert "| training | 2 steps of 6 samples" in card


def test_a_run_that_is_named_is_taken_instead_of_the_presets(tmp_path, monkeypatch):
    demonstrate(tmp_path / "bags/reach/0", six())
    monkeypatch.chdir(tmp_path)
    words = ["--policy", "dibm", "--preset", "few", "--set", "training.pairs=2", "--steps", "1"]
    done = CliRunner().invoke(app, ["train", "--bags", "bags", *words])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "runs/few/model/README.md").read_text()
    assert card.startswith("# dibm policy")
    assert f"--policy dibm --seed 0 --set {FEW.set[0]}" in card


def test_a_row_of_a_study_trains_what_the_preset_says(tmp_path):
    demonstrate(tmp_path / "bags/reach/0", six())
    rows = {
        "plain": Row("diffusion"),
        "few": Row("diffusion", preset="few"),
        "by_hand": Row("diffusion", set=FEW.set),
        "and_more": Row("diffusion", preset="few", set=("training.pairs=8",)),
    }
    found = {cell.row: cell for cell in cells(Study("x", rows, seeds=(0,)), tmp_path / "bags", tmp_path / "out")}
    assert found["few"].model == found["by_hand"].model
    assert len({cell.model for cell in found.values()}) == 3
    assert found["and_more"].job.changes == (*FEW.set, "training.pairs=8")
    with pytest.raises(ConfigError, match="'preset' is of a training, model 'smp_aloha' is taken as it is"):
        Row(model="smp_aloha", preset="few")


def test_no_preset_changes_nothing():
    assert load_preset("") == Preset("smp", ())
    with pytest.raises(UnknownNameError, match=r"unknown preset 'fwe' \(did you mean 'few'\?\)"):
        load_preset("fwe")


def test_a_preset_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("policy: smp\nsets: []\n")
    with pytest.raises(ConfigError, match=r"unknown key 'sets' \(did you mean 'set'\?\)"):
        load_preset(str(tmp_path / "x.yaml"))
