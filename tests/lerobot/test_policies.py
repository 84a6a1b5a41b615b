"""Ours trained by LeRobot, LeRobot's run by us: the same chunks on both sides."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.lerobot.policy import load
from smp_bringup.policy.checkpoint import find_model, load_policy, trained_tasks
from smp_bringup.types import Observation

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_sets import Foreign

HERE, SIZE = Path(__file__).parent, 32
FRAMES = (0, 4, 9)
RUNS = {"smp": "smp_shared", "dibm": "dibm", "sparse": "sparse"}
SMALLER = ["policy.encoder.channels=[4, 8]", "policy.encoder.keypoints=4", "policy.encoder.feature=32"]
ACT = {"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "latent_dim": 8}
ACT |= {"chunk_size": 12, "n_action_steps": 12, "pretrained_backbone_weights": "null"}
DIFFUSION = {"n_obs_steps": 1, "horizon": 16, "n_action_steps": 16, "down_dims": "[16,32]", "crop_shape": "null"}
DIFFUSION |= {
    "use_group_norm": "true",
    "num_inference_steps": 2,
    "pretrained_backbone_weights": "null",
    "spatial_softmax_num_keypoints": 4,
}


@pytest.fixture(scope="module")
def small(robot):
    """The robot with two small cameras."""
    told = {"width": SIZE, "height": SIZE, "observation_width": SIZE, "observation_height": SIZE}
    return replace(robot, cameras=tuple(replace(c, **told) for c in robot.cameras[:2]))


@pytest.fixture(scope="module")
def dataset(small, tmp_path_factory):
    """A dataset that `smp bag to-lerobot` writes, of a task that we know."""
    folder = tmp_path_factory.mktemp("data")
    told = Foreign(small, episodes=2, frames=24, images=True, state_names=list(small.joint_names))
    told.action_names = told.state_names
    bags = import_dataset(told.write(folder / "foreign"), folder / "bags", small).folders
    export(bags, folder / "dataset")
    return folder / "dataset"


@pytest.fixture(scope="module")
def train(lerobot_python, run_there, dataset, tmp_path_factory):
    """Train by lerobot-train for two steps; return the folder pretrained_model."""

    def run(kind, **settings):
        out = tmp_path_factory.mktemp(kind) / "run"
        words = [f"--policy.{name}={value}" for name, value in settings.items()]
        run_there(
            Path(lerobot_python).with_name("lerobot-train"),
            f"--policy.type={kind}",
            "--policy.push_to_hub=false",
            "--policy.device=cpu",
            "--dataset.repo_id=local/ours",
            f"--dataset.root={dataset}",
            "--dataset.video_backend=pyav",
            "--batch_size=4",
            "--num_workers=0",
            "--steps=2",
            f"--output_dir={out}",
            *words,
        )
        return out / "checkpoints/last/pretrained_model"

    return run


@pytest.fixture(scope="module")
def said(lerobot_python, run_there, dataset, tmp_path_factory):
    """Return what LeRobot's own pipeline makes of some frames."""

    def run(checkpoint):
        out = tmp_path_factory.mktemp("said") / "chunks.npz"
        run_there(lerobot_python, HERE / "chunks.py", checkpoint, dataset, out)
        return np.load(out, allow_pickle=False)

    return run


def observation(theirs, i, robot):
    images = {c.name: theirs[f"observation.images.{c.name}_{i}"][None] for c in robot.cameras}
    joints = theirs[f"observation.state_{i}"].astype(np.float64)[None]
    return Observation(1, images, joints, np.zeros_like(joints))


@pytest.mark.parametrize("kind", RUNS)
def test_ours_trained_by_lerobot_say_the_same_on_both_sides(
    kind, small, train, said, lerobot_python, run_there, tmp_path
):
    (tmp_path / "robot.yaml").write_text(config.dump(small))
    changes = [*SMALLER, "policy.denoiser.width=16", "policy.denoiser.depth=1"]
    model = train(kind, robot=tmp_path / "robot.yaml", run=RUNS[kind], changes=str(changes).replace("'", '"'))
    run_there(Path(lerobot_python).with_name("lerobot-export-smp"), model, "--out", tmp_path / "model")
    ours, theirs = load_policy(tmp_path / "model", small), said(model)
    assert trained_tasks(tmp_path / "model") == ["put the cup away"]
    for i in FRAMES:
        chunk, _ = ours.infer(observation(theirs, i, small), 0)
        np.testing.assert_allclose(chunk.position, theirs[f"chunk_{i}"], atol=1e-4)
    np.testing.assert_allclose(theirs["action"], theirs["chunk_0"][0], atol=1e-6)


@pytest.mark.parametrize(("kind", "settings"), [("act", ACT), ("diffusion", DIFFUSION)])
def test_lerobots_run_by_us_say_the_same_on_both_sides(kind, settings, small, train, said):
    model = train(kind, **settings)
    policy, theirs = load(find_model(f"lerobot:{model}"), small), said(model)
    try:
        assert policy.config.kind == f"lerobot:{kind}"
        for i in FRAMES:
            chunk, _ = policy.infer(observation(theirs, i, small), 0)
            np.testing.assert_allclose(chunk.position, theirs[f"chunk_{i}"], atol=1e-4)
    finally:
        policy.process.close()
