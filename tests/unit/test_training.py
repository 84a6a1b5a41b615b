"""Training from bags: a small run learns, resumes bit for bit, and says what it left out."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from smp_bringup.errors import BagError, ModelError, OutputError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs
from smp_bringup.training.augment import AugmentConfig
from smp_bringup.training.batches import Batches, shift_into
from smp_bringup.training.config import RunConfig, TrainingConfig, load_run
from smp_bringup.training.dataset import load_dataset
from smp_bringup.training.journal import About, Journal
from smp_bringup.training.save import model_card, save_checkpoint
from smp_bringup.training.scalars import rows_of
from smp_bringup.training.trainer import Trainer
from smp_bringup.words.encoder import SIZE
from smp_bringup.words.phrasebook import Phrasebook


@pytest.fixture(scope="module")
def demos(tmp_path_factory, robot):
    """Three short demonstrations in lockstep, and one bag that is none."""
    out = tmp_path_factory.mktemp("demos")
    wanted = jobs("press_two_buttons", 3, 0, out, DemonstrationJob(robot, 0.01))
    assert all(done.success for done in collect(wanted, 2))
    (out / "broken").mkdir()
    (out / "broken" / "broken_0.mcap").write_bytes(b"")
    return sorted(p for p in [*(out / "press_two_buttons").iterdir(), out / "broken"])


@pytest.fixture(scope="module")
def data(demos, robot, small_policies, tmp_path_factory):
    return load_dataset(demos, robot, small_policies["smp"], tmp_path_factory.mktemp("cache"))


def run_config(policy, steps):
    return RunConfig(policy, TrainingConfig(steps=steps, pairs=4, warmup_steps=2, save_every=5, held_out=0.3))


def test_a_bag_that_cannot_be_used_is_named_and_skipped(data, demos):
    assert len(data.starts) == 4
    assert len(data.skipped) == 1
    assert "broken" in data.skipped[0]
    assert "is empty" in data.skipped[0]


def test_actions_are_the_leaders_ahead_of_the_frame(data, robot, small_policies):
    """A follower lags its leader: the measured state a little later is nearest to the action now."""
    first = slice(data.starts[0], data.starts[1])
    state, action = data.state[first], data.action[first]
    assert action.shape[1:] == (small_policies["smp"].horizon, robot.dof)
    arms = np.array([not joint.gripper for joint in robot.joints])
    np.testing.assert_allclose(action[:-1, 1], action[1:, 0], atol=1e-3)
    later = np.abs(action[:-8, 0] - state[8:])[:, arms].mean()
    now = np.abs(action[:-8, 8] - state[8:])[:, arms].mean()
    assert now < later
    np.testing.assert_allclose(data.foresight[first][0, 0], action[20, 0], atol=2e-3)


def test_the_cache_is_used_again(data, demos, robot, small_policies, tmp_path):
    def never(done, total):
        raise AssertionError("bags were read again")

    load_dataset(demos, robot, small_policies["smp"], tmp_path)
    again = load_dataset(demos, robot, small_policies["smp"], tmp_path, never)
    np.testing.assert_array_equal(again.action, data.action)
    assert again.sentences == data.sentences == ("press both buttons at the same time",) * 3


def test_a_policy_that_is_told_learns_the_sentences_of_its_bags(data, robot, small_policies, tmp_path):
    wordings = np.eye(2, SIZE, dtype=np.float32)
    book = Phrasebook({data.sentences[0]: ("both at once",)}, wordings)
    run = run_config(replace(small_policies["sparse"], words=True), 2)
    run = replace(run, training=replace(run.training, patience=2))  # it looks at held-out demonstrations, too
    trained = Trainer(run, data, robot, 0, tmp_path / "run", book=book).train(lambda *_: None)
    save_checkpoint(trained, robot, tmp_path / "model", model_card(run, data, trained, "smp train"))
    policy = load_policy(tmp_path / "model", robot)
    np.testing.assert_array_equal(policy.words_of("Both at once."), wordings[1])
    assert "what to do, in words" in (tmp_path / "model" / "README.md").read_text()


def test_nothing_usable_is_an_error(demos, robot, small_policies, tmp_path):
    for _ in range(2):
        with pytest.raises(BagError, match="none of 1 bags can be trained on"):
            load_dataset([d for d in demos if d.name == "broken"], robot, small_policies["smp"], tmp_path)
        assert not list(tmp_path.iterdir())


def test_shifting_an_image_moves_it_and_repeats_its_edges():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    out = np.empty_like(image)
    for dx, dy in ((0, 0), (1, 0), (-2, 1), (3, -3)):
        shift_into(out, image, dx, dy)
        for y in range(4):
            for x in range(4):
                np.testing.assert_array_equal(out[y, x], image[np.clip(y - dy, 0, 3), np.clip(x - dx, 0, 3)])


def test_batches_hold_pairs_one_period_apart_within_an_episode(data, small_policies, rng):
    normalizer = Normalizer(np.zeros(14), np.ones(14))
    batch = Batches(data, normalizer, small_policies["smp"], np.arange(3)).draw(16, rng)
    earlier, later = batch.action[:16], batch.action[16:]
    torch.testing.assert_close(earlier[:, 1], later[:, 0], atol=1e-3, rtol=0)


def train(data, robot, policy, steps, out, resume=False):
    trainer = Trainer(run_config(policy, steps), data, robot, 0, out)
    if resume:
        trainer.resume()
    return trainer.train(lambda step, parts: None)


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression", "sparse"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(kind, data, robot, small_policies, tmp_path):
    policy = small_policies[kind]
    whole = train(data, robot, policy, 12, tmp_path / "whole")
    trainer = Trainer(run_config(policy, 12), data, robot, 0, tmp_path / "cut")
    real, calls = trainer._one, []

    def interrupted(settings):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(settings)

    trainer._one = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.train(lambda step, parts: None)
    resumed = train(data, robot, policy, 12, tmp_path / "cut", resume=True)
    assert whole.network.frames > 1  # also of the averaged weights: what counts once a data set is shared out
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.metrics["held_out/foresight"] == resumed.metrics["held_out/foresight"]


def test_a_page_changes_no_weight_and_goes_on_where_a_stopped_training_did(
    data, robot, small_policies, tmp_path, monkeypatch
):
    policy, about = small_policies["smp"], About("a training", [("model", "small")], [])
    plain = train(data, robot, policy, 12, tmp_path / "plain")
    monkeypatch.setattr(Journal, "due", lambda self, seconds: True)

    def trainer():
        return Trainer(run_config(policy, 12), data, robot, 0, tmp_path / "told", about=about)

    first = trainer()
    real, steps = first._one, iter(range(8))
    monkeypatch.setattr(first, "_one", lambda settings: real(settings) if next(steps, None) is not None else stop())
    with pytest.raises(KeyboardInterrupt):
        first.train(lambda step, parts: None)
    assert "Step 5 of 12: not finished" in (tmp_path / "told/report.html").read_text()
    again = trainer()
    assert again.resume() == 8
    told = again.train(lambda step, parts: None)
    for a, b in zip(plain.network.parameters(), told.network.parameters(), strict=True):
        assert torch.equal(a, b)
    page = (tmp_path / "told/report.html").read_text()
    assert "Step 12 of 12: finished" in page
    rows = rows_of(tmp_path / "told/held_out.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 12]
    assert len(rows[0]["joint_error"]) == policy.horizon
    assert again.held_out_error == pytest.approx(np.sqrt(np.mean(np.square(rows[-1]["joint_error"]))), rel=1e-3)
    assert page.count("<svg role") == 3 + len(robot.arms) + 1  # losses, horizon, error; predictions; gate


def stop():
    raise KeyboardInterrupt


def test_threads_that_draw_change_no_weight(data, robot, small_policies, tmp_path):
    weights = {}
    for workers in (0, 3):
        run = run_config(small_policies["smp"], 6)
        changes = AugmentConfig(hue=0.3, noise=0.05, patches=2)
        run = replace(run, training=replace(run.training, workers=workers, augment=changes))
        trained = Trainer(run, data, robot, 0, tmp_path / str(workers)).train(lambda step, parts: None)
        weights[workers] = torch.cat([p.flatten() for p in trained.network.parameters()])
    assert torch.equal(weights[0], weights[3])


def test_cameras_are_seen_in_the_precision_that_is_asked_for(data, robot, small_policies, tmp_path):
    weights = {}
    for precision in ("auto", "float32", "bfloat16"):
        run = run_config(small_policies["smp"], 3)
        run = replace(run, training=replace(run.training, precision=precision))
        trained = Trainer(run, data, robot, 0, tmp_path / precision).train(lambda step, parts: None)
        weights[precision] = torch.cat([p.flatten() for p in trained.network.encoder.parameters()])
    assert not torch.equal(weights["float32"], weights["bfloat16"])
    torch.testing.assert_close(weights["bfloat16"], weights["float32"], atol=0.01, rtol=0)
    own = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    assert torch.equal(weights["auto"], weights[own])


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression", "sparse"])
def test_training_lowers_every_loss_that_fits_the_actions(kind, data, robot, small_policies, tmp_path):
    train(data, robot, small_policies[kind], 150, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 150
    for name in ("foresight", {"smp": "mean", "regression": "regression"}.get(kind, "denoise")):
        assert rows[-1][name] < 0.9 * rows[0][name]


def test_a_trained_policy_is_saved_with_its_card_and_loads(data, robot, small_policies, tmp_path):
    policy = small_policies["smp"]
    trained = train(data, robot, policy, 5, tmp_path)
    run = run_config(policy, 5)
    save_checkpoint(trained, robot, tmp_path / "model", model_card(run, data, trained, "smp train"))
    card = (tmp_path / "model" / "README.md").read_text()
    assert "3 demonstrations" in card
    assert "1 bags skipped" in card
    load_policy(tmp_path / "model", robot)
    assert not list(tmp_path.glob("*.partial"))


def test_resuming_needs_a_state_of_the_same_policy(data, robot, small_policies, tmp_path):
    with pytest.raises(ModelError, match="nothing to resume"):
        Trainer(run_config(small_policies["smp"], 5), data, robot, 0, tmp_path).resume()
    train(data, robot, small_policies["smp"], 2, tmp_path)
    smp = small_policies["smp"]
    other = replace(smp, smp=replace(smp.smp, experts=5))
    with pytest.raises(ModelError, match="belongs to another policy"):
        Trainer(run_config(other, 5), data, robot, 0, tmp_path).resume()


def test_resuming_needs_actions_that_say_the_same(data, robot, small_policies, tmp_path):
    """The weights of both have the same shapes."""
    relative = replace(small_policies["diffusion"], actions="relative")
    train(data, robot, relative, 2, tmp_path)
    velocity = run_config(replace(relative, actions="velocity"), 5)
    with pytest.raises(ModelError, match="of actions 'relative', this one's are 'velocity'"):
        Trainer(velocity, data, robot, 0, tmp_path).resume()
    assert Trainer(run_config(relative, 5), data, robot, 0, tmp_path).resume() == 2


@pytest.mark.parametrize("name", ["smp", "diffusion"])
def test_the_shipped_runs_are_valid(name, robot):
    run = load_run(name, robot)
    assert run.policy.kind == name
    assert run.policy.cameras == ("overview", "wrist_left", "wrist_right"), "as when the shipped models were trained"


@pytest.fixture(scope="module")
def cache(demos, robot, small_policies, tmp_path_factory):
    """The cache of one demonstration."""
    folder = tmp_path_factory.mktemp("one")
    load_dataset(demos[1:2], robot, small_policies["smp"], folder)
    return folder


def damaged(folder, name, content):
    (path,) = folder.rglob(name)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["index.json", "state.npy", "overview.npy"])
@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\x80\x02cos\nsystem\n.", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_cache_is_made_anew(name, content, cache, data, demos, robot, small_policies, tmp_path):
    folder = shutil.copytree(cache, tmp_path / "cache")
    damaged(folder, name, content)
    again = load_dataset(demos[1:2], robot, small_policies["smp"], folder)
    np.testing.assert_array_equal(again.action, data.action[: data.starts[1]])


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02cos\nsystem\n.", b"PK\x03\x04", b"\x80\x02" + bytes(6) + b"{}" + b" " * 638]
)
def test_a_broken_training_state_is_one_line(content, data, robot, small_policies, tmp_path):
    trainer = Trainer(run_config(small_policies["smp"], 1), data, robot, 0, tmp_path)
    (tmp_path / "training.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"is no training state of ours: .* train without --resume") as caught:
        trainer.resume()
    assert "\n" not in str(caught.value)


def test_a_disk_that_takes_nothing_ends_training_in_one_line_and_keeps_the_last_state(
    data, robot, small_policies, tmp_path
):
    trainer = Trainer(run_config(small_policies["smp"], 1), data, robot, 0, tmp_path)
    (tmp_path / "training.safetensors").write_bytes(b"the last state")
    (tmp_path / "training.safetensors.partial").mkdir()  # nothing can be written there
    with pytest.raises(OutputError, match=r"cannot be written: .*: make room, and use --resume"):
        trainer.train(lambda step, losses: None)
    assert (tmp_path / "training.safetensors").read_bytes() == b"the last state"
