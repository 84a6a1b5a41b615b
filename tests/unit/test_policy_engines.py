"""Engines: each gives what the step-by-step sampler gives, runs only what is asked for, and says what it is."""

import copy
import gc
import os
import resource
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy import engine_onnx, sessions
from smp_bringup.policy.base import STALL, AbstractEngine
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import WEIGHTS, load_policy
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.dibm import DibmConfig, DibmPolicyConfig
from smp_bringup.policy.engine_device import DeviceEngine
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.engines import Model
from smp_bringup.policy.export import export
from smp_bringup.policy.sessions import Sessions
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.smp_config import SharedConfig
from smp_bringup.policy.sparse import SparseConfig, SparsePolicyConfig
from smp_bringup.policy.trial import blank, warm_up
from smp_bringup.training.save import export_again, save_checkpoint
from smp_bringup.training.trainer import Trained

MLP, UNET = DenoiserConfig(width=16, depth=2), DenoiserConfig("unet", 8, 3)
COMMON = {"cameras": ("overview",), "encoder": EncoderConfig(channels=(4, 8), keypoints=4, feature=24)}
VARIANTS = {
    "smp of the paper": SmpPolicyConfig("smp", **COMMON, denoiser=UNET, smp=SmpConfig("paper", experts=4)),
    "smp of U-Nets": SmpPolicyConfig("smp", **COMMON, denoiser=UNET, smp=SmpConfig("motion", experts=4, mean=MLP)),
    "smp of MLPs": SmpPolicyConfig("smp", **COMMON, denoiser=MLP, smp=SmpConfig("motion", experts=4, mean=MLP)),
    "smp with a shared expert": SmpPolicyConfig(
        "smp", **COMMON, denoiser=MLP, smp=SmpConfig("shared", experts=4, shared=SharedConfig(MLP, 4))
    ),
    "dibm of U-Nets": DibmPolicyConfig(
        "dibm", **COMMON, denoiser=UNET, prediction="eps", dibm=DibmConfig(experts=3, gate=(16,))
    ),
    "dibm": DibmPolicyConfig("dibm", **COMMON, denoiser=MLP, dibm=DibmConfig(experts=3, gate=(16,))),
    "sparse": SparsePolicyConfig("sparse", **COMMON, denoiser=MLP, sparse=SparseConfig(6, 2)),
    "diffusion": PolicyConfig("diffusion", **COMMON, denoiser=UNET),
}
WHOLE = ["diffusion", "dibm", "sparse"]
"""Kinds whose denoisers each predict a whole action chunk."""


def onnx_engine(network, robot):
    encoder, denoisers = export(network, robot)
    return OnnxEngine(encoder, [Model.of(model) for model in denoisers])


@pytest.fixture(scope="module")
def engines(robot, small_policies):
    """Per kind: an engine of ONNX Runtime, its settings, and what it makes of an observation."""
    out = {}
    for kind, config in small_policies.items():
        torch.manual_seed(5)
        engine = onnx_engine(build_network(config, robot.dof), robot)
        images = {f"image_{n}": v for n, v in blank(robot, 1).images.items() if n in config.cameras}
        coded = engine.encode({"state": np.full((1, robot.dof), 0.1, np.float32), **images})
        out[kind] = engine, config, coded
    return out


def both(engine, config, task, known=None, seed=3):
    """Return what an engine samples, and what the step-by-step sampler makes of the same engine."""
    noise = np.random.default_rng(seed).normal(size=(config.horizon, config.columns(14)))
    one = engine.sample(task, noise, config, np.random.default_rng(seed), known)
    two = AbstractEngine.sample(engine, task, noise, config, np.random.default_rng(seed), known)
    return one, two


def mask_of(config, coded):
    return np.asarray(coded["gate"], dtype=float) if config.kind == "sparse" else np.ones(config.experts)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("changes", [{}, {"denoise_steps": 1}, {"denoise_steps": 2}, {"prediction": "eps"}])
@pytest.mark.parametrize("rows", [0, 5])
def test_all_steps_in_one_graph_are_the_steps_one_by_one(kind, changes, rows, engines):
    engine, config, coded = engines[kind]
    config = replace(config, **changes)
    known = np.random.default_rng(1).normal(size=(rows, 14)) * 0.3 if rows else None
    for whole in range(config.denoisers):
        one, two = both(engine, config, Denoising(coded, mask_of(config, coded), whole=whole), known)
        tolerance = 1e-5 if config.prediction == "x0" else 1e-4  # noise is divided by a small share of signal
        np.testing.assert_allclose(one, two, atol=tolerance)
        if known is not None:
            np.testing.assert_array_equal(one[:rows], known)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_sampler_that_draws_noise_draws_what_the_host_draws(kind, engines):
    engine, config, coded = engines[kind]
    task = Denoising(coded, mask_of(config, coded), whole=0)
    one, two = both(engine, replace(config, sampler="ddpm"), task)
    np.testing.assert_array_equal(one, two)


def test_experts_side_by_side_say_what_they_say_one_by_one(engines, monkeypatch):
    engine, config, coded = engines["smp"]
    task = Denoising(coded, np.array([1.0, 0.0, 1.0, 1.0]), columns=(0, 2, 3))
    alone = both(engine, config, task)[0]
    threads = set()
    monkeypatch.setattr(engine, "_cores", 2)
    monkeypatch.setattr(engine_onnx, "_WORTH_A_THREAD_S", 0.0)  # however quick an expert is
    monkeypatch.setattr(engine, "denoise", heard(engine.denoise, threads))
    np.testing.assert_array_equal(both(engine, config, task)[0], alone)
    assert threads
    assert all(name.startswith("experts") for name in threads)


@pytest.mark.parametrize("alone", [True, False])
def test_a_large_model_that_nothing_runs_beside_takes_the_cores_and_says_the_same(
    alone, robot, small_policies, monkeypatch
):
    config = small_policies["diffusion" if alone else "smp"]
    encoder, denoisers = export(build_network(config, robot.dof), robot)
    monkeypatch.setattr(engine_onnx, "_LARGE_BYTES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    many = OnnxEngine(encoder, [Model.of(model) for model in denoisers], alone=alone)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    one = OnnxEngine(encoder, [Model.of(model) for model in denoisers], alone=alone)
    images = {f"image_{n}": v for n, v in blank(robot, 1).images.items() if n in config.cameras}
    inputs = {"state": np.full((1, robot.dof), 0.1, np.float32), **images}
    coded = one.encode(inputs)
    for name, value in many.encode(inputs).items():
        np.testing.assert_allclose(value, coded[name], atol=1e-6)
    task = Denoising(coded, np.ones(config.experts), **({"whole": 0} if alone else {"columns": (0, 1)}))
    np.testing.assert_allclose(both(many, config, task)[0], both(one, config, task)[0], atol=1e-6)
    assert (threads_of(many._encoder), threads_of(many._denoisers[0].one()[0])) == (3, 3 if alone else 1)
    assert (threads_of(one._encoder), threads_of(one._denoisers[0].one()[0])) == (1, 1)


def threads_of(session):
    return session.get_session_options().intra_op_num_threads


def heard(call, threads):
    """Return the call; the names of the threads that it is made in are added to `threads`."""

    def said(*arguments):
        threads.add(threading.current_thread().name)
        return call(*arguments)

    return said


def test_experts_that_take_no_time_run_in_one_thread(engines, monkeypatch):
    engine, config, coded = engines["smp"]
    monkeypatch.setattr(engine, "_cores", 2)
    monkeypatch.setattr(engine, "_pool", None)
    both(engine, config, Denoising(coded, np.ones(4), columns=(0, 1, 2, 3)))
    assert engine._pool is None


def test_what_is_not_called_is_not_loaded(robot, small_policies):
    engine = onnx_engine(build_network(small_policies["smp"], robot.dof), robot)
    coded = {"feature": np.zeros(32, np.float32)}
    engine.predict(Denoising(coded, np.array([0.0, 1, 0, 0]), columns=(1,)), np.zeros((16, 4)), np.zeros(32))
    assert opened(engine) == [1]


def opened(engine):
    held = {key[0] if isinstance(key, tuple) else key for key in engine._sessions._held}
    return sorted(held)


@pytest.mark.parametrize("kind", ["smp", "dibm"])
def test_an_expert_is_opened_when_it_is_first_run_and_never_in_what_a_stage_is_said_to_take(kind, checkpoints, robot):
    policy = load_policy(checkpoints[kind][0], robot, changes=["gate.top_k=1"] * (kind == "smp"))
    config, observation = policy.config, blank(robot, 1)
    report = policy.infer(observation, 0)[1]
    assert opened(policy.engine) == sorted(report.active)
    assert STALL not in report.stage_ms  # what loading ran once is there
    others = next(i for i in range(config.experts) if i not in report.active)
    coded = policy.encode(observation)
    mask = (np.arange(config.experts) == others).astype(float)
    task = Denoising(coded, mask, (others,)) if config.splits else Denoising(coded, mask, whole=others)
    noise = np.zeros((config.horizon, config.columns(robot.dof)))
    policy.engine.sample(task, noise, config, np.random.default_rng(0))
    assert opened(policy.engine) == sorted((*report.active, others))
    stage_ms = policy.infer(observation, 0)[1].stage_ms
    assert stage_ms[STALL] > 0
    assert STALL not in policy.infer(observation, 0)[1].stage_ms
    warm_up(policy, robot)
    assert opened(policy.engine) == list(range(config.experts))
    assert STALL not in policy.infer(observation, 0)[1].stage_ms


def written(config, robot, folder):
    """Write a checkpoint of random weights, and return its folder."""
    torch.manual_seed(5)
    normalizer = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, 0.2))
    trained = Trained(build_network(config, robot.dof), normalizer, {"steps": 0.0})
    save_checkpoint(trained, robot, folder / "model", "# random weights\n")
    return folder / "model"


def chunks(policy, robot):
    """Return the chunks of four observations, and of how many of them experts had to be waited for."""
    rng, out, stalls = np.random.default_rng(2), [], 0
    for seed in range(4):
        empty = blank(robot, 1)
        images = {name: rng.integers(0, 256, image.shape, dtype=np.uint8) for name, image in empty.images.items()}
        position = empty.position + 3.0 * rng.normal(size=empty.position.shape)
        chunk, report = policy.infer(replace(empty, images=images, position=position), seed)
        stalls += STALL in report.stage_ms
        out.append(chunk.position)
    return np.array(out), stalls


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("variant", ["smp with a shared expert", "dibm"])
def test_chunks_are_the_same_to_the_bit_at_every_budget_down_to_one_expert(
    variant, side_by_side, robot, tmp_path, monkeypatch
):
    monkeypatch.setattr(engine_onnx, "_WORTH_A_THREAD_S", 0.0 if side_by_side else 1.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    folder = written(VARIANTS[variant], robot, tmp_path)
    every = load_policy(folder, robot)
    sizes = [denoiser._size / 1e6 for denoiser in every.engine._denoisers]
    warm_up(every, robot)
    expected, stalls = chunks(every, robot)
    assert stalls == 0
    for share in (1 / 2, 1 / 4, 0.0):
        budget = max(share * sum(sizes), 1.001 * max(sizes))
        policy = load_policy(folder, robot, experts_mb=budget)
        warm_up(policy, robot)
        held = [key for key in policy.engine._sessions._held if isinstance(key, int)]
        assert (policy.config.experts in held) == (policy.config.denoisers > policy.config.experts)  # the shared one
        found, stalls = chunks(policy, robot)
        np.testing.assert_array_equal(found, expected)
        assert sum(size for _, size in policy.engine._sessions._held.values()) <= budget * 1e6
    assert stalls  # with one expert in memory


def test_what_was_used_longest_ago_makes_room():
    read, held = [], Sessions(budget=20.0)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Neg", ["a"], ["b"])],
            "g",
            [onnx.helper.make_tensor_value_info("a", 1, [1])],
            [onnx.helper.make_tensor_value_info("b", 1, [1])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=9,
    ).SerializeToString()

    def use(name, size=10):
        assert held.get(name, size, lambda: read.append(name) or model, name)[1] == ["a"]

    for name in "abacb":
        use(name)
    assert read == ["a", "b", "c", "b"]  # c takes the room of b, which a was used after, and b that of a
    assert [name in held for name in "abc"] == [False, True, True]
    use("d", 20)
    assert [name in held for name in "bcd"] == [False, False, True]
    before_s = held.opened_s
    use("d", 20)
    assert held.opened_s == before_s > 0
    use("stays", 0)
    use("e", 20)
    use("f", 20)
    assert [name in held for name in ("stays", "d", "e", "f")] == [True, False, False, True]


def test_a_budget_that_makes_no_sense_is_one_line(checkpoints, robot):
    for kind, device, mb, why in (
        ("smp", "cpu", 1e-3, r"experts_mb 0\.001: one expert takes 0\.\d+ MB, all of them 0\.\d+; allow one or more"),
        ("smp", "cpu_torch", 100, "experts_mb 100: device cpu_torch holds all experts; leave it out, or run on cpu"),
        ("sparse", "cpu", 100, "experts_mb 100: every chunk of this policy needs all its weights; leave it out"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_policy(checkpoints[kind][0], robot, device, experts_mb=mb)


def device_engine(config, robot, precision=torch.float32):
    """Return the engine of the GPU on the CPU, and the network that it runs in single precision."""
    torch.manual_seed(5)
    network = build_network(config, robot.dof)
    return DeviceEngine(copy.deepcopy(network), "cpu", precision), network.train(False)


def seen(config, robot, rng):
    images = {
        f"image_{c.name}": rng.integers(0, 256, (1, c.observation_height, c.observation_width, 3), dtype=np.uint8)
        for c in robot.cameras
        if c.name in config.cameras
    }
    return {"state": (rng.normal(size=(1, robot.dof)) * 0.3).astype(np.float32), **images}


@pytest.mark.parametrize("rows", [0, 5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_all_on_the_device_is_what_is_done_step_by_step(variant, rows, robot, rng):
    config = VARIANTS[variant]
    engine, network = device_engine(config, robot)
    reference = TorchEngine(network)
    for trial in range(3):  # buffers are used again
        inputs = seen(config, robot, rng)
        here, there = engine.encode(inputs), reference.encode(inputs)
        for name in there:
            np.testing.assert_allclose(here[name], there[name], atol=2e-5)
        known = rng.normal(size=(rows, config.columns(robot.dof))) * 0.3 if rows else None
        for task in tasks(config, there, trial):
            noise = rng.normal(size=(config.horizon, config.columns(robot.dof)))
            noise = noise if task.whole is not None else noise * task.mask
            known_here = known if known is None or task.whole is not None else known * task.mask
            expected = reference.sample(task, noise, config, np.random.default_rng(0), known_here)
            mine = replace(task, coded=here)
            for _ in range(2):
                out = engine.sample(mine, noise, config, np.random.default_rng(0), known_here)
                np.testing.assert_allclose(out, expected, atol=1e-4 if config.prediction == "x0" else 1e-3)
            engine.encode(seen(config, robot, rng))
            out = engine.sample(task, noise, config, rng, known_here)  # coded elsewhere
            np.testing.assert_allclose(out, expected, atol=1e-4 if config.prediction == "x0" else 1e-3)
            here = engine.encode(inputs)


def tasks(config, coded, trial):
    """Yield one task of every size that a policy may set, of other experts in each trial."""
    k = config.experts
    if not config.splits:
        mask = np.asarray(coded["gate"], dtype=float) if config.kind == "sparse" else np.ones(k)
        yield from (Denoising(coded, mask, whole=i) for i in range(config.denoisers))
        return
    order = np.roll(np.arange(k), trial)
    for count in range(k + 1):
        active = tuple(int(i) for i in order[:count])
        mask = np.isin(np.arange(k), active).astype(float)
        yield Denoising(coded, mask, active, k if config.denoisers > k else None)


@pytest.mark.parametrize("variant", ["smp of U-Nets", "sparse", "diffusion"])
def test_half_precision_on_the_device_is_close(variant, robot, rng):
    config = VARIANTS[variant]
    engine, network = device_engine(config, robot, torch.bfloat16)
    reference, inputs = TorchEngine(network), seen(config, robot, rng)
    here, there = engine.encode(inputs), reference.encode(inputs)
    task = list(tasks(config, there, 0))[-1]
    noise = rng.normal(size=(config.horizon, config.columns(robot.dof)))
    out = engine.sample(replace(task, coded=here), noise, config, rng)
    expected = reference.sample(task, noise, config, rng)
    assert np.abs(out - expected).max() < 0.05 * np.abs(expected).max()
    assert engine.weight_bytes == 2
    assert all(p.dtype is torch.bfloat16 for part in engine._network.denoising_parts() for p in part.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_policy_in_half_precision_is_warmed_up_step_by_step_and_with_every_number_of_experts(variant, robot, rng):
    config = VARIANTS[variant]
    engine, _ = device_engine(config, robot, torch.bfloat16)
    coded = engine.encode(seen(config, robot, rng))
    said = engine.warm_up(config, coded, config.columns(robot.dof))
    assert len(said) == config.denoisers + (config.experts + 1 if config.splits else 0)
    assert all(np.isfinite(value).all() for value in said.values())
    before = set(engine._samplers)
    for task in tasks(config, coded, 1):
        for settings in (config, config.fewer_steps()):
            engine.sample(task, np.zeros((config.horizon, config.columns(robot.dof))), settings, rng)
    assert set(engine._samplers) == before  # whichever experts are active: nothing is captured any more
    ddpm = replace(config, sampler="ddpm")
    task = list(tasks(config, coded, 0))[-1]
    assert np.isfinite(engine.sample(task, np.zeros((16, config.columns(robot.dof))), ddpm, rng)).all()


def test_the_host_waits_for_the_device_once_for_the_gate_and_once_for_the_sample(robot, rng):
    config = VARIANTS["smp of U-Nets"]
    engine, _ = device_engine(config, robot)
    coded = engine.encode(seen(config, robot, rng))
    assert engine.waits == 0
    assert coded["gate"].shape == (config.experts,)
    assert coded["basis"].shape == (robot.dof, config.experts)
    engine.sample(Denoising(coded, np.array([1.0, 0, 0, 0]), (0,)), np.zeros((16, config.experts)), config, rng)
    assert engine.waits == 2


def test_statistics_of_a_normalisation_that_the_exporter_works_into_weights_lose_nothing(robot, small_policies):
    eyes = EncoderConfig(backbone="resnet18", feature=24)
    network = build_network(replace(small_policies["regression"], cameras=("overview",), encoder=eyes), robot.dof)
    torch.manual_seed(0)
    for name, value in network.named_buffers():
        if name.endswith("running_var"):
            value.copy_(0.1 + torch.rand_like(value))
    export(network, robot)  # or both engines would disagree


@pytest.mark.parametrize("kind", ["smp", "dibm", "diffusion", "regression", "sparse"])
def test_a_checkpoint_says_the_same_on_the_engine_of_the_gpu(kind, checkpoints, robot):
    folder = checkpoints[kind][0]
    one, two = load_policy(folder, robot), load_policy(folder, robot, device="cpu_torch")
    assert "ONNX Runtime" in one.engine.name
    assert "PyTorch" in two.engine.name
    observation = blank(robot, 1)
    for prefix in (None, observation.position.repeat(4, axis=0)):
        a, b = one.infer(observation, 1, prefix)[0], two.infer(observation, 1, prefix)[0]
        np.testing.assert_allclose(a.position, b.position, atol=1e-4)


def test_weights_that_are_missing_or_of_another_policy_are_one_line(checkpoints, robot, tmp_path):
    folder = shutil.copytree(checkpoints["sparse"][0], tmp_path / "model")
    files = read_checked(folder)
    weights = files.pop(WEIGHTS)
    write_checked(folder, files)
    with pytest.raises(ModelError, match=r"has no weights.safetensors, .*use device cpu"):
        load_policy(folder, robot, device="cpu_torch")
    load_policy(folder, robot)
    other = read_checked(checkpoints["diffusion"][0])[WEIGHTS]
    assert other != weights
    write_checked(folder, {**files, WEIGHTS: other})
    with pytest.raises(ModelError, match="does not fit its config") as caught:
        load_policy(folder, robot, device="cpu_torch")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_exported_again_says_the_same_and_is_whole(checkpoints, robot, tmp_path):
    folder = checkpoints["sparse"][0]
    assert export_again(folder, robot, tmp_path / "again") <= 1e-5
    before, after = read_checked(folder), read_checked(tmp_path / "again")
    assert set(before) == set(after)
    assert all(before[name] == after[name] for name in before if not name.endswith(".onnx"))
    files = {name: content for name, content in before.items() if name != WEIGHTS}
    write_checked(tmp_path / "bare", files)
    with pytest.raises(ModelError, match=r"was shipped without weights.safetensors: it cannot be exported"):
        export_again(tmp_path / "bare", robot, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_nothing_is_opened_or_composed_after_the_policy_is_warm(checkpoints, robot, monkeypatch):
    """No chunk is a first one: whichever experts are active, and with fewer steps after a missed deadline."""
    policies = {kind: load_policy(folder, robot) for kind, (folder, _) in checkpoints.items()}
    for policy in policies.values():
        warm_up(policy, robot)
    monkeypatch.setattr(sessions, "opened", lambda *_: pytest.fail("opened after it was loaded"))
    for policy in policies.values():
        config = policy.config
        coded = policy.encode(blank(robot, 1))
        noise = np.zeros((config.horizon, config.columns(robot.dof)))
        for settings in (config, config.fewer_steps()):
            for number in range(1, 2**config.experts if config.splits else 1):
                active = tuple(i for i in range(config.experts) if number >> i & 1)
                mask = np.isin(np.arange(config.experts), active).astype(float)
                policy.engine.sample(Denoising(coded, mask, active), noise, settings, np.random.default_rng(0))
            for whole in range(0 if config.splits else config.denoisers):
                task = Denoising(coded, mask_of(config, coded), whole=whole)
                policy.engine.sample(task, noise, settings, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["smp", "sparse"])
def test_ten_thousand_chunks_take_no_memory(kind, checkpoints, robot):
    policy, seen_once = load_policy(checkpoints[kind][0], robot), blank(robot, 1)

    def used_after(chunks):
        for number in range(chunks):
            policy.infer(seen_once, number)
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = used_after(500)
    assert used_after(10_000) - before < 4 << 20


@pytest.mark.gpu
@pytest.mark.parametrize("variant", VARIANTS)
def test_captured_on_a_gpu_is_what_is_done_step_by_step(variant, robot, rng):
    config = VARIANTS[variant]
    torch.manual_seed(5)
    network = build_network(config, robot.dof)
    engine, reference = DeviceEngine(copy.deepcopy(network), "cuda", torch.float32), TorchEngine(network)
    for trial in range(3):
        inputs = seen(config, robot, rng)
        here, there = engine.encode(inputs), reference.encode(inputs)
        for task in tasks(config, there, trial):
            noise = rng.normal(size=(config.horizon, config.columns(robot.dof)))
            noise = noise if task.whole is not None else noise * task.mask
            out = engine.sample(replace(task, coded=here), noise, config, rng)
            np.testing.assert_allclose(out, reference.sample(task, noise, config, rng), atol=5e-3)
