"""Deployed policies: only selected experts run, sparse equals dense, and nothing unsafe or unfit is loaded (F71)."""

import io
import json
import pickle
import shutil
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from smp_bringup import manifest
from smp_bringup.config import parse_yaml
from smp_bringup.errors import InstallError, ModelError, SmpError, UnknownNameError
from smp_bringup.manifest import MANIFEST, read_checked, write_checked
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy import policy_config
from smp_bringup.policy.base import policy_inputs
from smp_bringup.policy.checkpoint import CONFIG, WEIGHTS, config_yaml, load_policy
from smp_bringup.policy.denoise import EMBEDDING, sample
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.smp import deploy_smp
from smp_bringup.policy.trial import warm_up, within
from smp_bringup.types import Observation


@pytest.fixture
def observation(robot, rng):
    images = {
        c.name: rng.integers(0, 256, (1, c.observation_height, c.observation_width, 3), dtype=np.uint8)
        for c in robot.cameras
    }
    position = robot.joint_array("home")[None] + rng.normal(size=(1, robot.dof)) * 0.1
    return Observation(1_000_000_000, images, position, np.zeros((1, robot.dof)))


@pytest.fixture
def copy(checkpoints, tmp_path):
    """Return a private copy of the small SMP checkpoint."""
    return shutil.copytree(checkpoints["smp"][0], tmp_path / "model")


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression", "sparse"])
def test_a_checkpoint_gives_a_chunk_for_both_arms_and_the_same_one_again(kind, checkpoints, robot, observation):
    policy = load_policy(checkpoints[kind][0], robot)
    chunk, report = policy.infer(observation, seed=5)
    assert chunk.stamp_ns == report.stamp_ns == observation.stamp_ns
    assert chunk.position.shape == (16, robot.dof)
    assert np.isfinite(chunk.position).all()
    np.testing.assert_array_equal(policy.infer(observation, seed=5)[0].position, chunk.position)
    other = np.abs(policy.infer(observation, seed=6)[0].position - chunk.position).max()
    assert (other > 0) == (kind != "regression")
    routed = {"route"} if policy.config.experts > 1 else set()
    assert set(report.stage_ms) == {"encode", "denoise", "decode"} | routed


def smp(network, robot, **gate):
    settings = network.config.smp
    config = replace(network.config, smp=replace(settings, gate=replace(settings.gate, **gate)))
    normalizer = Normalizer(np.zeros(robot.dof), np.ones(robot.dof))
    return deploy_smp(config, TorchEngine(network), normalizer, robot.action_period_s)


@pytest.mark.parametrize("coverage", [0.0, 0.3, 0.6, 0.95, 1.0])
def test_only_the_active_experts_are_denoised(coverage, checkpoints, robot, observation):
    network = checkpoints["smp"][1]
    policy = smp(network, robot, coverage=coverage)
    called, denoise = [], policy.engine.denoise
    policy.engine.denoise = lambda expert, *rest: (called.append(expert), denoise(expert, *rest))[1]
    _, report = policy.infer(observation, 0)
    steps = network.config.denoise_steps
    expected = [steps if i in report.active else 0 for i in range(network.config.experts)]
    assert report.denoiser_calls.tolist() == [called.count(i) for i in range(network.config.experts)] == expected
    assert report.kept_mass >= coverage - 1e-6


def test_without_experts_the_mean_head_acts_alone(checkpoints, robot, observation):
    network = checkpoints["smp"][1].train(False)
    chunk, report = smp(network, robot, coverage=0.0).infer(observation, 7)
    normalizer = Normalizer(np.zeros(robot.dof), np.ones(robot.dof))
    inputs = policy_inputs(observation, network.config, normalizer)
    with torch.inference_mode():
        coded = network.code({name: torch.from_numpy(value)[None] for name, value in inputs.items()})
    np.testing.assert_allclose(chunk.position, coded["reference"][0].numpy(), atol=1e-5)
    assert report.active == ()
    assert report.heaviest == int(np.argmax(report.mass))


def test_all_experts_active_equals_the_dense_computation(checkpoints, robot, observation):
    network = checkpoints["smp"][1].train(False)
    chunk, report = smp(network, robot, coverage=1.0).infer(observation, 7)
    config = network.config
    assert len(report.active) == config.experts
    normalizer = Normalizer(np.zeros(robot.dof), np.ones(robot.dof))
    inputs = policy_inputs(observation, config, normalizer)
    with torch.inference_mode():
        coded = network.code({name: torch.from_numpy(value)[None] for name, value in inputs.items()})

        def dense(x, embedding):
            mask = torch.ones(1, config.experts)
            noisy, step = (torch.tensor(v, dtype=torch.float32)[None] for v in (x, embedding))
            return network.denoise_active(coded["feature"], noisy, mask, step)[0].double().numpy()

        rng = np.random.default_rng(7)
        noise = rng.normal(size=(config.horizon, config.experts)) * config.noise
        clean = sample(dense, noise, config, rng)
        basis, mean, state = coded["basis"][0].numpy(), coded["reference"][0].numpy(), inputs["state"]
        expected = state + clean @ basis.T + (mean - state) @ (np.eye(robot.dof) - basis @ basis.T)
    np.testing.assert_allclose(chunk.position, expected, atol=1e-5)


def test_fewer_experts_give_another_chunk(checkpoints, robot, observation):
    network = checkpoints["smp"][1]
    dense, _ = smp(network, robot, top_k=4).infer(observation, 0)
    sparse, report = smp(network, robot, top_k=1).infer(observation, 0)
    assert len(report.active) == 1
    assert np.abs(sparse.position - dense.position).max() > 1e-6


def test_experts_trained_only_where_they_are_active_give_the_masked_dense_result(checkpoints):
    network = checkpoints["smp"][1]
    config = network.config
    feature, embedding = torch.randn(6, config.encoder.feature), torch.randn(6, EMBEDDING)
    mask = (torch.rand(6, config.experts) < 0.5).float()
    mask[:, 0] = 0.0  # an expert without a single sample
    x = torch.randn(6, config.horizon, config.experts) * mask.unsqueeze(1)
    with torch.inference_mode():
        sparse = network.denoise_active(feature, x, mask, embedding)
        dense = [network.denoise(i, feature, x, mask, embedding) for i in range(config.experts)]
    np.testing.assert_allclose(sparse, torch.stack(dense, 2) * mask.unsqueeze(1), atol=1e-5)


def test_only_settings_of_deployment_can_be_changed_afterwards(copy, robot):
    assert load_policy(copy, robot, changes=["gate.coverage=0.5"]).config.smp.gate.coverage == 0.5
    with pytest.raises(UnknownNameError, match="setting of a trained policy 'horizon'"):
        load_policy(copy, robot, changes=["horizon=8"])


def test_every_file_of_the_manifest_is_checked(copy, robot):
    for name in json.loads((copy / MANIFEST).read_text())["files"]:
        path = copy / name
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(ModelError, match=f"{name} sha256 is .* refusing to load"):
            load_policy(copy, robot)
        path.unlink()
        with pytest.raises(ModelError, match=f"lacks {name}"):
            load_policy(copy, robot)
        path.write_bytes(good)
    load_policy(copy, robot)


class _Canary:
    def __reduce__(self):
        return (open, ("canary", "w"))


@pytest.mark.parametrize("name", ["weights.pt", "model.pkl", "extra.bin", "normalizer.json"])
def test_a_pickle_is_refused_under_whatever_name_and_never_run(copy, robot, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_checked(copy, {**read_checked(copy), name: pickle.dumps(_Canary())})
    with pytest.raises(ModelError, match="pickle"):
        load_policy(copy, robot)
    assert not (tmp_path / "canary").exists()


def test_a_manifest_cannot_reach_outside_its_folder(copy, robot):
    manifest = json.loads((copy / MANIFEST).read_text())
    for name in ("../secret", "/etc/passwd", "sub/file"):
        (copy / MANIFEST).write_text(json.dumps(manifest | {"files": manifest["files"] | {name: "0"}}))
        with pytest.raises(ModelError, match="leaves the model folder"):
            load_policy(copy, robot)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', "\x00"])
def test_a_broken_manifest_is_one_line(copy, robot, text):
    (copy / MANIFEST).write_text(text)
    with pytest.raises(ModelError) as caught:
        load_policy(copy, robot)
    assert "\n" not in str(caught.value)


def test_a_model_for_another_robot_is_refused_naming_the_difference(copy, robot):
    arms = tuple(reversed(robot.arms))
    with pytest.raises(ModelError, match=r"has joints .*left_waist.*, model expects"):
        load_policy(copy, replace(robot, arms=arms))
    bigger = tuple(replace(c, observation_width=80) for c in robot.cameras)
    with pytest.raises(ModelError, match="has cameras"):
        load_policy(copy, replace(robot, cameras=bigger))
    with pytest.raises(ModelError, match="the model sees camera 'overview'"):
        load_policy(copy, replace(robot, cameras=robot.cameras[1:]))


def test_a_model_with_other_dimensions_is_refused(copy, robot):
    settings = (copy / CONFIG).read_text()
    write_checked(copy, {**read_checked(copy), CONFIG: settings.replace("horizon: 16", "horizon: 8").encode()})
    with pytest.raises(ModelError, match=r"input 'x' is \[1, 16, 4\], robot and config give \[1, 8, 4\]"):
        load_policy(copy, robot)


def test_a_device_of_another_name_is_refused_with_those_there_are(checkpoints, robot):
    with pytest.raises(UnknownNameError, match=r"unknown device 'tpu'.*; known: cpu, cpu_torch, cuda"):
        load_policy(checkpoints["smp"][0], robot, device="tpu")


def test_a_gpu_that_is_not_there_is_named(checkpoints, robot):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InstallError, match=r"device cuda was asked for, PyTorch .* finds no GPU: .*device cpu"):
        load_policy(checkpoints["smp"][0], robot, device="cuda")


def test_settings_survive_the_checkpoint(small_policies):
    for policy in small_policies.values():
        assert policy_config(parse_yaml(config_yaml(policy), "x"), "x") == policy


def test_a_checkpoint_of_another_format_says_how_to_go_on(copy, robot):
    manifest = json.loads((copy / MANIFEST).read_text())
    assert manifest.pop("format") == 2
    (copy / MANIFEST).write_text(json.dumps(manifest))  # as format 1 was
    with pytest.raises(ModelError, match=r"is a checkpoint of format 1, this version reads format 2: .*migrate"):
        load_policy(copy, robot)
    (copy / MANIFEST).write_text(json.dumps({"format": "new\nline", **manifest}))
    with pytest.raises(ModelError, match=r"of format new.*line, this version"):
        load_policy(copy, robot)


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_weights_whose_header_is_as_long_as_a_pickle_begins_are_weights(length, copy, robot):
    """The header's length stands first: 640 bytes are 80 02, as a pickle of protocol 2 begins; 1152 are 80 04."""
    files = read_checked(copy)
    size = int.from_bytes(files[WEIGHTS][:8], "little")
    header = json.loads(files[WEIGHTS][8 : 8 + size])
    tensors = files[WEIGHTS][8 + size :]
    few = {"a": {"dtype": "F16", "shape": [len(tensors) // 2], "data_offsets": [0, len(tensors)]}}
    text = json.dumps(few).encode().ljust(length)
    assert len(text) == length
    assert header
    weights = length.to_bytes(8, "little") + text + tensors
    assert weights.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
    write_checked(copy, {**files, WEIGHTS: weights})
    load_policy(copy, robot)
    for broken in (weights[:-1], weights + b"\0", weights[:20], weights.replace(b"F16", b'"F1')):
        write_checked(copy, {**files, WEIGHTS: broken})
        with pytest.raises(ModelError, match="pickle-based"):
            load_policy(copy, robot)


@pytest.mark.parametrize("kind", ["zip", "pickle"])
@pytest.mark.parametrize("name", [WEIGHTS, "encoder.onnx", "config.yaml", "normalizer.json", "README.md"])
def test_a_pickle_or_an_archive_is_refused_in_the_place_of_every_format(name, kind, copy, robot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = io.BytesIO()
    if kind == "zip":
        torch.save({"a": _Canary()}, content)
    else:
        pickle.dump(_Canary(), content)
    write_checked(copy, {**read_checked(copy), name: content.getvalue()})
    with pytest.raises(ModelError, match="pickle-based"):
        load_policy(copy, robot)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"files": {}, "files": {}}', '{"files": NaN}', "\xff"]
)
def test_a_manifest_of_whatever_bytes_is_one_line(copy, robot, text):
    (copy / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="is not a manifest") as caught:
        load_policy(copy, robot)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["normalizer.json", "robot.json", "config.yaml"])
@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"center": [' + b"9" * 400 + b'], "half_range": 1}', b"9" * 5000]
    + [b'{"kind": "smp", "horizon": 3:30}', b'{"kind": ["smp"]}', b"? [a]\n: 1"],
)
def test_a_file_of_a_checkpoint_of_whatever_bytes_is_one_line(name, content, copy, robot):
    write_checked(copy, {**read_checked(copy), name: content})
    with pytest.raises(SmpError) as caught:
        load_policy(copy, robot)
    assert str(caught.value).isprintable()


def spoilt(copy, name, change):
    """Change an ONNX model of a checkpoint in place."""
    files = read_checked(copy)
    model = onnx.load_from_string(files[name])
    change(model)
    write_checked(copy, {**files, name: model.SerializeToString()})


def _outside(tensor):
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def _in_an_attribute(model):
    tensor = _outside(onnx.helper.make_tensor("t", 1, [0], []))
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["own"], value=tensor))


def _in_a_sparse_tensor(model):
    values, indices = (onnx.helper.make_tensor(n, kind, [1], [1]) for n, kind in (("v", 1), ("i", 7)))
    sparse = onnx.helper.make_sparse_tensor(values, indices, [3])
    _outside(sparse.values)
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["own"], sparse_value=sparse))


def _loop(model):
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [onnx.helper.make_tensor_value_info("i", 7, []), onnx.helper.make_tensor_value_info("c", 9, [])],
        [onnx.helper.make_tensor_value_info("d", 9, [])],
    )
    yes = onnx.helper.make_tensor("yes", 9, [], [True])
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["yes"], value=yes))
    model.graph.node.insert(1, onnx.helper.make_node("Loop", ["", "yes"], [], body=body))


def _nan(model):
    tensor = next(t for t in model.graph.initializer if t.raw_data)
    value = onnx.numpy_helper.to_array(tensor).copy()
    value.flat[0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))


def _huge(model):
    shape = onnx.helper.make_tensor("s", 7, [2], [1 << 20, 1 << 20])
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["s"], value=shape))
    model.graph.node.insert(1, onnx.helper.make_node("ConstantOfShape", ["s"], ["huge"]))


def _not_finite(model):
    """Divide the last output by zero."""
    out = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == out else name for name in node.output]
        node.input[:] = ["before" if name == out else name for name in node.input]
    zero = onnx.helper.make_tensor("zero", 1, [], [0.0])
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["zero"], value=zero))
    model.graph.node.append(onnx.helper.make_node("Div", ["before", "zero"], [out]))


SPOILT = {
    "external data in an attribute": (_in_an_attribute, "external data '../secret' leaves the model folder"),
    "external data in a sparse tensor": (_in_a_sparse_tensor, "external data '../secret' leaves the model folder"),
    "a loop": (_loop, "operator Loop holds a graph of its own"),
    "NaN": (_nan, "holds NaN"),
    "huge": (_huge, "would hold 1099511627776 numbers"),
    "no graph": (lambda model: model.graph.Clear(), "has no graph"),
    "not finite": (_not_finite, "is not finite"),
}


@pytest.mark.parametrize("model", ["encoder.onnx", "denoiser_3.onnx"])
@pytest.mark.parametrize("fault", SPOILT)
def test_a_model_that_could_hurt_is_refused_before_it_moves_arms(fault, model, copy, robot):
    change, why = SPOILT[fault]
    spoilt(copy, model, change)
    with pytest.raises(ModelError, match=why):
        warm_up(load_policy(copy, robot), robot)


@pytest.mark.parametrize("fault", [name for name in SPOILT if name != "not finite"])
def test_an_expert_that_could_hurt_is_never_run(fault, copy, robot, observation):
    change, why = SPOILT[fault]
    active = load_policy(copy, robot).infer(observation, 0)[1].active
    for expert in active:
        spoilt(copy, f"denoiser_{expert}.onnx", change)
    with pytest.raises(ModelError, match=why):
        load_policy(copy, robot, changes=["gate.coverage=1.0"]).infer(observation, 0)


def test_every_file_is_read_once_and_what_is_used_once_more(copy, robot, monkeypatch):
    read, asked = manifest._read, Counter()
    monkeypatch.setattr(manifest, "_read", lambda folder, name, _: asked.update([name]) or read(folder, name, _))
    load_policy(copy, robot, changes=["gate.top_k=1"])
    assert asked[WEIGHTS] == 1
    assert sorted(asked[f"denoiser_{i}.onnx"] for i in range(4)) == [1, 1, 1, 2]


def test_an_expert_that_changes_after_it_was_loaded_is_not_run(copy, robot, observation):
    policy = load_policy(copy, robot, changes=["gate.top_k=1"])
    path = next(copy / f"denoiser_{i}.onnx" for i, d in enumerate(policy.engine._denoisers) if not d.ready)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match=f"{path.name} sha256 is .* refusing to load"):
        warm_up(policy, robot)


@pytest.mark.parametrize("name", ["feature", "gate", "basis", "reference"])
def test_a_missing_output_is_named(name, copy, robot):
    def without(model):
        kept = [output for output in model.graph.output if output.name != name]
        del model.graph.output[:]
        model.graph.output.extend(kept)

    spoilt(copy, "encoder.onnx", without)
    with pytest.raises(ModelError, match=f"the encoder lacks the output '{name}', it has "):
        load_policy(copy, robot)


def test_what_never_ends_is_given_up():
    never = threading.Event()
    with pytest.raises(ModelError, match=r"the policy takes longer than 0\.05 s"):
        within(0.05, "the policy", never.wait)
    never.set()
    with pytest.raises(ModelError, match=r"the policy fails: ZeroDivisionError"):
        within(5.0, "the policy", lambda: 1 / 0)
