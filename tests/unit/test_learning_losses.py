"""The laws of the losses, each with a value or a gradient: SMP's in every form, Di-BM's, the sparse mixture's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.batch import Noiser
from smp_bringup.policy.build import build_network
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.denoise import alphas_cumprod, step_embedding
from smp_bringup.policy.dibm import DibmConfig, DibmPolicyConfig
from smp_bringup.policy.dibm_net import gate_loss
from smp_bringup.policy.distance import PRECISE, distance
from smp_bringup.policy.router import StickyPrior
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.smp_config import FORMS, GateConfig, SharedConfig, SmpLossConfig
from smp_bringup.training.objective import Objective

OBJECTS = 9
COMMON = {
    "track": "state",
    "horizon": 8,
    "denoiser": DenoiserConfig(width=16, depth=1),
    "encoder": EncoderConfig(feature=24),
    "foresight_s": (),
    "distance": "squared",
}


def smp(form, **settings):
    heads = {"shared": {"shared": SharedConfig(DenoiserConfig(width=16, depth=1), 4)}, "motion": {}, "paper": {}}
    return SmpPolicyConfig("smp", **COMMON, smp=SmpConfig(form, experts=4, **heads[form] | settings))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def gradients(network, loss, retain=True):
    """Return the parameters, by the first part of their name, that a loss moves."""
    network.zero_grad()
    loss.backward(retain_graph=retain)
    return {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("form", FORMS)
def test_reconstruction_alone_moves_the_basis(form, random_batch, robot):
    network = build_network(smp(form), robot.dof, OBJECTS)
    losses = Objective(network)(random_batch(network.config, OBJECTS))
    moved = {name: gradients(network, loss) for name, loss in losses.items()}
    assert {name for name, parts in moved.items() if "basis" in parts} == {"recon"}
    skills = "denoise" if form == "shared" else "coeff"
    assert "experts" in moved[skills]
    assert {name for name, parts in moved.items() if "experts" in parts} == {skills}
    assert moved["align"] >= {"router"}
    assert "posterior" not in moved["align"]
    assert moved["gate"] >= {"posterior", "prior"}
    assert "posterior" in moved["recon"]  # the gate pays for what it leaves out
    assert "router" not in moved["recon"] | moved["gate"]


def test_reconstruction_is_what_the_gate_leaves_of_the_residual():
    """With B the identity: L = w mean(((1 - g / (g + eps)) r / rms)^2) / (2 sigma^2), sigma 0.3."""
    config = smp("paper", gate=GateConfig(epsilon=0.5), loss=SmpLossConfig(reconstruction=0.7))
    network = build_network(config, 4, OBJECTS).train(False)
    network.residual_rms.fill_(2.0)
    residual, basis = torch.randn(6, 8, 4), torch.eye(4).expand(6, -1, -1)
    mean = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(6, -1).clone().requires_grad_()
    loss = network.recon_loss(residual, basis, mean)["recon"]
    left = (1 - mean / (mean + 0.5)).unsqueeze(1) * residual / 2.0
    assert float(loss.detach()) == pytest.approx(float(0.7 * left.square().mean().detach() / (2 * 0.09)), rel=1e-5)
    loss.backward()
    assert bool((mean.grad < 0).all())  # more of a gate leaves less


def test_the_residual_is_measured_in_units_of_its_running_size():
    network = build_network(smp("paper"), 4, OBJECTS)
    basis, mean = torch.eye(4).expand(6, -1, -1), torch.full((6, 4), 0.25)
    for _ in range(2000):
        network.recon_loss(torch.full((6, 8, 4), 3.0), basis, mean)
    assert float(network.residual_rms) == pytest.approx(3.0, rel=1e-3)
    network.experts.requires_grad_(False)  # skills are not trained any more: nothing runs on
    network.recon_loss(torch.full((6, 8, 4), 30.0), basis, mean)
    assert float(network.residual_rms) == pytest.approx(3.0, rel=1e-3)


def test_a_paper_coefficient_is_the_action_over_gate_plus_epsilon_in_units_of_its_size(random_batch, robot):
    """A perfect prediction of z_sg / scale, and of nothing else, has no coefficient loss."""
    config = smp("paper", gate=GateConfig(epsilon=0.3))
    network = build_network(config, robot.dof, OBJECTS).train(False)
    network.scale.copy_(torch.tensor([0.5, 1.0, 2.0, 4.0]))
    batch = random_batch(config, OBJECTS)
    feature = network.encoder(batch.inputs)
    posterior = network.posterior(torch.cat([feature, batch.action.flatten(1)], dim=1))
    gate = posterior / posterior.sum(1, keepdim=True)

    basis = orthonormalise(network.basis(feature))
    wanted = batch.action @ basis / (gate.unsqueeze(1) + 0.3) / network.scale
    asked = {}

    def perfect(condition, noisy):
        asked["condition"], asked["noisy"] = condition, noisy
        return wanted.permute(2, 0, 1).unsqueeze(3)

    network.experts.forward = perfect
    assert float(network.losses(feature, batch, Noiser(config))["coeff"].detach()) == pytest.approx(0.0, abs=1e-8)
    assert asked["noisy"].shape == (4, len(feature), config.horizon, 1)  # each expert sees its own coefficient alone
    assert asked["condition"].shape[2] == 24 + 32  # the feature and the step: nothing of who is active


def test_every_paper_expert_is_told_its_own_noisy_coefficient(robot):
    network = build_network(smp("paper"), robot.dof, OBJECTS).train(False)
    feature, x, step = torch.randn(3, 24), torch.randn(3, 8, 4), torch.randn(3, 32)
    one = network.denoise(2, feature, x, torch.zeros(3, 4), step)
    other = x.clone()
    other[:, :, [0, 1, 3]] = 9.0
    torch.testing.assert_close(network.denoise(2, feature, other, torch.ones(3, 4), step), one)
    condition = torch.cat([feature, step], dim=1).expand(4, -1, -1)
    together = network.experts(condition, x.permute(2, 0, 1).unsqueeze(3)).squeeze(3)
    torch.testing.assert_close(together[2], one, atol=1e-5, rtol=1e-5)


def test_motion_experts_learn_the_motion_from_the_present_joints_where_they_are_active(random_batch, robot):
    config = smp("motion", loss=SmpLossConfig(coefficient=3.0))
    network = build_network(config, robot.dof, OBJECTS)
    batch = random_batch(config, OBJECTS)
    feature = network.encoder(batch.inputs)

    basis = orthonormalise(network.basis(feature))
    wanted = (batch.action - batch.inputs["state"][:, -1:]) @ basis
    masks = []

    def off_by_one(feature, x, mask, embedding):
        masks.append(mask)
        return (wanted + 1.0) * mask.unsqueeze(1)

    network.denoise_active = off_by_one
    loss = float(network.losses(feature, batch, Noiser(config))["coeff"].detach())
    assert loss == pytest.approx(3.0, rel=1e-4)  # one for each active coefficient, whatever their number
    assert 0 < masks[0].sum() < masks[0].numel()


def test_the_mean_head_regresses_the_action(random_batch, robot):
    config = smp("motion", loss=SmpLossConfig(mean=2.0))
    network = build_network(config, robot.dof, OBJECTS)
    batch = random_batch(config, OBJECTS)
    network.reference = lambda feature: batch.action + 0.5
    loss = network.losses(network.encoder(batch.inputs), batch, Noiser(config))["mean"]
    assert float(loss) == pytest.approx(2.0 * (0.5 - PRECISE / 2), rel=1e-5)  # absolute beyond small errors


def test_the_mean_heads_own_coefficients_are_those_of_its_motion(robot):
    """mu = q + offset along the basis and the rest beside it: action = mu + B (z - offset) keeps what B leaves out."""
    network = build_network(smp("motion"), robot.dof, OBJECTS).train(False)
    feature, state = torch.randn(3, 24), torch.randn(3, 2, robot.dof)

    out = network.heads(feature, state, orthonormalise)
    expected = (out["reference"] - state[:, -1:]) @ out["basis"]
    torch.testing.assert_close(out["offset"], expected)


def test_beside_a_shared_expert_the_sum_is_what_is_trained(random_batch, robot):
    config = smp("shared", loss=SmpLossConfig(coefficient=1.5))
    network = build_network(config, robot.dof, OBJECTS)
    batch = random_batch(config, OBJECTS)
    feature = network.encoder(batch.inputs)

    basis = orthonormalise(network.basis(feature)).detach()
    added = torch.randn(len(feature), config.horizon, 4)
    network.denoise_active = lambda *_: added
    network.denoise_shared = lambda *_: batch.action - added @ basis.mT + 0.2
    losses = network.losses(feature, batch, Noiser(config))
    assert float(losses["denoise"].detach()) == pytest.approx(1.5 * 0.04, rel=1e-3)
    state = batch.inputs["state"][:, -1:]
    posterior = network.posterior(torch.cat([feature, batch.action.flatten(1)], dim=1))
    gate = posterior / posterior.sum(1, keepdim=True)
    expected = network.train(False).recon_loss(batch.action - state, orthonormalise(network.basis(feature)), gate)
    assert float(losses["recon"].detach()) == pytest.approx(float(expected["recon"].detach()), rel=1e-5)


def test_the_weights_of_gate_and_alignment_scale_their_losses(random_batch, robot):
    network = build_network(smp("paper"), robot.dof, OBJECTS)
    batch = random_batch(network.config, OBJECTS)
    feature = network.encoder(batch.inputs)
    _, _, once = network.gate_losses(feature, batch)
    weights = replace(network.config.smp.loss, gate=0.06, align=0.5)
    network.config = replace(network.config, smp=replace(network.config.smp, loss=weights))
    _, _, more = network.gate_losses(feature, batch)
    assert float((more["gate"] / once["gate"]).detach()) == pytest.approx(3.0, rel=1e-5)
    assert float((more["align"] / once["align"]).detach()) == pytest.approx(5.0, rel=1e-5)


def test_the_global_usage_counts_once_a_data_set_so_that_the_gates_move_it(random_batch, robot):
    """Added whole to every batch, it would outweigh what the first gates of episodes say of it."""
    network = build_network(smp("paper", gate=GateConfig(epsilon=0.1)), robot.dof, OBJECTS)
    batch = replace(random_batch(network.config, OBJECTS), begins=torch.ones(8, dtype=torch.bool))
    feature = network.encoder(batch.inputs)
    whole = network.gate_losses(feature, batch)[2]["gate"]
    network.frames = 1000
    shared_out = network.gate_losses(feature, batch)[2]["gate"]
    usage = network.prior.losses(torch.rand(8, 4) + 0.5, torch.full((8, 4), 0.25), batch.begins)[1]
    expected = network.config.smp.loss.gate * usage * (1 - 1 / 1000)
    assert float((whole - shared_out).detach()) == pytest.approx(
        float(expected.detach()), rel=1e-2
    )  # a small difference of two floats


def test_the_gate_before_pulls_and_is_not_pulled():
    prior = StickyPrior(GateConfig(), 4)
    posterior = torch.rand(8, 4).add(0.5).requires_grad_()
    mean = posterior / posterior.sum(1, keepdim=True)
    sticky, usage = prior.losses(posterior, mean, torch.zeros(8, dtype=torch.bool))
    sticky.backward(retain_graph=True)
    assert not posterior.grad[:4].any()  # the first half precedes: it is held fixed where no episode begins
    assert posterior.grad[4:].any()
    prior.zero_grad()
    usage.backward()
    assert prior.usage.grad.any()
    flat = torch.distributions.Dirichlet(torch.full((4,), GateConfig().alpha))
    theta = torch.distributions.Dirichlet(softplus(prior.usage.detach()) + GateConfig().floor)
    assert float(usage.detach()) == pytest.approx(float(torch.distributions.kl_divergence(theta, flat)), rel=1e-5)


def test_the_gate_of_dibm_by_hand():
    """Mean over experts and samples of p(o|e) [l - beta log p(e|o) + beta log p(o|e)], as in the authors' code."""
    density = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    error, beta = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]), 0.25
    responsible = density / density.sum(0)
    by_hand = (density * (error - beta * responsible.log() + beta * density.log())).mean()
    assert float(gate_loss(density.log(), error, beta)) == pytest.approx(float(by_hand), rel=1e-6)


def pushed(error, beta, logits=None):
    """Return how descent moves the logits (K, B) of the densities."""
    logits = (torch.zeros(error.shape) if logits is None else logits).requires_grad_()
    gate_loss(torch.log_softmax(logits, dim=1), error, beta).backward()
    return -logits.grad


def test_descent_of_the_gate_goes_to_small_errors_spreads_and_shares():
    error = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    down = pushed(error, 0.0)
    assert down[0, 0] > 0 > down[0, 2]  # each expert to what it does best
    assert down[1, 2] > 0 > down[1, 0]
    one = pushed(torch.zeros(1, 3), 1.0, torch.tensor([[2.0, 0.0, 0.0]]))
    assert one[0, 0] < 0 < one[0, 1]  # entropy: a lone expert spreads over all
    two = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    shared = pushed(torch.zeros(2, 3), 1.0, two.clone())
    alone = pushed(torch.zeros(1, 3), 1.0, two[:1].clone())
    assert shared[0, 0] > alone[0, 0] / 2  # the responsibility holds an expert where the other is not


def test_an_expert_of_dibm_trains_on_what_it_draws_and_the_gate_moves_the_encoder(random_batch, robot):
    config = DibmPolicyConfig("dibm", **COMMON, dibm=DibmConfig(experts=2, draw=0.125))
    network = build_network(config, robot.dof, OBJECTS)
    batch = random_batch(config, OBJECTS)
    feature = network.encoder(batch.inputs)
    sharp = torch.full((8, 2), -60.0)
    sharp[3, 0], sharp[5, 1] = 60.0, 60.0  # expert 0 draws sample 3 alone, expert 1 sample 5
    network.logits = lambda _: sharp
    noisy, embedding, target = Noiser(config)(batch.action, batch)
    condition = torch.cat([feature, embedding], dim=1)
    own = [network.experts.one(e, condition[[row]], noisy[[row]]) - target[[row]] for e, row in ((0, 3), (1, 5))]
    expected = torch.stack([error.square().mean() for error in own]).mean()
    assert float(network.losses(feature, batch, Noiser(config))["denoise"].detach()) == pytest.approx(
        float(expected.detach()), rel=1e-5
    )
    drawn = []
    bank = network.experts.forward
    network.experts.forward = lambda c, x: drawn.append(c.shape) or bank(c, x)
    network.losses(feature, batch, Noiser(config))
    assert drawn[1][:2] == (2, 1)  # an eighth of eight samples an expert
    del network.logits
    losses = Objective(network)(batch)
    assert gradients(network, losses["energy"]) == {"encoder", "energy"}
    assert "energy" not in gradients(network, losses["denoise"])
    assert gradients(network, losses["denoise"]) >= {"encoder", "experts"}


def test_the_gate_of_dibm_is_weighed_by_gamma_and_sees_every_expert_on_the_same_noise(random_batch, robot):
    config = DibmPolicyConfig("dibm", **COMMON, dibm=DibmConfig(experts=2, energy=10.0, beta=0.1))
    network = build_network(config, robot.dof, OBJECTS)
    batch = random_batch(config, OBJECTS)
    feature = network.encoder(batch.inputs)
    noisy, embedding, target = Noiser(config)(batch.action, batch)
    condition = torch.cat([feature, embedding], dim=1)
    error = torch.stack([(network.experts.one(e, condition, noisy) - target).square().mean((1, 2)) for e in (0, 1)])
    expected = 10.0 * gate_loss(torch.log_softmax(network.logits(feature).T, dim=1), error.detach(), 0.1)
    loss = network.losses(feature, batch, Noiser(config))["energy"]
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize("prediction", ["x0", "eps"])
def test_a_sample_is_noised_by_its_own_step(prediction, random_batch):
    config = PolicyConfig("diffusion", **COMMON, prediction=prediction)
    batch = random_batch(config, OBJECTS)
    noisy, embedding, target = Noiser(config)(batch.action, batch)
    bar = alphas_cumprod(config.diffusion_steps)[batch.step.numpy()][:, None, None]
    expected = np.sqrt(bar) * batch.action.numpy() + np.sqrt(1 - bar) * batch.noise.numpy()
    np.testing.assert_allclose(noisy.numpy(), expected, atol=1e-5)
    rows = np.stack([step_embedding(int(step), config.diffusion_steps) for step in batch.step])
    np.testing.assert_allclose(embedding.numpy(), rows, atol=1e-5)
    torch.testing.assert_close(target, batch.action if prediction == "x0" else batch.noise)


def test_squared_and_absolute_errors_meet_at_small_ones():
    error = torch.tensor([0.01, PRECISE, 1.0, 3.0])
    squared = distance(error, torch.zeros(4), "squared")
    absolute = distance(error, torch.zeros(4), "absolute")
    torch.testing.assert_close(squared, error.square())
    torch.testing.assert_close(absolute[:2], squared[:2])
    torch.testing.assert_close(absolute[2:], 2 * PRECISE * (error[2:] - PRECISE / 2))


def test_foresight_is_weighed_and_measured_from_the_feature(random_batch, robot):
    config = PolicyConfig("diffusion", **COMMON | {"foresight_s": (0.8,)}, foresight_weight=4.0)
    network = build_network(config, robot.dof, OBJECTS)
    batch = replace(random_batch(config, OBJECTS), foresight=torch.randn(8, 1, robot.dof))
    loss = Objective(network)(batch)["foresight"]
    assert gradients(network, loss, retain=False) == {"encoder", "foresight"}
    ahead = network.foresight(network.encoder(batch.inputs)).view(8, 1, robot.dof) - batch.foresight
    size = ahead.abs()
    by_hand = torch.where(size < PRECISE, size.square() / (2 * PRECISE), size - PRECISE / 2).mean()
    assert float(loss.detach()) == pytest.approx(4.0 * float(by_hand.detach()), rel=1e-4)
