"""The command line as a user meets it: results, and mistakes in one line with exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smp_bringup.cli import main as cli
from smp_bringup.paths import named_config

BAG = Path(__file__).parent / "replay" / "bags" / "two_seconds"


def smp(*words, env=None, timeout=240):
    command = [sys.executable, "-m", "smp_bringup.cli.main", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **(env or {})}
    )


def test_a_robot_without_a_simulation_is_recorded_beside_its_graph(tmp_path, monkeypatch, capfd):
    (tmp_path / "mine.yaml").write_text(named_config("robots", "aloha").read_text().replace("simulation: aloha", ""))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smp", "record", "--robot", "mine.yaml", "--task", "fold"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "run smp up --robot mine.yaml --teleop --record data/demos" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "--policy", "sparse_v2", "--knockout", "half"), "unknown knockout 'half'"),
        (("eval", "--tasks", "transfer_cub"), "unknown task 'transfer_cub' (did you mean 'transfer_cube'?)"),
        (("eval", "--variation", "wild"), "unknown variation 'wild' (did you mean 'wide'?)"),
        (("eval", "--track", "state"), "is of the camera track, --track state was asked for"),
        (("record", "--episodes", "1", "--track", "state"), "in lockstep only: add --lockstep"),
        (
            ("eval", "--policy", "smp_state", "--seam", "prefix"),
            "--seam prefix: policy 'smp_state' is of the state track, where the newest chunk is followed",
        ),
        (("eval", "--policy", "nothing"), "unknown model 'nothing'"),
        (("replay", "nowhere"), "'nowhere' does not exist"),
        (("replay", BAG, "--model", "nothing"), "unknown model 'nothing'"),
        (("record", "--task", "juggle", "--episodes", "1", "--lockstep"), "unknown task 'juggle'"),
        (("train", "--bags", "nowhere"), "'nowhere' does not exist"),
        (("train", "--bags", BAG, "--policy", "spm"), "unknown policy 'spm' (did you mean 'smp'?)"),
        (("train", "--bags", BAG, "--preset", "fwe"), "unknown preset 'fwe' (did you mean 'few'?)"),
        (("demo", "--robot", "panda"), "unknown robot 'panda'"),
        (("up", "--model", "nothing"), "unknown model 'nothing'"),
        (("bench", "policy", "--size", "huge"), "unknown size 'huge'"),
        (("bench", "policy", "--device", "cuda"), "device cuda was asked for"),
        (("up", "--device", "tpu"), "device must be one of cpu, cuda, got 'tpu'"),
        (("up", "--device", "cuda"), "device cuda was asked for"),
        (("bag", "from-lerobot", "nowhere", "--out", "bags"), "dataset 'nowhere' is no folder"),
        (("bag", "from-lerobot", BAG, "--out", "bags"), "is it a LeRobotDataset v3.0?"),
        (
            ("bag", "from-lerobot", BAG, "--out", "bags", "--robot", "aloha", "--mapping", "lerobot"),
            "give one of the two",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, tmp_path, monkeypatch, capfd):
    """In this process: each would need a second to start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smp", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr().err
    assert ended.value.code == 2, said
    assert said.count("\n") == 1
    assert message in said


def test_rendering_without_gl_is_one_line(tmp_path):
    words = ("eval", "--episodes", "1", "--tasks", "lift_tray", "--out", tmp_path)
    done = smp(*words, env={"MUJOCO_GL": "glfw", "DISPLAY": ""})
    assert done.returncode == 2, done.stdout + done.stderr
    assert "libegl1" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_ros_the_simulation_still_works_and_the_graph_says_what_is_missing(tmp_path):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("raise ImportError('no ROS here')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    done = smp("eval", "--episodes", "1", "--tasks", "lift_tray", "--out", tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert smp("up", "--sim", env=env).returncode != 0


def test_eval_writes_counts_and_intervals(tmp_path, checkpoints):
    out = tmp_path / "result.json"
    done = smp(
        "eval",
        "--policy",
        checkpoints["smp"][0],
        "--tasks",
        "lift_tray,press_two_buttons",
        "--episodes",
        2,
        "--seed",
        9,
        "--json",
        out,
        "--into-card",
        "--out",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(out.read_text())
    assert set(data["tasks"]) == {"lift_tray", "press_two_buttons"}
    for row in data["tasks"].values():
        assert row["episodes"] == 2
        assert row["interval"][0] <= row["rate"] <= row["interval"][1]
        assert set(row["collisions"]) == {"arms", "table", "episodes"}
    assert data["active_experts"]["mean"] >= 1
    assert 0 <= data["gate"]["flip_rate"] <= 1
    assert 0 <= data["gate"]["usage_entropy"] <= data["gate"]["largest_entropy"] + 1e-4
    assert "press_two_buttons │ 0/2" in done.stdout  # eighty columns are enough for a whole name
    assert "| lift_tray | 0/2 |" in (checkpoints["smp"][0] / "README.md").read_text()


def test_replay_prints_the_error_of_each_arm(tmp_path, checkpoints):
    out = tmp_path / "result.json"
    done = smp("replay", BAG, "--model", checkpoints["diffusion"][0], "--json", out)
    assert done.returncode == 0, done.stderr
    data = json.loads(out.read_text())
    assert {"joint_rmse/left", "joint_rmse/right", "gripper_rmse/left"} <= set(data["figures"])
    assert data["figures"]["chunks"] == 12
    assert "joint_rmse" in done.stdout


def test_training_from_bags_ends_in_a_checkpoint_that_evaluates(tmp_path):
    record = smp("record", "--task", "press_two_buttons", "--episodes", 2, "--lockstep", "--out", tmp_path / "demos")
    assert record.returncode == 0, record.stderr
    run = tmp_path / "run"
    done = smp("train", "--bags", tmp_path / "demos", "--policy", "smp", "--steps", 2, "--out", run)
    assert done.returncode == 0, done.stderr
    assert (run / "model" / "encoder.onnx").is_file()
    again = smp("train", "--bags", tmp_path / "demos", "--policy", "smp", "--steps", 3, "--out", run, "--resume")
    assert again.returncode == 0, again.stderr
    assert smp("replay", next((tmp_path / "demos").rglob("episode_*")), "--model", run / "model").returncode == 0


def test_help_names_every_verb():
    done = smp("--help")
    assert done.returncode == 0
    for verb in (
        "demo",
        "record",
        "train",
        "eval",
        "replay",
        "robot",
        "up",
        "doctor",
        "arm",
        "estop",
        "release",
        "reset",
    ):
        assert verb in done.stdout
