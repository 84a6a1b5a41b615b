"""Robots unlike the shipped one, from their bags to a verdict, a policy and its gates: nothing needs a gripper."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.bag.reader import open_bag
from smp_bringup.camera import Depth
from smp_bringup.cli.app import app
from smp_bringup.errors import ConfigError
from smp_bringup.joints import Joint
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig
from smp_bringup.replay.criteria import Criterion, failing, load_criteria, unjudged
from smp_bringup.replay.metrics import samples, summarise
from smp_bringup.replay.run import ReplaySettings, replay
from smp_bringup.safety.config import JointLimits, load_safety
from smp_bringup.training.config import load_run
from smp_bringup.training.job import Training, TrainingJob
from smp_bringup.types import ActionChunk, GateReport

sys.path.insert(0, str(Path(__file__).parents[1]))
from other_robots import MS, T0, arm, demonstrate, railed, six, swing, turning
from other_robots import robot as robot_of

CAMERA_RUNS = ("smp", "smp_shared", "dibm", "diffusion", "diffusion_total", "sparse", "paper")
FIVE = ("hand", "front", "back", "left_eye", "right_eye")
SMALL = ("training.steps=2", "training.pairs=2", "training.warmup_steps=1")
HAND = Joint("finger", 0.0, 0.085, 0.2, 2.0, 40.0, gripper=True)


def smp(*words):
    """Run the command line; return its exit code and what it said. What would be one line on stderr is raised."""
    done = CliRunner().invoke(app, [*map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


@pytest.mark.parametrize("name", CAMERA_RUNS)
@pytest.mark.parametrize("seen", [("top",), ("b", "a"), FIVE])
def test_every_shipped_run_takes_the_cameras_and_joints_that_the_robot_has(name, seen):
    policy = load_run(name, six(*seen)).policy
    assert policy.cameras == seen, "the robot file's, in its order"
    assert (policy.depth, policy.vectors) == ((), ())
    if policy.kind == "smp":
        assert policy.smp.experts == 6, "a basis of six joints has no more directions"


def test_what_a_run_names_is_what_it_sees():
    body = six("top", "side", "deep")
    body = replace(body, cameras=(*body.cameras[:2], replace(body.cameras[2], depth=Depth(0.2, 2.0))))
    assert load_run("diffusion", body).policy.cameras == ("top", "side"), "a depth camera is seen where it is named"
    told = load_run("diffusion", body, ["policy.cameras=[side]", "policy.depth=[deep]"]).policy
    assert (told.cameras, told.depth) == (("side",), ("deep",))
    alone = load_run("diffusion", body, ["policy.cameras=[]", "policy.depth=[deep]"]).policy
    assert alone.sights == ("deep",)
    assert load_run("smp", body, ["policy.smp.experts=3"]).policy.experts == 3
    assert load_run("diffusion_state", body).policy.cameras == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "policy.cameras=[top]",
            "sees camera 'top', robot 'six' has front: name what there is, e.g. --set 'policy",
        ),
        ("policy.depth=[front]", "sees depth camera 'front', robot 'six' has no depth camera"),
        ("policy.vectors=[wrench]", "sees vector 'wrench', robot 'six' has no vector"),
        ("policy.smp.experts=8", "smp.experts is 8, the robot has 6 joints"),
    ],
)
def test_what_does_not_fit_is_said_before_a_bag_is_read(change, said, tmp_path, monkeypatch):
    demonstrate(tmp_path / "bags/reach/0", six())

    def read(*_):
        raise AssertionError("a bag was read")

    monkeypatch.setattr("smp_bringup.training.job.load_dataset", read)
    with pytest.raises(ConfigError, match="policy.*" if "experts" not in said else "smp") as raised:
        Training(TrainingJob(tmp_path / "bags", "smp", (change,)))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def train(body, policy, folder, **spoiled):
    """Record two demonstrations, judge them, train for a moment with a shipped run; return what was said, and a bag."""
    for k in range(2):
        demonstrate(folder / f"bags/reach/{k}", body, seed=k, **spoiled)
    code, said = smp("bag", "check", folder / "bags")
    assert (code, said.splitlines()[-1]) == (0, "2 keep"), said
    words = [word for change in SMALL for word in ("--set", change)]
    code, said = smp("train", "--bags", folder / "bags", "--policy", policy, "--out", folder / "run", *words)
    assert code == 0, said
    return said, folder / "bags/reach/0"


@pytest.mark.parametrize(
    ("body", "policy", "lacks"),
    [
        (six(*FIVE), "smp", ("gripper", "slide", "rate")),
        (six("only"), "dibm", ("gripper", "slide", "rate")),
        (railed(), "diffusion", ("gripper", "rate")),
    ],
    ids=["six joints, five cameras", "six joints, one camera", "a rail, two cameras"],
)
def test_from_bags_to_gates(body, policy, lacks, tmp_path):
    said, bag = train(body, policy, tmp_path)
    assert f"sees cameras {', '.join(camera.name for camera in body.cameras)}\n" in said
    line = said.splitlines()[-1]
    assert "next, before any arm follows it: smp replay" in line
    assert f"then model: {(tmp_path / 'run/model').resolve()} in the robot file" in line
    assert "smp eval" not in said
    command = line.partition("follows it: smp ")[2].partition(";")[0]
    words = shlex.split(command.replace("out/replay", str(tmp_path / "report")))
    code, told = smp(*words, "--json", tmp_path / "out.json")
    assert code in (0, 1), told
    for family in lacks:
        assert f"fails if {family}_" in told
    assert told.count("not judged, no joint of the robot is") == len(lacks) + ("slide" in lacks)
    assert "fails if joint_rmse>0.035: " in told
    assert "gripper" not in told.partition("fails if")[0]
    page = (tmp_path / "report/report.html").read_text()
    assert "not judged, no joint of the robot is a gripper" in page
    figures = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert {name for name in lacks if any(figure.startswith(f"{name}_") for figure in figures)} == set()
    assert len(load_policy(tmp_path / "run/model", open_bag(bag).robot()).config.cameras) == len(body.cameras)


def test_a_robot_that_is_simulated_is_told_to_be_evaluated(robot, tmp_path):
    demonstrate(tmp_path / "bags/reach/0", robot)
    demonstrate(tmp_path / "bags/reach/1", robot, seed=1)
    training = Training(TrainingJob(tmp_path / "bags", "diffusion"))
    assert training.next_step(tmp_path / "model") == f"next: smp eval --policy {tmp_path / 'model'}"
    assert training.sight == "sees cameras overview, wrist_left, wrist_right"


@pytest.mark.parametrize(
    ("name", "flag"),
    [("baxter", " --robot baxter"), ("two_z1", " --robot ROBOT.yaml (ROBOT.yaml: the robot file of two_z1)")],
)
def test_a_robot_of_ones_own_is_evaluated_by_its_file(robot, tmp_path, name, flag):
    """`smp eval --robot two_z1` knows of none: bags do not say which file they were made with."""
    for seed in (0, 1):
        demonstrate(tmp_path / f"bags/reach/{seed}", replace(robot, name=name), seed=seed)
    training = Training(TrainingJob(tmp_path / "bags", "diffusion"))
    assert training.next_step(tmp_path / "model") == f"next: smp eval --policy {tmp_path / 'model'}{flag}"


class Leading(AbstractPolicy):
    """A policy that says what the leaders do."""

    def __init__(self, body):
        self.body, self.config = body, PolicyConfig("diffusion", (body.cameras[0].name,))

    def infer(self, observation, seed, prefix=None):
        ms, one = (observation.stamp_ns - T0) / MS, np.ones(1)
        rows = np.array([swing(self.body, ms + 40 * k, 0) for k in range(self.config.horizon)])
        gate = GateReport(observation.stamp_ns, one, one, (0,), 1.0, np.array([1]), {})
        return ActionChunk(observation.stamp_ns, self.body.action_period_s, rows), gate


def figures_of(body, off, tmp_path):
    """Return the figures of a replay whose errors are `off` (J,) everywhere."""
    result = replay(open_bag(demonstrate(tmp_path / "bag", body)), Leading(body), body, ReplaySettings(seam="latest"))
    np.testing.assert_allclose(result.error[np.isfinite(result.error)], 0, atol=1e-9)
    return summarise(samples(replace(result, error=np.broadcast_to(off, result.error.shape)), body, 0.16))


def test_errors_of_joints_of_other_kinds_are_not_mixed(tmp_path):
    body = robot_of(arm("arm", *railed().arms[0].joints, HAND), name="all")
    off = np.array([0.02, *[0.01] * 5, 0.0034])
    figures = figures_of(body, off, tmp_path)
    assert figures["slide_rmse"] == pytest.approx(0.02)
    assert figures["slide_rmse/rail"] == pytest.approx(0.02)
    assert figures["joint_rmse"] == pytest.approx(0.01)
    assert figures["gripper_rmse"] == pytest.approx(0.0034)
    assert figures["gripper_share_rmse"] == pytest.approx(0.04)
    assert "limited_m_p99" in figures
    failed = {criterion.name for criterion, _ in failing(load_criteria("default"), figures)}
    assert "slide_rmse" in failed, "2 cm of a rail"
    assert not {"gripper_share_rmse", "joint_rmse"} & failed, "4 % of a wide hand is no more than 4 % of a narrow one"


def test_the_error_of_a_base_is_a_share_of_its_top_speed(mobile, tmp_path):
    off = np.zeros(mobile.dof)
    off[-2:] = 0.06, 0.1  # of 0.6 m/s, 1 rad/s
    figures = figures_of(mobile_by_states(mobile), off, tmp_path)
    assert figures["rate_rmse"] == pytest.approx(0.1)
    assert figures["rate_rmse/base_x"] == figures["rate_rmse/base_yaw"] == pytest.approx(0.1)
    assert figures["joint_rmse"] == 0


def mobile_by_states(mobile):
    """Return the robot with a base whose driver says joint states."""
    base = mobile.arms[-1]
    rates = tuple(replace(joint, driver=type(joint.driver)()) for joint in base.joints)
    plain = Arm("base", "/base/state", "/base/command", rates)
    return replace(mobile, arms=(*mobile.arms[:-1], plain))


def test_a_criterion_is_left_out_for_what_the_robot_lacks_and_for_nothing_else():
    figures = {"joint_rmse": 0.01, "slide_rmse": 0.01}
    assert unjudged(Criterion("gripper_missed", ">", 0), figures) == "no joint of the robot is a gripper"
    assert unjudged(Criterion("slide_rmse", ">", 1), figures) == ""
    assert failing([Criterion("gripper_rmse", ">", 0)], figures) == []
    with pytest.raises(ConfigError, match="no figure 'joint_rms'"):
        failing([Criterion("joint_rms", ">", 0)], figures)
    with pytest.raises(ConfigError, match="no figure 'gripper_rmse'"):  # no demonstration: nothing was compared
        failing([Criterion("gripper_rmse", ">", 0)], {"held_cycles": 0.0})


def jumps(body, folder, spoil=lambda ms, position: position):
    bag = demonstrate(folder, body, spoil=spoil)
    return [found.text for found in judge_bag(open_bag(bag), body, QualityConfig()).findings if found.check == "jump"]


def test_a_fast_rail_does_not_jump_and_a_slow_one_that_steps_does(tmp_path):
    def sweep(ms, position):
        return position + np.array([0.012 * min(ms, 500) / 10, 0, 0, 0, 0, 0]) - 0.3 * np.eye(6)[0]

    def step(ms, position):
        return position + (0.03 if ms > 1000 else 0.0) * np.eye(6)[0]

    fast, slow = railed(velocity=2.0), railed(velocity=0.5)
    assert jumps(fast, tmp_path / "fast", sweep) == [], "1.2 m/s is what it may do"
    assert ["rail jumps by" in text for text in jumps(slow, tmp_path / "slow", step)] == [True]
    assert jumps(slow, tmp_path / "too_fast", sweep) != [], "1.2 m/s is more than twice its limit"


def test_a_joint_that_jumps_on_an_arm_without_a_gripper_is_named(tmp_path):
    body = robot_of(arm("one", *turning("a", 6)), arm("two", *turning("b", 6)), name="two_arms")

    def step(ms, position):
        return position + (0.3 if ms > 1000 else 0.0) * np.eye(12)[7]

    (text,) = jumps(body, tmp_path / "bag", step)
    assert "b_1 jumps by" in text


def test_replay_runs_under_the_settings_of_the_robot_wherever_their_file_is(tmp_path):
    file = tmp_path / "careful.yaml"
    tight = {"joint_0": JointLimits(min=-0.05, max=0.05)}
    file.write_text(config.dump(replace(load_safety("default"), limits=tight)))
    body = replace(six(), safety=str(file))
    bag = open_bag(demonstrate(tmp_path / "bag", body))

    def reached(**asked):
        result = replay(bag, Leading(body), bag.robot(), ReplaySettings(**asked))
        return np.abs(np.array(result.setpoints.command)[:, 0]).max()

    assert reached(safety="default") > 0.1
    assert reached() <= 0.05
    file.unlink()
    assert reached() <= 0.05, "the bag carries them"
    with pytest.raises(ConfigError, match="does not exist"):
        reached(safety=str(file))
