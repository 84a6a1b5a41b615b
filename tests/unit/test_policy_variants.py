"""Every variant of every policy: laws of banks, samplers against diffusers, Di-BM's partition, the paper's sizes."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from safetensors.torch import save_file
from torch.distributions import Dirichlet, kl_divergence

from smp_bringup.policy.basis import orthonormalise, principal_components
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.denoise import X0_LIMIT, _fresh, alphas_cumprod, sample, step_embedding, visited_steps
from smp_bringup.policy.dibm import DibmConfig, DibmPolicyConfig
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.engines import Model
from smp_bringup.policy.expert_unet import ExpertUnet
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.export import export
from smp_bringup.policy.mixture import SparseHead, SparseRouter
from smp_bringup.policy.regression import RegressionPolicyConfig
from smp_bringup.policy.router import StickyPrior, mean_gate
from smp_bringup.policy.shared_banks import build_shared_bank
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.smp_config import GateConfig, SharedConfig
from smp_bringup.policy.smp_net import random_active
from smp_bringup.policy.sparse import SparseConfig, SparsePolicyConfig
from smp_bringup.policy.sparse_net import SparseNet
from smp_bringup.training.config import load_run
from smp_bringup.training.objective import Objective

OBJECTS = 35
COMMON = {
    "track": "state",
    "encoder": EncoderConfig(feature=24),
    "denoiser": DenoiserConfig(width=16, depth=2),
    "foresight_s": (),
}
SMALL = DenoiserConfig(width=16, depth=1)


def smp(form="motion", common=None, **settings):
    settings |= {"motion": {"mean": SMALL}, "shared": {"shared": SharedConfig(SMALL)}, "paper": {}}[form] | settings
    return SmpPolicyConfig("smp", **COMMON | (common or {}), smp=SmpConfig(form, experts=4, **settings))


def dibm(**common):
    return DibmPolicyConfig("dibm", **COMMON | common, dibm=DibmConfig(experts=4))


def diffusion(**common):
    return PolicyConfig("diffusion", **COMMON | common)


def sparse(experts=4, active=2, **common):
    return SparsePolicyConfig("sparse", **COMMON | common, sparse=SparseConfig(experts, active))


VARIANTS = {
    "smp of the paper": smp("paper"),
    "smp of the paper of U-Nets": smp("paper", {"denoiser": DenoiserConfig("unet", 8, 3)}),
    "smp on the motion": smp(),
    "smp on the motion with all experts trained": smp(gate=GateConfig(dense=1.0)),
    "smp with a shared expert": smp("shared"),
    "smp with a shared expert of mixtures that predicts noise": smp(
        "shared", {"prediction": "eps"}, shared=SharedConfig(SMALL, 4), gate=GateConfig(train_by="posterior")
    ),
    "smp of squared errors": smp(common={"distance": "squared"}),
    "smp with a fixed basis": smp(basis="fixed"),
    "smp with a PCA basis": smp(basis="pca"),
    "smp of U-Nets": smp(common={"denoiser": DenoiserConfig("unet", 8, 3)}),
    "smp that predicts noise": smp(common={"prediction": "eps", "sampler": "ddpm"}),
    "dibm": dibm(),
    "dibm of U-Nets": dibm(denoiser=DenoiserConfig("unet", 8, 2)),
    "diffusion": diffusion(),
    "diffusion with a U-Net": diffusion(denoiser=DenoiserConfig("unet", 8, 2)),
    "regression": RegressionPolicyConfig("regression", **COMMON),
    "sparse": sparse(),
    "sparse of squared errors": sparse(distance="squared"),
    "dibm of squared errors": dibm(distance="squared"),
    "diffusion of squared errors": diffusion(distance="squared"),
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_exports_and_runs_the_same_in_both_engines(name, robot, rng, random_batch):
    config = VARIANTS[name]
    network = build_network(config, robot.dof, OBJECTS)
    parts = Objective(network)(random_batch(config, OBJECTS))
    torch.stack(list(parts.values())).sum().backward()
    moved = [p for p in network.parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]
    assert len(moved) > 5
    assert all(bool(torch.isfinite(p.grad).all()) for p in moved)
    encoder, denoisers = export(network, robot)  # raises where PyTorch and ONNX Runtime disagree
    assert len(denoisers) == network.config.denoisers
    inputs = {
        "state": rng.normal(size=(1, robot.dof)).astype(np.float32),
        "objects": rng.normal(size=(1, OBJECTS)).astype(np.float32),
    }
    a = TorchEngine(network).encode(inputs)
    b = OnnxEngine(encoder, [Model.of(model) for model in denoisers]).encode(inputs)
    assert set(a) == set(b)


@pytest.mark.parametrize("build", [build_bank, build_shared_bank])
@pytest.mark.parametrize("config", [DenoiserConfig(width=16, depth=2), DenoiserConfig("unet", 8, 2)])
def test_a_bank_gives_each_expert_what_it_gives_alone(config, build):
    bank = build(3, 5, 8, (4, 2), config)
    condition, x = torch.randn(3, 6, 5), torch.randn(3, 6, 8, 4)
    together = bank(condition, x)
    assert together.shape == (3, 6, 8, 2)
    assert len(bank.state_dict()) == len([*bank.parameters()])  # nothing is saved twice
    each = bank.each([*condition], [*x])
    for i in range(3):
        torch.testing.assert_close(bank.one(i, condition[i], x[i]), together[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(each[i], together[i], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(bank.one(0, condition[1], x[1]), together[1], atol=1e-3)


def test_permuting_experts_permutes_what_they_predict():
    bank = build_bank(3, 5, 8, (4, 2), DenoiserConfig(width=16, depth=2))
    condition, x = torch.randn(1, 6, 5).expand(3, -1, -1), torch.randn(1, 6, 8, 4).expand(3, -1, -1, -1)
    before, order = bank(condition, x), [2, 0, 1]
    with torch.no_grad():
        for p in bank.parameters():
            p.copy_(p[order].clone())
    torch.testing.assert_close(bank(condition, x), before[order])


def test_the_basis_is_continuous_along_a_path_of_states():
    path = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None, None]
    start, end = torch.randn(2, 14, 8, dtype=torch.float64)
    basis = orthonormalise((1 - path) * start + path * end)
    eye = torch.eye(8, dtype=torch.float64).expand(200, -1, -1)
    torch.testing.assert_close(basis.mT @ basis, eye, atol=1e-5, rtol=0)
    assert float((basis[1:] - basis[:-1]).abs().max()) < 0.2  # a flipped column would jump by up to 2
    assert bool(((basis[1:] * basis[:-1]).sum(1) > 0.9).all())


def test_principal_components_span_the_largest_variance():
    directions = torch.linalg.qr(torch.randn(6, 2))[0]
    actions = torch.randn(500, 2) @ (directions * torch.tensor([3.0, 1.0])).T + 0.01 * torch.randn(500, 6)
    found = principal_components(actions, 2)
    torch.testing.assert_close((found.T @ directions).abs(), torch.eye(2), atol=0.05, rtol=0)


def test_the_sticky_prior_is_that_of_torch_distributions():
    prior = StickyPrior(GateConfig(kappa=20.0, alpha0=0.5), 4)
    posterior = torch.rand(4, 4) * 5 + 0.1
    mean = mean_gate(posterior)
    with torch.no_grad():
        sticky, _ = prior.losses(posterior, mean, torch.tensor([True, False, False, False]))
    theta = torch.full((4,), 0.25)  # all usages start equal
    base = 0.5 * theta + 1e-3
    later = [kl_divergence(Dirichlet(posterior[2 + i]), Dirichlet(20.0 * mean[i] + base)) for i in range(2)]
    first = kl_divergence(Dirichlet(posterior[0]), Dirichlet(base))
    assert float(sticky) == pytest.approx(float(sum(later) + first) / 2, rel=1e-5)


def test_experts_without_mass_train_only_in_the_dense_share_of_the_samples():
    gate = torch.tensor([[0.02, 0.9, 0.05, 0.03]]).expand(10, -1)
    cover = torch.arange(10) / 10
    assert random_active(gate, cover, GateConfig())[:, 1].all()
    assert random_active(gate, cover, GateConfig())[:, [0, 2, 3]].sum() == 0
    assert (random_active(gate, cover, GateConfig(dense=0.3)).sum(1) == torch.tensor([4.0] * 3 + [1.0] * 7)).all()
    assert random_active(gate, cover, GateConfig(dense=1.0)).all()


def test_the_sparse_mixture_weighs_its_best_experts_only():
    network = SparseNet(sparse(6, 3), 14, OBJECTS)
    weight = network.router.weigh(torch.randn(10, 24))
    assert ((weight > 0).sum(1) == 3).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(10))


def test_the_sparse_mixture_of_one_observation_is_that_of_the_batch():
    network = SparseNet(sparse(6, 3), 14, OBJECTS)
    feature, x, embedding = torch.randn(10, 24), torch.randn(10, network.config.horizon, 14), torch.randn(10, 32)
    weight = network.router.weigh(feature)
    each = [network.denoise(0, *(v[i : i + 1] for v in (feature, x, weight, embedding))) for i in range(10)]
    torch.testing.assert_close(torch.cat(each), network.denoise(0, feature, x, weight, embedding))


def test_a_mixed_shared_expert_of_one_observation_is_that_of_the_batch_and_reads_a_share_of_its_weights():
    head = SparseHead(8, 2, (24, 3), 6, (5, 14), DenoiserConfig(width=16, depth=3))
    feature, told, x = torch.randn(10, 24), torch.randn(10, 3), torch.randn(10, 6, 5)
    whole = head(feature, told, x)
    assert whole.shape == (10, 6, 14)
    each = [head(*(v[i : i + 1] for v in (feature, told, x))) for i in range(10)]
    torch.testing.assert_close(torch.cat(each), whole)
    assert head.idle_parameters() == 3 * 6 * 16 * 16
    used = head.router.weigh(feature[:1])[0].nonzero().squeeze(1)
    with torch.no_grad():
        for layer in head.net.layers:
            layer[[i for i in range(8) if i not in used]] = torch.nan  # never read
    torch.testing.assert_close(head(feature[:1], told[:1], x[:1]), whole[:1])


def test_a_router_that_uses_few_experts_pays_for_it():
    router = SparseRouter(24, 8, 2)
    feature = torch.randn(1000, 24)
    with torch.no_grad():
        assert float(router.imbalance(feature, router.weigh(feature))) < 1.5
        router.bias[:2] += 20
        assert float(router.imbalance(feature, router.weigh(feature))) == pytest.approx(4.0, rel=1e-3)


def test_the_partition_of_dibm_makes_responsibilities_of_the_data_set():
    """With Z summed over the data, p(o|e) sums to one over it, and p(e|o) follows by Bayes with equal p(e)."""
    network = build_network(dibm(), 14, OBJECTS)
    feature = torch.randn(100, 24)
    with torch.no_grad():
        network.conclude(lambda: feature)
        density = (network.logits(feature) - network.log_z).exp()
        torch.testing.assert_close(density.sum(0), torch.ones(4))
        gate = network.heads(feature, torch.zeros(100, 1, 14), orthonormalise)["gate"]
    torch.testing.assert_close(gate, density / density.sum(1, keepdim=True))


KINDS = {"x0": "sample", "eps": "epsilon"}


def noisy(x, embedding):
    return 0.3 * np.tanh(x) + 0.1 * embedding[3]


@pytest.mark.parametrize("prediction", KINDS)
@pytest.mark.parametrize(("steps", "stride"), [(50, 1), (8, 7)])
def test_ddim_equals_the_scheduler_of_diffusers(prediction, steps, stride, rng):
    config = PolicyConfig("diffusion", ("a",), denoise_steps=steps, prediction=prediction)
    oracle = DDIMScheduler(
        50, beta_schedule="squaredcos_cap_v2", prediction_type=KINDS[prediction], clip_sample_range=X0_LIMIT
    )
    oracle.num_inference_steps = 50 // stride
    visits = visited_steps(50, steps)
    assert visits == list(range(49, -1, -stride))
    start = rng.normal(size=(16, 14))
    x = torch.tensor(start)
    for step in visits:
        out = torch.tensor(noisy(x.numpy(), step_embedding(step, 50)))
        after = oracle.step(out, step, x, use_clipped_model_output=True)
        x = after.prev_sample
    np.testing.assert_allclose(sample(noisy, start, config, rng), after.pred_original_sample.numpy(), atol=1e-4)


@pytest.mark.parametrize("prediction", KINDS)
def test_ddpm_has_mean_and_variance_of_the_scheduler_of_diffusers(prediction, rng, monkeypatch):
    config = PolicyConfig("diffusion", ("a",), denoise_steps=50, prediction=prediction, sampler="ddpm", noise=0.0)
    oracle = DDPMScheduler(
        50, beta_schedule="squaredcos_cap_v2", prediction_type=KINDS[prediction], clip_sample_range=X0_LIMIT
    )
    bar = alphas_cumprod(50)
    for step in range(1, 50):
        assert float(oracle._get_variance(step)) == pytest.approx(_fresh(bar[step], bar[step - 1]), rel=1e-3)
    monkeypatch.setattr(oracle, "_get_variance", lambda *_, **__: torch.tensor(0.0))
    start = rng.normal(size=(16, 14))
    x = torch.tensor(start)
    for step in visited_steps(50, 50):
        out = torch.tensor(noisy(x.numpy(), step_embedding(step, 50)))
        after = oracle.step(out, step, x)
        x = after.prev_sample
    np.testing.assert_allclose(sample(noisy, start, config, rng), after.pred_original_sample.numpy(), atol=1e-4)


def test_the_configuration_of_the_paper_has_its_sizes(robot):
    with torch.device("meta"):
        network = build_network(load_run("paper", robot).policy, robot.dof)

    def millions(*modules):
        return sum(p.numel() for m in modules for p in m.parameters()) / 1e6

    assert millions(network.experts) / 8 == pytest.approx(28.9, rel=0.02)
    assert millions(network.basis) == pytest.approx(12.5, rel=0.02)
    assert millions(network.router, network.posterior) == pytest.approx(3.6, rel=0.02)
    assert millions(network) == pytest.approx(258.9, rel=0.02)
    eye = network.encoder.eyes["all"].state_dict()
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.downsample.0.weight"} <= set(eye)


def test_the_published_unet_of_dibm_has_its_blocks(robot):
    """As many parameters as the authors' own network of these sizes, whose outputs are the same (docs/method.md)."""
    network = ExpertUnet(5, 20, (14, 14), DenoiserConfig("unet", 32, 3))
    assert sum(p.numel() for p in network.parameters()) == 1_864_622
    own = sum(p.numel() for part in network.own_parts() for p in part.parameters())
    assert own == 5 * sum(5 * w * w + 3 * w for w in (32, 64, 128, 128, 64, 32))  # a convolution and its normalisation
    condition, x = torch.randn(2, 20), torch.randn(2, 8, 14)
    before = network(3, condition, x)
    with torch.no_grad():
        for part in network.own_parts():
            part[4][0].weight.add_(1.0)
    torch.testing.assert_close(network(3, condition, x), before)  # expert 4's layers are expert 4's alone
    with torch.device("meta"):
        paper = build_network(load_run("paper_dibm", robot).policy, robot.dof)
    assert paper.parameter_counts() == (161_284_051, 13_773_312)


def test_an_eye_that_all_cameras_share_is_saved_once(tmp_path):
    config = PolicyConfig("diffusion", cameras=("overview", "wrist_left"), encoder=EncoderConfig(shared=True))
    network = build_network(config, 14)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")  # refuses tensors that share memory
    images = {f"image_{name}": torch.zeros(1, 1, 96, 96, 3, dtype=torch.uint8) for name in config.cameras}
    assert network.code({"state": torch.zeros(1, 1, 14), **images})["feature"].shape == (1, config.encoder.feature)
