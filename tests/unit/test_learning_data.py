"""What a training run is given and what it ships: augmentation, episodes held out, schedules, averaged weights."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from smp_bringup.errors import BagError, InstallError, ModelError, OutputError, TrainingError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.output import held_alone
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.training.augment import AugmentConfig
from smp_bringup.training.batches import Batches
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.ema import Ema
from smp_bringup.training.loader import Loader
from smp_bringup.training.objective import Objective
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.split import split
from smp_bringup.training.trainer import Trainer, _schedule
from smp_bringup.types import nanoseconds

DOF, EPISODES, FRAMES = 14, 6, 12
STATE = PolicyConfig(
    "diffusion",
    track="state",
    horizon=4,
    denoiser=DenoiserConfig(width=16, depth=1),
    encoder=EncoderConfig(feature=16),
    foresight_s=(0.4,),
)


PERIOD_S = 0.04


def stamps(count):
    return nanoseconds(PERIOD_S) * np.arange(count)


@pytest.fixture
def data(rng):
    count = EPISODES * FRAMES
    return Dataset(
        PERIOD_S,
        {},
        stamps(count),
        rng.normal(size=(count, DOF)),
        rng.normal(size=(count, 5)).astype(np.float32),
        rng.normal(size=(count, STATE.horizon, DOF)),
        rng.normal(size=(count, 1, DOF)),
        np.arange(0, count + 1, FRAMES),
        (),
        ("one",),
    )


def trainer(data, robot, out, **settings):
    settings = {"steps": 6, "pairs": 8, "warmup_steps": 2, "held_out": 0.34} | settings
    return Trainer(RunConfig(STATE, TrainingConfig(**settings)), data, robot, 0, out)


EYE = PolicyConfig("diffusion", ("eye",), horizon=4)
PLAIN = Normalizer(np.zeros(DOF), np.ones(DOF))


@pytest.fixture
def filmed():
    """Four frames of a bright patch."""
    image = np.zeros((1, 48, 48, 3), np.uint8)
    image[0, 14:18, 26:32] = 255
    return Dataset(
        PERIOD_S,
        {"eye": np.repeat(image, 4, axis=0)},
        stamps(4),
        np.zeros((4, DOF)),
        np.zeros((4, 0)),
        np.zeros((4, 4, DOF)),
        np.zeros((4, 0, DOF)),
        np.array([0, 4]),
        (),
        (),
    )


def test_an_image_and_what_it_was_moved_by_go_together(filmed, rng):
    """The centre of brightness of a moved image, less what it is said to have been moved by, is that of the image."""
    batch = Batches(filmed, PLAIN, EYE, np.arange(1), np.zeros(DOF)).draw(64, rng)
    units = np.linspace(-1, 1, 48)

    def centre(picture):
        light = picture[..., 0].astype(float) / picture[..., 0].sum()
        return np.array([(light.sum(0) * units).sum(), (light.sum(1) * units).sum()])

    moved = batch.shifts["eye"].numpy()
    assert np.abs(moved).max() > 0.1
    seen = np.stack([centre(picture) for picture in batch.inputs["image_eye"][:, 0].numpy()])
    image = centre(filmed.images["eye"][0])
    np.testing.assert_allclose(seen - moved, np.tile(image, (len(seen), 1)), atol=1e-6)


def test_what_is_held_out_is_seen_as_it_was_recorded(filmed, rng):
    batch = Batches(filmed, PLAIN, EYE, np.arange(1)).draw(16, rng)
    assert not batch.shifts["eye"].any()
    for picture in batch.inputs["image_eye"][:, 0].numpy():
        np.testing.assert_array_equal(picture, filmed.images["eye"][0])
    assert not batch.inputs["state"].any()


CHANGED = AugmentConfig(shift=0.05, turn=0.1, hue=0.5, noise=0.05, patches=3, dropout=0.2)


def test_processes_draw_the_parts_of_one_batch_and_read_no_images_but_their_own(filmed):
    class Counted:
        """Images that count how many were read."""

        read, shape, dtype = 0, filmed.images["eye"].shape, np.uint8

        def __getitem__(self, at):
            self.read += 1
            return filmed.images["eye"][at]

    store = Counted()
    batches = Batches(
        replace(filmed, images={"eye": store}), PLAIN, EYE, np.arange(1), np.full(DOF, 0.1), augment=CHANGED
    )

    def drawn(*part):
        before = store.read
        batch = batches.draw(6, np.random.default_rng(3), *part)
        return batch, store.read - before

    whole, read = drawn()
    assert read == 12
    for rank in range(3):
        part, read = drawn(rank, 3)
        rows = [rank, rank + 3, rank + 6, rank + 9]
        assert read == len(rows)
        for name, value in vars(whole).items():
            pairs = ((value[k], vars(part)[name][k]) for k in value) if isinstance(value, dict) else ()
            for ours, theirs in pairs if isinstance(value, dict) else [(value, vars(part)[name])]:
                torch.testing.assert_close(theirs, ours[rows], atol=0, rtol=0)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loader_gives_each_step_its_batch_and_draws_none_beyond_the_last(workers):
    drawn = []

    def draw(step):
        drawn.append(step)
        return f"batch {step}"

    loader = Loader(draw, 6, workers)
    assert [loader.take(step) for step in range(2, 6)] == [f"batch {step}" for step in range(2, 6)]
    loader.close()
    assert sorted(drawn) == [2, 3, 4, 5]


def test_a_loader_leaves_the_training_its_threads_of_pytorch():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        loader = Loader(lambda step: torch.get_num_threads(), 3, 1)
        assert loader.take(0) == 2
        loader.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_thread_arrives_at_its_step():
    def draw(step):
        if step == 1:
            raise BagError("an image is damaged")
        return step

    loader = Loader(draw, 3, 2)
    assert loader.take(0) == 0
    with pytest.raises(BagError, match="an image is damaged"):
        loader.take(1)
    loader.close()


def test_joints_are_told_wrong_by_the_noise_that_was_asked_for_and_actions_stay(data, robot):
    normalizer, noise = Normalizer(np.zeros(DOF), np.full(DOF, 2.0)), 0.03 * robot.turning
    clean, told = (
        Batches(data, normalizer, STATE, np.arange(EPISODES), n).draw(512, np.random.default_rng(0))
        for n in (None, noise)
    )
    off = (told.inputs["state"] - clean.inputs["state"]).numpy()[:, 0]
    np.testing.assert_allclose(off.std(0), noise / 2.0, rtol=0.1)
    torch.testing.assert_close(told.action, clean.action)


def test_a_prefix_tells_from_none_to_all_of_the_first_actions_and_flags_each(data, rng):
    batches = Batches(data, PLAIN, replace(STATE, prefix_steps=3), np.arange(EPISODES))
    batch = batches.draw(100, rng)
    prefix, flags = batch.inputs["prefix"][..., :-1].numpy(), batch.inputs["prefix"][..., -1:].numpy()
    assert set(flags.sum(axis=(1, 2))) == {0, 1, 2, 3}
    assert (np.diff(flags, axis=1) <= 0).all()  # the first ones, without a gap
    np.testing.assert_array_equal(prefix, batch.action[:, :3].numpy() * flags)
    assert not any(inputs["prefix"].any() for inputs in batches.all_inputs(16))


def test_every_step_draws_a_batch_of_its_own(data, robot, tmp_path):
    run, drawn = trainer(data, robot, tmp_path, workers=0), []
    whole = run._train

    class Kept:
        """Draws, and keeps what was drawn."""

        def draw(self, pairs, rng, *part):
            drawn.append(whole.draw(pairs, rng, *part))
            return drawn[-1]

    run._train = Kept()
    for _ in range(3):
        run._one(run._run.training)
    assert len({batch.inputs["state"].numpy().tobytes() for batch in drawn}) == len(drawn) == 3


@torch.no_grad()
def test_the_foresight_counts_as_much_as_its_weight(data, rng):
    batch = Batches(data, PLAIN, STATE, np.arange(EPISODES)).draw(8, rng)
    losses = {}
    for weight in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        network = build_network(replace(STATE, foresight_weight=weight), DOF, data.objects.shape[1])
        losses[weight] = Objective(network).train(False)(batch)
    assert "foresight" not in losses[0.0]
    assert float(losses[0.1]["foresight"]) == pytest.approx(0.1 * float(losses[1.0]["foresight"]))
    assert float(losses[1.0]["foresight"]) > 0


def test_episodes_held_out_are_never_trained_on(data, robot, tmp_path):
    train, held = split(("",) * EPISODES, 0.34, 0)
    assert len(held) == 2
    assert sorted([*train, *held]) == list(range(EPISODES))
    for episode in range(EPISODES):
        bad = np.array(data.action)
        bad[data.starts[episode] : data.starts[episode + 1]] = np.nan
        poisoned = trainer(data, robot, tmp_path / str(episode))
        normalizer = poisoned.normalizer
        noise = np.zeros(DOF)
        poisoned._train = Batches(replace(data, action=bad), normalizer, STATE, train, noise)
        if episode in held:
            poisoned.train(lambda step, losses: None)
            continue
        with pytest.raises(TrainingError, match="diverged"):
            poisoned.train(lambda step, losses: None)


def test_a_trainer_draws_from_what_is_not_held_out_and_measures_on_what_is(data, robot, tmp_path):
    run = trainer(data, robot, tmp_path)
    train, held = split(("",) * EPISODES, 0.34, 0)
    spans = {e: set(range(data.starts[e], data.starts[e + 1])) for e in range(EPISODES)}
    assert set(run._train._frames) <= set().union(*(spans[e] for e in train))
    assert set(run._held._frames) <= set().union(*(spans[e] for e in held))
    assert run._train._augment
    assert not run._held._augment


def test_the_averaged_weights_are_what_is_shipped(data, robot, tmp_path):
    run = trainer(data, robot, tmp_path / "run", ema=0.9, learning_rate=0.05)
    trained = run.train(lambda step, losses: None)
    averaged, last = dict(run._ema.network.named_parameters()), dict(run.network.named_parameters())
    assert any((averaged[name] - last[name]).abs().max() > 1e-3 for name in last)
    save_checkpoint(trained, robot, tmp_path / "model", "# card\n")
    shipped = load_file(tmp_path / "model" / "weights.safetensors")
    for name, value in averaged.items():
        torch.testing.assert_close(shipped[name].float(), value.float(), atol=1e-3, rtol=1e-3)


def test_the_average_forgets_at_its_rate_and_copies_buffers():
    network = torch.nn.BatchNorm1d(1)
    ema = Ema(network, 0.75)
    with torch.no_grad():
        network.weight.fill_(5.0)
        network.running_mean.fill_(7.0)
    ema.update(1)
    assert float(ema.network.weight) == pytest.approx(1 + 4 * (1 - 2 / 11))  # early steps are averaged over fewer
    ema.update(1000)
    before = 1 + 4 * (1 - 2 / 11)
    assert float(ema.network.weight) == pytest.approx(before + (5 - before) * 0.25)
    assert float(ema.network.running_mean) == 7.0


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = TrainingConfig(steps=110, warmup_steps=10)
    assert _schedule(0, settings) == pytest.approx(0.1)
    assert _schedule(4, settings) == pytest.approx(0.5)
    assert _schedule(10, settings) == pytest.approx(1.0)
    assert _schedule(60, settings) == pytest.approx(0.5)
    assert _schedule(110, settings) == pytest.approx(0.0)


def test_objects_are_seen_between_minus_one_and_one(data, robot, tmp_path):
    flat = np.array(data.objects)
    flat[:, 0] = 3.0  # never varies
    flat[:, 1] = 3.0 + 1e-4 * np.sign(flat[:, 1])  # hardly varies
    encoder = trainer(replace(data, objects=flat), robot, tmp_path).network.encoder
    seen = (torch.from_numpy(flat) - encoder.object_center) * encoder.object_scale
    torch.testing.assert_close(seen[:, 2:].amin(0), -torch.ones(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[:, 2:].amax(0), torch.ones(3), atol=1e-5, rtol=0)
    assert seen[:, 0].abs().max() < 1e-5
    assert seen[:, 1].abs().max() < 0.02


def test_something_is_left_to_train_on_whatever_share_is_held_out():
    for episodes in (2, 3, 6):
        train, held = split(("",) * episodes, 0.9999, 0)
        assert len(train) >= 1 <= len(held)


def test_a_training_that_diverges_says_so_and_keeps_the_weights_before(data, robot, tmp_path):
    run = trainer(data, robot, tmp_path, learning_rate=1e-4, steps=40)
    bad = Batches(replace(data, action=data.action * np.inf), run.normalizer, STATE, np.arange(EPISODES))
    sound, drawn = run._train, []

    class Turning:
        """Draws sound batches, then one that is not finite."""

        def draw(self, pairs, rng, *part):
            drawn.append(1)
            return (sound if len(drawn) < 4 else bad).draw(pairs, rng, *part)

    run._train = Turning()
    with pytest.raises(TrainingError, match=r"training diverged at step 3 \(denoise .*lower training.learning_rate"):
        run.train(lambda step, losses: None)
    again = trainer(data, robot, tmp_path)
    assert again.resume() == 3
    assert all(torch.isfinite(p).all() for p in again.network.parameters())


def test_two_trainings_do_not_share_a_folder(data, robot, tmp_path):
    with held_alone(tmp_path, "training"), pytest.raises(OutputError, match="another training runs in"):
        trainer(data, robot, tmp_path).train(lambda step, losses: None)
    trainer(data, robot, tmp_path).train(lambda step, losses: None)


def test_a_gpu_that_is_not_there_is_said_before_anything(data, robot, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InstallError, match=r"device is cuda, this PyTorch finds no GPU: --set training\.device=cpu"):
        trainer(data, robot, tmp_path, device="cuda")


def test_every_task_has_its_share_held_out_and_the_first_looks_are_at_several():
    tasks = ["a"] * 50 + ["b"] * 20 + ["c"] * 3
    train, held = split(tasks, 0.1, 0)
    assert sorted([*train, *held]) == list(range(73))
    assert Counter(tasks[e] for e in held) == {"a": 5, "b": 2}
    assert [tasks[e] for e in held[:2]] == ["a", "b"]
    assert set(held) != set(split(tasks, 0.1, 1)[1])
    assert Counter(tasks[e] for e in split(tasks, 0.5, 0)[1]) == {"a": 25, "b": 10, "c": 1}
    near = ["a"] * 14 + ["b"] * 16
    assert Counter(near[e] for e in split(near, 0.1, 0)[1]) == {"a": 1, "b": 2}
    marked = [task != "c" or e == 70 for e, task in enumerate(tasks)]
    assert [tasks[e] for e in split(tasks, 0.1, 0, marked)[1][:4]] == ["a", "b", "c", "a"]
    few = ["a"] * 3 + ["b"]
    assert {few[e] for e in split(few, 0.9, 0)[0]} == {"a", "b"}


def looked(run, errors, monkeypatch):
    """Let the looks at held-out demonstrations say these errors, one after the other."""
    said = iter(errors)
    monkeypatch.setattr(run._look, "look", lambda network: SimpleNamespace(error=next(said)))
    return run


def test_the_best_weights_are_kept_and_patience_ends_a_training(data, robot, tmp_path, monkeypatch):
    settings = {"steps": 40, "save_every": 2, "patience": 4, "ema": 0.0, "learning_rate": 0.05}
    run = looked(trainer(data, robot, tmp_path, **settings), [3.0, 1.0, 2.0, 1.0, 0.1], monkeypatch)
    kept, offer = {}, run._best.offer

    def offered(step, error, network):
        kept[step] = {name: value.clone() for name, value in network.state_dict().items()}
        offer(step, error, network)

    monkeypatch.setattr(run._best, "offer", offered)
    last = run.train(lambda step, losses: None)
    assert list(kept) == [2, 4, 6, 8]
    best = run.best()
    assert (last.metrics["steps"], best.metrics["steps"]) == (8, 4)
    assert all(torch.equal(value, kept[4][name]) for name, value in best.network.state_dict().items())
    assert any(not torch.equal(value, kept[4][name]) for name, value in last.network.state_dict().items())
    again = trainer(data, robot, tmp_path, **settings)
    assert again.resume() == 8
    assert again.train(lambda step, losses: None).metrics["steps"] == 8, "its patience was at an end"
    fresh = looked(trainer(data, robot, tmp_path, **settings | {"steps": 2}), [5.0], monkeypatch)
    fresh.train(lambda step, losses: None)
    assert fresh.best().metrics["steps"] == 2, "what another training left is gone"


def test_without_a_page_or_patience_nothing_is_looked_at_and_nothing_kept(data, robot, tmp_path):
    run = trainer(data, robot, tmp_path)
    run.train(lambda step, losses: None)
    assert run.best() is None
    assert not (tmp_path / "best.safetensors").exists()


def test_a_broken_file_of_best_weights_is_one_line(data, robot, tmp_path):
    trainer(data, robot, tmp_path).train(lambda step, losses: None)
    (tmp_path / "best.safetensors").write_bytes(b"\x80\x02cos\nsystem\n.")
    with pytest.raises(ModelError, match=r"is no file of ours: .*: remove it"):
        trainer(data, robot, tmp_path).resume()
