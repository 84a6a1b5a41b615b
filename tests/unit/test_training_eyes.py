"""Eyes of a checkpoint are kept: they look once, what is behind them trains, and the export sees by them."""

import json
import re

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load

from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.policy.base import points_key
from smp_bringup.policy.checkpoint import ROBOT, WEIGHTS, load_policy
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs
from smp_bringup.training.batches import Batches
from smp_bringup.training.eyes import looked_at
from smp_bringup.training.job import Training, TrainingJob

RUN = {
    "policy": {
        "kind": "sparse",
        "cameras": ["wrist_left", "overview"],
        "denoiser": {"width": 16, "depth": 2},
        "encoder": {"feature": 24},
        "sparse": {"experts": 4, "active": 2},
    },
    "training": {"steps": 3, "pairs": 4, "warmup_steps": 1, "held_out": 0.4},
}


@pytest.fixture(scope="module")
def bags(tmp_path_factory, robot):
    out = tmp_path_factory.mktemp("seen") / "demos"
    assert all(done.success for done in collect(jobs("press_two_buttons", 2, 0, out, DemonstrationJob(robot, 0.01)), 2))
    return out


@pytest.fixture
def run(tmp_path):
    def written(**changes):
        path = tmp_path / "sparse.yaml"
        path.write_text(yaml.safe_dump({key: {**RUN[key], **changes.get(key, {})} for key in RUN}))
        return str(path)

    return written


def test_what_is_behind_kept_eyes_trains_and_is_exported_with_them(bags, run, checkpoints, robot, tmp_path):
    eyes = checkpoints["smp"][0]
    training = Training(TrainingJob(bags, run(), eyes=eyes))
    looks = []
    trainer = training.trainer(tmp_path / "run", looking=lambda done, total: looks.append((done, total)))
    begun = {name: value.clone() for name, value in trainer.network.named_parameters()}
    trained = trainer.train(lambda step, losses: None)
    frames = len(training.data.stamps)
    assert looks[-1] == (frames, frames)
    moved = {name: not torch.equal(value, begun[name]) for name, value in trained.network.named_parameters()}
    kept = {name for name in moved if name.startswith("encoder.eyes.")}
    assert kept
    assert not any(moved[name] for name in kept)
    assert moved["encoder.trunk.0.weight"]
    training.save(trained, tmp_path / "model")
    theirs, ours = (load((folder / WEIGHTS).read_bytes()) for folder in (eyes, tmp_path / "model"))
    assert all(torch.equal(ours[name], theirs[name]) for name in kept)
    assert load_policy(tmp_path / "model", robot).config.cameras == ("wrist_left", "overview")
    assert f"--eyes {eyes}" in (tmp_path / "model" / "README.md").read_text()


def test_training_sees_what_the_images_would_have_shown(bags, run, checkpoints, tmp_path):
    training = Training(TrainingJob(bags, run(), eyes=checkpoints["smp"][0]))
    trainer = training.trainer(tmp_path / "run")
    encoder, normalizer = trainer.network.encoder, trainer.normalizer
    data = looked_at(training.data, encoder, normalizer.senses, lambda done, total: None)
    episodes = np.arange(2)
    seen = next(Batches(data, normalizer, training.run.policy, episodes).all_inputs(64))
    shown = next(Batches(training.data, normalizer, training.run.policy, episodes).all_inputs(64))
    assert points_key("overview") in seen
    assert "image_overview" not in seen
    torch.testing.assert_close(encoder(seen), encoder(shown), atol=1e-5, rtol=0)
    drawn = Batches(data, normalizer, training.run.policy, episodes, np.zeros(14)).draw(4, np.random.default_rng(0))
    assert drawn.inputs[points_key("wrist_left")].shape[:2] == (8, 1)
    assert not drawn.shifts


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"policy": {"track": "state", "cameras": []}}, ConfigError, "sees poses of objects, no cameras"),
        ({"training": {"augment": {"hue": 0.1}}}, ConfigError, "leave training.augment out"),
        (
            {"policy": {"cameras": ["overview", "wrist_right"]}},
            ModelError,
            "camera 'wrist_right' of robot 'aloha': cameras [64, 64], the model saw None",
        ),
    ],
)
def test_eyes_that_do_not_fit_are_refused_before_bags_are_read(bags, run, checkpoints, changes, error, says):
    with pytest.raises(error, match=re.escape(says)):
        Training(TrainingJob(bags, run(**changes), eyes=checkpoints["smp"][0]))


def test_what_a_checkpoint_says_of_its_cameras_stays_one_line(bags, run, checkpoints, tmp_path):
    files = dict(read_checked(checkpoints["smp"][0]))
    saw = json.loads(files[ROBOT])
    saw["cameras"]["overview"] = "a lie\nand another"
    write_checked(tmp_path / "model", {**files, ROBOT: json.dumps(saw).encode()})
    with pytest.raises(ModelError, match="the model saw a lie") as refused:
        Training(TrainingJob(bags, run(), eyes=tmp_path / "model"))
    assert "\n" not in str(refused.value)


def test_a_start_has_eyes_of_its_own(bags, run, checkpoints):
    model = checkpoints["smp"][0]
    with pytest.raises(ConfigError, match="leave --eyes out"):
        TrainingJob(bags, run(), start=model, eyes=model)
