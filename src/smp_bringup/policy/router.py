"""The sticky Dirichlet gate: amortised posterior, state-only router, and their priors (SMP, equation 3)."""

import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet, kl_divergence
from torch.nn.functional import softplus

from smp_bringup.policy.smp_config import GateConfig


class Concentration(nn.Module):
    """A Dirichlet over experts from any input."""

    def __init__(self, size: int, hidden: int, experts: int, floor: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, experts))
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        """Return concentrations (B, K), above the floor."""
        return softplus(self.net(x)) + self.floor


class StickyPrior(nn.Module):
    """Pulls a gate towards the previous one and towards the usage over all data."""

    def __init__(self, config: GateConfig, experts: int) -> None:
        super().__init__()
        self.config = config
        self.usage = nn.Parameter(torch.full((experts,), 2.0))
        """Posterior of the global usage theta, before the softplus."""

    def losses(self, posterior: Tensor, mean: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sticky KL of a batch of pairs (mean over them) and the KL of the global usage, once a data set.

        The first gate of an episode has the prior Dir(alpha0 theta); every later one also leans on
        the gate before it.

        Args:
            posterior: concentrations (2B, K) of q(g_t); the first half precedes the second.
            mean: their means (2B, K).
            begins: (2B,) whether a sample is the first of its episode.
        """
        half = len(posterior) // 2
        usage = softplus(self.usage) + self.config.floor
        base = self.config.alpha0 * usage / usage.sum() + 1e-3
        later = kl_divergence(Dirichlet(posterior[half:]), Dirichlet(self.config.kappa * mean[:half].detach() + base))
        first = kl_divergence(Dirichlet(posterior[:half]), Dirichlet(base.expand(half, -1)))
        sticky = (later + first * begins[:half]).mean()
        flat = torch.full_like(usage, self.config.alpha)
        return sticky, kl_divergence(Dirichlet(usage), Dirichlet(flat))


def align_loss(posterior: Tensor, router: Tensor) -> Tensor:
    """Return KL(q || p) (mean over the batch) that distils the posterior into the state-only router."""
    return kl_divergence(Dirichlet(posterior.detach()), Dirichlet(router)).mean()


def mean_gate(concentration: Tensor) -> Tensor:
    """Return the mean (B, K) of a Dirichlet."""
    return concentration / concentration.sum(-1, keepdim=True)
