"""The losses of each policy on one batch; all actions are normalised."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss, smooth_l1_loss

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.denoise import alphas_cumprod, step_embedding
from smp_bringup.policy.networks import DiffusionNet, Network, SmpNet
from smp_bringup.policy.router import align_loss, mean_gate

_RUNNING = 0.01
_PRECISE = 0.1
"""Errors below it are squared, larger ones count by their size (normalised units)."""
_RECON_SIGMA = 0.3
"""sigma_a of L_recon, in units of the residual's RMS."""


@dataclass(frozen=True)
class Batch:
    """Pairs of samples one action period apart, stacked: the first half precedes the second."""

    images: dict[str, Tensor]
    """Per camera (2B, To, h, w, 3) uint8."""
    shifts: dict[str, Tensor]
    """Per camera (2B, 2)."""
    state: Tensor
    """(2B, To, J)."""
    action: Tensor
    """(2B, T, J)."""
    foresight: Tensor
    """(2B, F, J)."""


class Noiser:
    """Noises clean samples at random steps of the schedule."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._bar = torch.tensor(alphas_cumprod(steps), dtype=torch.float32)
        rows = [step_embedding(i, steps) for i in range(steps)]
        self._embedding = torch.tensor(np.array(rows), dtype=torch.float32)

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return noisy samples like `clean` (B, ...) and the step embeddings (B, 32)."""
        step = torch.randint(self._steps, (len(clean),))
        bar = self._bar[step].view(-1, *[1] * (clean.ndim - 1))
        return bar.sqrt() * clean + (1 - bar).sqrt() * torch.randn_like(clean), self._embedding[step]


def losses(network: Network, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    """Return the weighted losses by name; their sum is what is minimised."""
    feature = network.encoder(batch.images, batch.state, batch.shifts).float()
    if isinstance(network, DiffusionNet):
        out = _diffusion(network, feature, batch, noiser)
    else:
        out = _smp(network, feature, batch, noiser)
    ahead = smooth_l1_loss(network.foresight(feature).view_as(batch.foresight), batch.foresight, beta=_PRECISE)
    return {**out, "foresight": network.config.loss.foresight * ahead}


def _diffusion(network: DiffusionNet, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    noisy, embedding = noiser(batch.action)
    return {"denoise": mse_loss(network.denoise(feature, noisy, embedding), batch.action)}


def _smp(network: SmpNet, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
    """SMP's objective (paper, equation 6): L_coeff + L_recon + L_gate + L_align, and the mean head's."""
    weight, gate = network.config.loss, network.config.gate
    reference = network.reference(feature, batch.state)
    residual = batch.action - reference.detach()
    posterior = network.posterior(torch.cat([feature, batch.action.flatten(1)], dim=1))
    mean = mean_gate(posterior)
    half = len(mean) // 2
    sticky, usage = network.prior.losses(posterior[half:], mean[:half])
    basis = orthonormalise(network.basis(feature))
    out = {
        "recon": weight.reconstruction * _reconstruction(network, residual, basis, mean, gate.epsilon),
        "gate": weight.gate * (sticky + usage),
        "align": weight.align * align_loss(posterior, network.router(feature)),
        "coeff": weight.coefficient * _coefficients(network, feature, residual, basis.detach(), mean, noiser),
    }
    if network.config.reference == "mean":
        out["mean"] = weight.mean * smooth_l1_loss(reference, batch.action, beta=_PRECISE)
    return out


def _reconstruction(network: SmpNet, residual: Tensor, basis: Tensor, mean: Tensor, epsilon: float) -> Tensor:
    """L_recon with z_rec = B^T r / (g + eps): moves the basis, and makes the gate pay for what it leaves out.

    The residual is measured in units of its running RMS, which keeps the trade between
    reconstruction and the gate's prior the same while the reference improves.
    """
    if network.training:
        network.residual_rms.lerp_(residual.detach().square().mean().sqrt(), _RUNNING)
    r = residual / network.residual_rms
    kept = (mean / (mean + epsilon)).unsqueeze(1) * (r @ basis)
    error = r - kept @ basis.transpose(1, 2)
    return error.square().mean() / (2 * _RECON_SIGMA**2)


def _coefficients(
    network: SmpNet, feature: Tensor, residual: Tensor, basis: Tensor, mean: Tensor, noiser: Noiser
) -> Tensor:
    """L_coeff: the active experts predict their clean coefficient from the noisy ones of all active experts.

    Coefficients are c_i / RMS_i with c = sg[B]^T r. That equals the paper's z_i up to eps
    and needs no division by the gate, which differs between training and deployment.
    """
    clean = residual @ basis  # (B, T, K)
    if network.training:
        network.scale.lerp_(clean.detach().square().mean((0, 1)).sqrt(), _RUNNING)
    clean = clean / network.scale.clamp_min(1e-4)
    mask = _random_active(mean)
    noisy, embedding = noiser(clean)
    predicted = network.experts(feature, noisy * mask.unsqueeze(1), mask, embedding)
    error = (predicted - clean).square().mean(1) * mask
    out: Tensor = error.sum() / mask.sum()
    return out


def _random_active(mean: Tensor) -> Tensor:
    """Return random active sets (B, K): the prefix of the sorted masses that covers a random share of them."""
    share = mean.detach().square()
    share = share / share.sum(1, keepdim=True)
    order = share.argsort(1, descending=True)
    before = share.gather(1, order).cumsum(1) - share.gather(1, order)
    target = torch.rand(len(mean), 1) * 0.6 + 0.4
    return torch.zeros_like(share).scatter(1, order, (before < target).float())
