"""Experts in 8-bit integers: nearly the same numbers from fewer bytes, and only where the policy still works."""

import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from smp_bringup.bench import rounding, spoil
from smp_bringup.bench.rounding import followed, solved
from smp_bringup.bench.speed import build, write
from smp_bringup.cli import main as cli
from smp_bringup.errors import ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.paths import share
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import CARD, METRICS, load_policy, read_metrics
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.engines import Model
from smp_bringup.policy.export import export
from smp_bringup.policy.quantized import quantized
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.trial import blank, warm_up
from smp_bringup.training.save import add_evaluation, export_again, export_int8

UNET, MLP = DenoiserConfig("unet", 64, 2), DenoiserConfig(width=192, depth=2)
COMMON = {"cameras": ("overview",), "encoder": EncoderConfig(channels=(4, 8), keypoints=4, feature=128)}
MIXTURE = SmpPolicyConfig("smp", **COMMON, denoiser=UNET, smp=SmpConfig("paper", experts=4))


@pytest.fixture(scope="module")
def checkpoint(robot, tmp_path_factory):
    """A mixture of U-Nets of random weights."""
    folder = tmp_path_factory.mktemp("random") / "model"
    write(build(MIXTURE, robot), robot, folder)
    return folder


@pytest.mark.parametrize("config", [PolicyConfig("diffusion", **COMMON, denoiser=d) for d in (UNET, MLP)] + [MIXTURE])
def test_a_rounded_expert_says_nearly_the_same_from_half_the_bytes(config, robot):
    torch.manual_seed(3)
    encoder, (exact, *_) = export(build_network(config, robot.dof), robot)
    rounded = quantized(exact, "denoiser_0.onnx")
    stored = onnx.load_from_string(rounded).graph.initializer
    assert {tensor.data_type for tensor in stored if np.prod(tensor.dims) >= 1 << 14} == {TensorProto.INT8}
    largest = [int(np.abs(onnx.numpy_helper.to_array(t)).max()) for t in stored if t.data_type == TensorProto.INT8]
    assert max(largest) * 255 * 2 < 1 << 15, "a CPU without VNNI adds two products in 16 bits"
    assert len(rounded) < 0.75 * len(exact)  # of half precision
    rng, columns = np.random.default_rng(1), config.columns(robot.dof)
    engine = OnnxEngine(encoder, [Model.of(exact), Model.of(rounded)])
    for _ in range(20):
        feature, x = rng.normal(size=128), rng.normal(size=(config.horizon, columns))
        given = feature, x, np.ones(config.experts), rng.normal(size=EMBEDDING)
        one, two = (engine.denoise(k, *given) for k in (0, 1))
        assert np.linalg.norm(one - two) < 0.08 * np.linalg.norm(one)


def test_a_rounded_checkpoint_says_what_it_is_and_forgets_what_others_solved(checkpoint, robot, tmp_path):
    judged = shutil.copytree(checkpoint, tmp_path / "judged")
    row = {"successes": 3, "episodes": 4, "interval": (0.3, 0.95)}
    report = {"seed": 2, "tasks": {"a": row}, "all": row, "active_experts": {"mean": 1.0}, "variation": "ordinary"}
    add_evaluation(judged, report)
    assert "3/4" in (judged / "README.md").read_text()
    apart = export_int8(judged, robot, tmp_path / "int8")
    policy, exact = load_policy(tmp_path / "int8", robot), load_policy(checkpoint, robot)
    assert policy.runs_in.endswith("on the CPU, int8")
    assert exact.runs_in.endswith("fp32")
    observation = blank(robot, 1)
    chunks = [p.infer(observation, 4)[0].position for p in (exact, policy)]
    assert 0 < np.abs(chunks[0] - chunks[1]).max() < 2 * apart
    warm_up(policy, robot)
    files = read_checked(tmp_path / "int8")
    assert "evaluation" not in read_metrics(files)
    assert files[CARD].decode()
    assert "3/4" not in files[CARD].decode()
    write_checked(tmp_path / "odd", {**files, METRICS: b'{"precision": "int4"}'})
    with pytest.raises(ModelError, match=r"precision must be one of fp32, int8, got int4"):
        load_policy(tmp_path / "odd", robot)


def ended(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["smp", "export", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_a_policy_of_small_products_is_not_rounded(robot, small_policies, tmp_path, monkeypatch, capsys):
    write(build(small_policies["smp"], robot), robot, tmp_path / "small")
    out = tmp_path / "out"
    assert ended(monkeypatch, tmp_path / "small", "--out", out, "--precision", "int8") == 2
    assert "no simulated task judges" in capsys.readouterr().err  # it says no tasks
    with pytest.raises(ModelError, match="has 16384 weights or more: int8 gains nothing here"):
        export_int8(tmp_path / "small", robot, out)
    assert list(out.iterdir()) == []
    assert ended(monkeypatch, "smp_state", "--out", out, "--precision", "int4") == 2
    assert "fp32" in capsys.readouterr().err


def test_what_the_judge_found_stands_in_the_card(robot, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rounding, "LOST_POINTS", 100.0)  # whatever this machine's integers make of eight layouts
    words = ("dibm_state", "--out", tmp_path / "out", "--precision", "int8", "--episodes", 1)
    assert not ended(monkeypatch, *words)
    (said,) = re.findall(
        r"int8: \d/8 layouts solved, \d/8 before; its chunks differ by at most 0.\d+", capsys.readouterr().out
    )
    assert f"`smp export dibm_state --precision int8`: {said}" in (tmp_path / "out" / "README.md").read_text()
    assert load_policy(tmp_path / "out", robot).runs_in.endswith("int8")


def test_a_policy_that_solves_less_once_it_is_rounded_is_not_written(robot, tmp_path):
    good, ran = share("models", "dibm_state"), []
    same = shutil.copytree(good, tmp_path / "same")
    found = solved(good, same, robot, ["lift_tray"], 3, 5, lambda: ran.append(1))
    assert found.before == found.after > 0
    assert found.episodes == 3
    assert len(ran) == 6
    spoiled = spoil.noisy(good, tmp_path / "spoiled", 1.0, seed=0)
    with pytest.raises(
        ModelError, match=r"^0/3 layouts solved, [123]/3 before: rounding costs \d+.\d points, at most 2"
    ):
        solved(good, spoiled, robot, ["lift_tray"], 3, 5, lambda: None)


def spoilt(checkpoint, folder, change):
    """Write a checkpoint of which one expert's model is changed, with the right hash."""
    files = read_checked(checkpoint)
    model = onnx.load_from_string(files["denoiser_1.onnx"])
    files["denoiser_1.onnx"] = change(model)
    write_checked(folder, files)
    return folder


def weight_of(model, value):
    tensor = max(model.graph.initializer, key=lambda t: np.prod(t.dims))
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model.SerializeToString()


def outside(model):
    tensor = max(model.graph.initializer, key=lambda t: np.prod(t.dims))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: weight_of(model, np.nan), "holds NaN"),
        (lambda model: weight_of(model, np.inf), "denoiser_1.onnx: a weight is not finite"),
        (outside, "leaves the model folder"),
        (lambda model: b"\xff" * 100, "denoiser_1.onnx is not an ONNX model"),
    ],
)
def test_an_expert_that_is_broken_is_not_rounded_into_a_sound_one(change, said, checkpoint, robot, tmp_path):
    folder = spoilt(checkpoint, tmp_path / "spoilt", change)
    with pytest.raises(ModelError, match=said):
        export_int8(folder, robot, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_rounded_already_is_said(checkpoint, robot, tmp_path):
    export_int8(checkpoint, robot, tmp_path / "int8")
    for again in (export_int8, export_again):
        with pytest.raises(ModelError, match="is int8 already: export the checkpoint that it was made from"):
            again(tmp_path / "int8", robot, tmp_path / "out")
    files = read_checked(checkpoint)
    files.pop("denoiser_2.onnx")
    write_checked(tmp_path / "lacks", files)
    with pytest.raises(ModelError, match=r"lacks denoiser_2\.onnx"):
        export_int8(tmp_path / "lacks", robot, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--bags", "x"), "--episodes, --seed and --bags judge what --precision int8 rounds"),
        (("--episodes", 3), "--episodes, --seed and --bags judge what --precision int8 rounds"),
        (("--precision", "int8", "--bags", "x", "--seed", 3), "--bags judges instead: one of the two"),
        (("--precision", "int8", "--bags", __file__), "is a file: name the folder of its bag"),
    ],
)
def test_what_would_be_ignored_is_refused(words, said, tmp_path, monkeypatch, capsys):
    assert ended(monkeypatch, "dibm_state", "--out", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_layouts_that_are_never_solved_and_bags_without_an_operator_judge_nothing(robot, tmp_path, monkeypatch):
    spoiled = spoil.noisy(share("models", "dibm_state"), tmp_path / "spoiled", 1.0, seed=0)
    with pytest.raises(ModelError, match=r"^0/2 layouts solved, 0/2 before: of a policy that solves none"):
        solved(spoiled, spoiled, robot, ["lift_tray"], 2, 5, lambda: None)
    replayed = SimpleNamespace(samples={"inference_ms": np.ones(3)})
    monkeypatch.setattr(rounding.batch, "run", lambda jobs, workers: iter([replayed]))
    with pytest.raises(ModelError, match="no joint of these episodes was told what to do"):
        followed(spoiled, spoiled, robot, [tmp_path], lambda: None)


def test_a_checkpoint_without_a_card_gets_one(robot, tmp_path, monkeypatch):
    files = read_checked(share("models", "dibm_state"))
    files.pop("README.md")
    write_checked(tmp_path / "bare", files)
    monkeypatch.setattr(rounding, "solved", lambda *_: "1/1 layouts solved, 1/1 before")
    assert not ended(monkeypatch, tmp_path / "bare", "--out", tmp_path / "out", "--precision", "int8", "--episodes", 1)
    assert "## Rounded" in (tmp_path / "out" / "README.md").read_text()
