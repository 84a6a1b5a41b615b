"""The laws of basis, gate, selection and sampler."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smp_bringup.errors import ModelError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import policy_inputs
from smp_bringup.policy.basis import gram_schmidt, orthonormalise
from smp_bringup.policy.config import EncoderConfig, PolicyConfig
from smp_bringup.policy.denoise import alphas_cumprod, sample, visited_steps
from smp_bringup.policy.encoder import Encoder
from smp_bringup.policy.router import Concentration, StickyPrior, align_loss, mean_gate
from smp_bringup.policy.select import mass, select
from smp_bringup.policy.smp_config import GateConfig
from smp_bringup.types import Observation


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_the_basis_is_orthonormal_and_its_signs_are_stable():
    matrix = torch.randn(16, 14, 8, dtype=torch.float64)
    basis = orthonormalise(matrix)
    torch.testing.assert_close(basis.mT @ basis, torch.eye(8, dtype=torch.float64).expand(16, -1, -1))
    near = orthonormalise(matrix + 1e-6 * torch.randn_like(matrix))
    assert float((near - basis).abs().max()) < 1e-3


def test_the_exported_basis_equals_the_trained_one():
    matrix = torch.randn(64, 14, 8)
    matrix[:, :, 3] = matrix[:, :, 2] + 1e-2 * matrix[:, :, 3]  # badly conditioned on purpose
    torch.testing.assert_close(gram_schmidt(matrix), orthonormalise(matrix), atol=1e-4, rtol=0)


def test_the_gradient_of_the_basis_is_finite():
    matrix = torch.randn(4, 14, 8, requires_grad=True)
    orthonormalise(matrix).square().sum().backward()
    assert torch.isfinite(matrix.grad).all()


def test_gates_lie_in_the_simplex_and_above_the_floor():
    beta = Concentration(6, 16, 8, floor=0.05)(torch.randn(32, 6) * 50)
    assert float(beta.detach().min()) >= 0.05
    gate = mean_gate(beta)
    torch.testing.assert_close(gate.sum(-1), torch.ones(32))
    assert bool((gate >= 0).all())


def test_the_sticky_prior_prefers_the_gate_before_and_kappa_says_how_much():
    concentration = torch.tensor([[8.0, 1.0, 1.0]])
    same, other = torch.tensor([[0.8, 0.1, 0.1]]), torch.tensor([[0.1, 0.8, 0.1]])
    gaps = []
    for kappa in (0.0, 5.0, 20.0):
        prior = StickyPrior(GateConfig(kappa=kappa), 3)
        with torch.no_grad():
            kl = [
                prior.losses(concentration.repeat(2, 1), torch.cat([before, before]), torch.tensor([False, False]))[0]
                for before in (other, same)
            ]
            gaps.append(float(kl[0] - kl[1]))
    assert gaps[0] == pytest.approx(0, abs=1e-6)
    assert gaps[0] < gaps[1] < gaps[2]


def test_distilling_moves_the_router_and_not_the_posterior():
    posterior = torch.rand(4, 8).add(0.1).requires_grad_()
    router = torch.rand(4, 8).add(0.1).requires_grad_()
    align_loss(posterior, router).backward()
    assert posterior.grad is None
    assert float(router.grad.abs().sum()) > 0
    assert float(align_loss(posterior, posterior).detach()) == pytest.approx(0, abs=1e-5)


gates = st.lists(st.floats(0.001, 1), min_size=1, max_size=12).map(lambda w: np.array(w) / sum(w))


@given(gates, st.floats(0.05, 1), st.sampled_from(["quadratic", "linear"]))
def test_selection_is_the_shortest_prefix_that_covers_the_mass(gate, coverage, kind):
    share = mass(gate, kind)
    active = select(share, GateConfig(coverage=coverage, mass=kind))
    assert share.sum() == pytest.approx(1)
    kept = share[list(active)]
    assert kept.sum() >= coverage - 1e-6
    assert len(active) == 1 or kept[:-1].sum() < coverage
    rest = np.delete(share, list(active))
    assert rest.size == 0 or rest.max() <= kept.min() + 1e-12


@given(gates, st.permutations(range(12)))
def test_permuting_experts_permutes_the_selection(gate, order):
    order = [i for i in order if i < len(gate)]
    share = mass(gate + np.arange(len(gate)) * 1e-6, "quadratic")
    config = GateConfig(coverage=0.9)
    assert [order[i] for i in select(share[order], config)] == list(select(share, config))


def test_no_coverage_selects_no_expert():
    assert select(np.array([0.1, 0.9]), GateConfig(coverage=0.0)) == ()


def test_top_k_takes_the_heaviest():
    assert select(np.array([0.1, 0.5, 0.15, 0.25]), GateConfig(top_k=2)) == (1, 3)


def test_ddim_returns_the_clean_sample_of_a_perfect_denoiser(rng):
    clean = rng.uniform(-1, 1, (16, 14))
    for steps in (1, 2, 5, 50):
        config = PolicyConfig("diffusion", ("a",), denoise_steps=steps)
        out = sample(lambda x, embedding: clean, rng.normal(size=clean.shape), config, rng)
        np.testing.assert_allclose(out, clean)


def test_ddim_of_gaussian_data_keeps_its_spread(rng):
    """For data N(0, s^2) the best denoiser is known; its samples must have that spread."""
    spread, steps = 0.4, 50
    bar = alphas_cumprod(steps)
    visits = iter(visited_steps(steps, steps))

    def denoiser(x, embedding):
        a = bar[next(visits)]
        return np.sqrt(a) * spread**2 / (a * spread**2 + 1 - a) * x

    config = PolicyConfig("diffusion", ("a",), denoise_steps=steps)
    out = sample(denoiser, rng.normal(size=20_000), config, rng)
    assert out.std() == pytest.approx(spread, rel=0.05)


def test_the_schedule_falls_and_sampling_starts_from_noise():
    bar = alphas_cumprod(50)
    assert (np.diff(bar) < 0).all()
    assert bar[0] > 0.99
    assert bar[-1] < 0.01
    assert visited_steps(50, 5)[0] == 49


def test_the_encoder_takes_the_shift_off_again():
    torch.manual_seed(0)
    config = PolicyConfig("diffusion", ("eye",), encoder=EncoderConfig(channels=(8, 8), keypoints=8, feature=16))
    encoder = Encoder(config, 14, 0)
    size, px = 64, 8  # a multiple of the strides: the convolutions move along exactly, away from the edges
    image = torch.zeros(1, 1, size, size, 3, dtype=torch.uint8)
    image[:, :, 24:36, 20:30] = torch.randint(0, 255, (12, 10, 3), dtype=torch.uint8)
    there = torch.roll(image, (px, px), (2, 3))
    state = torch.zeros(1, 1, 14)
    unit = torch.full((1, 2), px * 2 / (size - 1))
    plain = encoder({"state": state, "image_eye": image})
    back = encoder({"state": state, "image_eye": there}, {"eye": unit})
    wrong = encoder({"state": state, "image_eye": there}, {"eye": -unit})
    assert (back - plain).abs().max() < 0.2 * (wrong - plain).abs().max()


def test_an_encoder_is_told_the_joints_and_what_is_committed_in_its_own_units():
    config = PolicyConfig("diffusion", track="state", observation_steps=2, prefix_steps=3)
    normalizer = Normalizer(np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    position, prefix = np.array([[1.0, 2.0], [1.5, -2.0]]), np.array([[1.25, 6.0], [0.5, 2.0]])
    observation = Observation(0, {}, position, position * 0, np.ones((2, 4)))
    told = policy_inputs(observation, config, normalizer, prefix)
    np.testing.assert_allclose(told["state"], [[0.0, 0.0], [1.0, -1.0]])
    np.testing.assert_allclose(told["prefix"], [[0.5, 1.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert not policy_inputs(observation, config, normalizer)["prefix"].any()
    with pytest.raises(ModelError, match="sees object poses"):
        policy_inputs(Observation(0, {}, position, position * 0), config, normalizer)
