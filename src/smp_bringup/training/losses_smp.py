"""SMP's objective (arXiv 2601.21251, equation 6): L_coeff + L_recon + L_gate + L_align, and the mean head's."""

import torch
from torch import Tensor, distributed
from torch.nn.functional import smooth_l1_loss

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.config import GateConfig, PolicyConfig
from smp_bringup.policy.mixture import BALANCE, SparseHead
from smp_bringup.policy.router import align_loss, mean_gate
from smp_bringup.policy.smp_net import SmpNet
from smp_bringup.training.batch import Batch, Noiser
from smp_bringup.training.distance import PRECISE, distance

_RUNNING = 0.01
_RECON_SIGMA = 0.3
"""sigma_a of L_recon, in units of the residual's RMS."""
_LEAST_COVER = 0.4
"""Smallest share of the mass that a random active set covers."""


def smp_losses(network: SmpNet, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    """Return the weighted losses by name for features (2B, F)."""
    config, weight = network.config, network.config.loss
    reference = network.reference(feature, batch.inputs["state"])
    residual = batch.action - network.origin(reference.detach(), batch.inputs["state"])
    posterior = network.posterior(torch.cat([feature, batch.action.flatten(1)], dim=1))
    mean, router = mean_gate(posterior), network.router(feature)
    sticky, usage = network.prior.losses(posterior, mean, batch.begins)
    basis = orthonormalise(network.basis(feature))
    mask = _active_sets(config, mean, router, batch.cover)
    out = {"gate": weight.gate * (sticky + usage), "align": weight.align * align_loss(posterior, router)}
    if network.shared is not None:
        out["denoise"] = weight.coefficient * _beside_shared(network, feature, basis.detach(), mask, batch, noiser)
    else:
        coefficients = _coefficients(network, feature, residual, basis.detach(), mean, mask, batch, noiser)
        out["coeff"] = weight.coefficient * coefficients
    if config.basis != "pca":
        out["recon"] = weight.reconstruction * _reconstruction(network, residual, basis, mean)
    if network.mean is not None:
        out["mean"] = weight.mean * smooth_l1_loss(reference, batch.action, beta=PRECISE)
    for head in (network.mean, network.shared):
        if isinstance(head, SparseHead):
            out["balance"] = BALANCE * head.imbalance(feature)
    return out


def _reconstruction(network: SmpNet, residual: Tensor, basis: Tensor, mean: Tensor) -> Tensor:
    """L_recon with z_rec = B^T r / (g + eps): moves the basis, and makes the gate pay for what it leaves out.

    The residual is measured in units of its running RMS, which keeps the trade between
    reconstruction and the gate's prior the same while the reference improves.
    """
    if network.learns_skills:
        network.residual_rms.lerp_(_over_processes(residual.detach().square().mean()).sqrt(), _RUNNING)
    r = residual / network.residual_rms
    kept = (mean / (mean + network.config.gate.epsilon)).unsqueeze(1) * (r @ basis)
    error = r - kept @ basis.transpose(1, 2)
    return error.square().mean() / (2 * _RECON_SIGMA**2)


def _coefficients(
    network: SmpNet,
    feature: Tensor,
    residual: Tensor,
    basis: Tensor,
    mean: Tensor,
    mask: Tensor,
    batch: Batch,
    noiser: Noiser,
) -> Tensor:
    """L_coeff: the active experts predict their clean coefficient from noisy ones.

    "projected": c = sg[B]^T r in normalised units, which equals g_i times the paper's z_i up to eps and needs no
    division by the gate, which differs between training and deployment. The residual r is measured from
    `SmpNet.origin`. Where that is the mean head, r is small almost everywhere and as large as an action where
    demonstrations part ways, so dividing by its RMS would put what matters beyond X0_LIMIT.
    "literal": the paper's z_sg = sg[B]^T a / (g + eps), with all experts active; only its scale is taken out.
    """
    clean = residual @ basis  # (2B, T, K)
    if network.config.coefficients == "literal":
        clean = clean / (mean.detach().unsqueeze(1) + network.config.gate.epsilon)
        if network.learns_skills:
            power = _over_processes(clean.detach().square().mean((0, 1)))
            network.scale.lerp_(power.sqrt(), _RUNNING)
        clean = clean / network.scale.clamp_min(1e-4)
    noisy, embedding, target = noiser(clean, batch)
    predicted = network.denoise_all(feature, noisy * mask.unsqueeze(1), mask, embedding)
    error = distance(predicted, target, network.config.loss.distance).mean(1) * mask
    return (error.sum(1) / mask.sum(1)).mean()


def _beside_shared(
    network: SmpNet, feature: Tensor, basis: Tensor, mask: Tensor, batch: Batch, noiser: Noiser
) -> Tensor:
    """L_coeff beside a shared expert: it and the active ones, each along its column, denoise the action together.

    All see the same noisy action, so that they are of one mind where demonstrations part ways. Each is trained by the
    error of the sum: trained on what the shared one leaves, the others only learn its errors by heart.
    """
    noisy, embedding, target = noiser(batch.action, batch)
    coefficients = network.denoise_all(feature, noisy, mask, embedding)
    predicted = network.denoise_shared(feature, noisy, embedding) + coefficients @ basis.transpose(1, 2)
    return distance(predicted, target, network.config.loss.distance).mean()


def _active_sets(config: PolicyConfig, mean: Tensor, router: Tensor, cover: Tensor) -> Tensor:
    """Return the experts (2B, K) that are active in each sample; in the paper's form all of them."""
    if config.coefficients == "literal":
        return torch.ones_like(mean)
    return random_active(mean if config.gate.train_by == "posterior" else mean_gate(router), cover, config.gate)


def random_active(mean: Tensor, cover: Tensor, gate: GateConfig) -> Tensor:
    """Return active sets (2B, K): the prefix of the sorted masses that covers a random share of them, or all experts.

    `cover` (2B,) is uniform in [0, 1): below `gate.dense` all experts are active, above it says how
    large the prefix is.
    """
    share = mean.detach().square()
    share = share / share.sum(1, keepdim=True)
    order = share.argsort(1, descending=True)
    before = share.gather(1, order).cumsum(1) - share.gather(1, order)
    target = cover.unsqueeze(1) * (1 - _LEAST_COVER) + _LEAST_COVER
    prefix = torch.zeros_like(share).scatter(1, order, (before < target).float())
    return torch.where(cover.unsqueeze(1) < gate.dense, torch.ones_like(prefix), prefix)


def _over_processes(value: Tensor) -> Tensor:
    """Return the mean of a value over all training processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
        value = value / distributed.get_world_size()
    return value
