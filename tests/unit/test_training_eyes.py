"""Eyes of a checkpoint, or networks that saw photographs, are kept: they look once, what is behind them trains, and the
export sees by them. Or they are tuned. timm's and torchvision's own forward passes say what they see.
"""

import json
import re
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, save

from smp_bringup.errors import ConfigError, InstallError, ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.policy.base import points_key
from smp_bringup.policy.checkpoint import CONFIG, METRICS, ROBOT, WEIGHTS, load_policy
from smp_bringup.policy.config import EncoderConfig
from smp_bringup.policy.pretrained import Pretrained
from smp_bringup.policy.trial import blank
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs
from smp_bringup.training.batches import Batches
from smp_bringup.training.config import load_run
from smp_bringup.training.eyes import eyes_of, looked_at
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


NAME = "tf_efficientnet_lite0"
SEES = {"policy": {"encoder": {"feature": 24, "keypoints": 8, "backbone": f"timm:{NAME}"}}}


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm", reason="the extra backbones is not installed")


@pytest.fixture
def photographs(timm, tmp_path):
    """A file of weights of timm's network: random ones, with statistics that are none of a beginning."""
    torch.manual_seed(0)
    network = timm.create_model(NAME)
    for name, value in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(value + 0.2 * torch.rand_like(value))
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(network.state_dict()))
    return path


def images(count=2):
    return torch.randint(0, 256, (count, 64, 96, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("name", "module"),
    [(NAME, "blocks.2"), ("resnet18", "layer2"), ("mobilenetv3_small_100", "blocks.1"), ("convnext_atto", "stages.1")],
)
def test_maps_are_those_inside_of_timms_own_forward_pass(timm, name, module):
    from torchvision.transforms.v2.functional import normalize

    torch.manual_seed(0)
    whole, seen = timm.create_model(name).eval(), []
    whole.get_submodule(module).register_forward_hook(lambda part, given, made: seen.append(made))
    told, flat = whole.pretrained_cfg, images().permute(0, 3, 1, 2).float()
    whole(normalize(flat / 255, told["mean"], told["std"]))
    ours = Pretrained(name)
    ours.take(whole.state_dict(), "these")
    maps = ours(flat / 127.5 - 1)
    assert maps.shape[1:] == (ours.channels, 8, 12)
    torch.testing.assert_close(maps, seen[0], atol=1e-4, rtol=1e-4)


def test_torchvisions_weights_are_taken_too(timm):
    from torchvision.models import resnet18
    from torchvision.models.feature_extraction import create_feature_extractor
    from torchvision.transforms.v2.functional import normalize

    theirs, ours = resnet18().eval(), Pretrained("resnet18")
    ours.take(theirs.state_dict(), "these")
    flat = images().permute(0, 3, 1, 2).float()
    wanted = normalize(flat / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    seen = create_feature_extractor(theirs, ["layer2"])(wanted)["layer2"]
    torch.testing.assert_close(ours(flat / 127.5 - 1), seen, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tuned", [False, True])
def test_what_saw_photographs_is_kept_or_tuned_and_travels_in_the_checkpoint(
    bags, run, photographs, robot, tmp_path, monkeypatch, tuned
):
    training = Training(TrainingJob(bags, run(**SEES), eyes=photographs, tune_eyes=tuned))
    looks = []
    trainer = training.trainer(tmp_path / "run", looking=lambda done, total: looks.append(done))
    assert bool(looks) is not tuned
    begun = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trained = trainer.train(lambda step, losses: None)
    moved = {name for name, value in trained.network.state_dict().items() if not torch.equal(value, begun[name])}
    inside = {name for name in moved if ".stack.0." in name}
    assert bool(inside) is tuned
    assert not any(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in inside)
    assert "encoder.eyes.overview.stack.1.weight" in moved
    training.save(trained, tmp_path / "model")
    files = read_checked(tmp_path / "model")
    digest, how = sha256(photographs.read_bytes()).hexdigest(), "tuned" if tuned else "kept"
    told = f"model.safetensors (timm:{NAME}), SHA-256 {digest}; {how}"
    assert json.loads(files[METRICS])["eyes"] == told
    assert told in (tmp_path / "model" / "README.md").read_text()
    assert str(tmp_path) not in files[CONFIG].decode()
    monkeypatch.setitem(sys.modules, "timm", None)  # a robot does without
    policy = load_policy(tmp_path / "model", robot)
    assert np.isfinite(policy.infer(blank(robot, 1, 0), 0)[0].position).all()


def test_training_sees_the_maps_that_images_would_have_given(bags, run, photographs, tmp_path):
    training = Training(TrainingJob(bags, run(**SEES), eyes=photographs))
    trainer = training.trainer(tmp_path / "run")
    encoder, normalizer = trainer.network.encoder, trainer.normalizer
    data = looked_at(training.data, encoder, normalizer.senses, lambda done, total: None)
    assert data.points["overview"].shape == (len(data.stamps), 40, 12, 12)
    episodes = np.arange(2)
    seen = next(Batches(data, normalizer, training.run.policy, episodes).all_inputs(64))
    shown = next(Batches(training.data, normalizer, training.run.policy, episodes).all_inputs(64))
    torch.testing.assert_close(encoder(seen), encoder(shown), atol=2e-3, rtol=0)


def test_a_tuned_training_that_is_resumed_is_the_same_training(bags, run, photographs, tmp_path):
    def trainer(folder):
        return Training(TrainingJob(bags, run(**SEES), eyes=photographs, tune_eyes=True)).trainer(tmp_path / folder)

    whole = trainer("whole").train(lambda step, losses: None)
    cut = trainer("cut")
    real, steps = cut._one, iter(range(2))

    def interrupted(settings):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return real(settings)

    cut._one = interrupted
    with pytest.raises(KeyboardInterrupt):
        cut.train(lambda step, losses: None)
    again = trainer("cut")
    assert again.resume() == 2
    resumed = again.train(lambda step, losses: None)
    theirs, ours = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_is_no_weights_of_that_network_is_refused(bags, run, photographs, timm, tmp_path):
    other = timm.create_model("resnet18").state_dict()
    photographs.write_bytes(save(other))
    with pytest.raises(ModelError, match=r"is of another network: it has nothing for conv_stem\.weight"):
        Training(TrainingJob(bags, run(**SEES), eyes=photographs))
    with pytest.raises(ConfigError, match="has no network 'hf-hub:a/b'"):
        Pretrained("hf-hub:a/b")
    with pytest.raises(ConfigError, match="makes no map of a point for 8 pixels"):
        Pretrained("vit_tiny_patch16_224")


@pytest.mark.parametrize(
    ("content", "changes", "error", "says"),
    [
        (b"PK\x03\x04 what torch.save writes", SEES, ModelError, "is no safetensors file (pickles"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P", SEES, ModelError, "is no safetensors file (pickles"),
        (None, {}, ConfigError, "is of a network of timm: say which"),
        (None, {**SEES, "training": {"eyes_sha256": "0" * 64}}, ModelError, f"training.eyes_sha256 is {'0' * 64}"),
        (None, {**SEES, "training": {"augment": {"hue": 0.1}}}, ConfigError, "or add --tune-eyes"),
    ],
)
def test_files_that_do_not_fit_are_refused_before_bags_are_read(bags, run, tmp_path, content, changes, error, says):
    file = tmp_path / "model.safetensors"
    file.write_bytes(save({"weight": torch.zeros(3)}) if content is None else content)
    with pytest.raises(error, match=re.escape(says)) as refused:
        Training(TrainingJob(bags, run(**changes), eyes=file))
    assert "\n" not in str(refused.value)


def test_a_network_that_saw_photographs_sees_no_distances(run, robot, tmp_path):
    file, seeing = tmp_path / "model.safetensors", load_run(run(**SEES), robot)
    file.write_bytes(save({"weight": torch.zeros(3)}))
    deep = replace(seeing, policy=replace(seeing.policy, depth=("above",)))
    with pytest.raises(ConfigError, match=r"leave policy\.depth out"):
        eyes_of(file, deep, robot, tuned=False)


def test_a_network_of_timm_wants_weights_and_timm(bags, run, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"name its weights, --eyes model\.safetensors"):
        Training(TrainingJob(bags, run(**SEES)))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InstallError, match=r"pip install 'smp_bringup\[backbones\]'"):
        Pretrained(NAME)
    with pytest.raises(ConfigError, match="backbone must be small, resnet18 or timm:NAME, got vgg"):
        EncoderConfig(backbone="vgg")
    with pytest.raises(ConfigError, match="--tune-eyes trains on what --eyes names"):
        TrainingJob(bags, run(), tune_eyes=True)
