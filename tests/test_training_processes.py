"""`smp train` as processes: two give the loss of one, and a killed run resumes to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from smp_bringup.policy.checkpoint import WEIGHTS, load_policy
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs

STEPS = 40
RUN = """
policy:
  kind: smp
  cameras: [overview]
  denoiser: {{width: 16, depth: 1}}
  encoder: {{channels: [4, 8], keypoints: 4, feature: 32}}
  smp: {{form: motion, experts: 4, mean: {{width: 16, depth: 1}}}}
training:
  {{steps: {steps}, pairs: 8, warmup_steps: 2, save_every: 5, held_out: 0.3, devices: {devices},
    augment: {{hue: 0.3, noise: 0.05, patches: 2}}}}
"""
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"}


@pytest.fixture(scope="module")
def demos(tmp_path_factory, robot):
    out = tmp_path_factory.mktemp("data") / "demos"
    assert all(done.success for done in collect(jobs("press_two_buttons", 3, 0, out, DemonstrationJob(robot, 0.01)), 2))
    return out


def command(demos, out, devices=1, *more):
    run = out.with_suffix(".yaml")
    run.write_text(RUN.format(steps=STEPS, devices=devices))
    return ["-m", "smp_bringup.cli.main", "train", "--bags", str(demos), "--policy", str(run), "--out", str(out), *more]


def train(demos, out, devices=1, *more):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"] if devices > 1 else []
    words = [sys.executable, *launcher, *command(demos, out, devices, *more)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **LOOPBACK}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def whole(demos, tmp_path_factory):
    return train(demos, tmp_path_factory.mktemp("runs") / "whole")


def losses(run):
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def test_two_processes_give_the_losses_of_one(demos, whole, tmp_path):
    pair = train(demos, tmp_path / "pair", 2)
    one, two = losses(whole), losses(pair)
    assert [row["step"] for row in one] == [row["step"] for row in two] == [STEPS]
    for name in one[0]:
        assert two[0][name] == pytest.approx(one[0][name], rel=2e-2), name


def test_a_run_killed_half_way_resumes_to_the_weights_of_an_unbroken_one(demos, whole, tmp_path):
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, *command(demos, out)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "training.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "model").exists()
    train(demos, out, 1, "--resume")
    a, b = load_file(whole / "model" / WEIGHTS), load_file(out / "model" / WEIGHTS)
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_trained_policy_goes_on_and_its_router_alone_can_be_trained(demos, whole, tmp_path, robot):
    tuned = load_file(train(demos, tmp_path / "few", 1, "--start", str(whole / "model")) / "model" / WEIGHTS)
    composed = load_file(
        train(demos, tmp_path / "route", 1, "--start", str(whole / "model"), "--only-router") / "model" / WEIGHTS
    )
    before = load_file(whole / "model" / WEIGHTS)
    moved = {k.split(".")[0] for k in before if not torch.equal(before[k], composed[k])}
    assert moved == {"router"}
    assert {"router", "experts", "basis", "encoder"} <= {
        k.split(".")[0] for k in before if not torch.equal(before[k], tuned[k])
    }
    assert np.isfinite(load_policy(tmp_path / "route" / "model", robot).config.horizon)


def test_two_processes_end_together_where_nothing_gets_better(demos, tmp_path):
    still = ("--set", "training.learning_rate=1e-30", "--set", "training.ema=0", "--set", "training.patience=5")
    pair = train(demos, tmp_path / "pair", 2, *still)
    assert json.loads((pair / "held_out.jsonl").read_text().splitlines()[-1])["step"] == 10
    assert "got no better" in (pair / "report.html").read_text()
    assert [json.loads((pair / name / "metrics.json").read_text())["steps"] for name in ("model", "best")] == [10, 5]
