"""SMP's trainable network: reference, basis, gate and experts (arXiv 2601.21251)."""

import torch
from torch import Tensor, nn

from smp_bringup.policy.basis import Basis
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.experts import AbstractBank, build_bank
from smp_bringup.policy.mixture import SparseHead
from smp_bringup.policy.networks import AbstractNetwork, Orthonormaliser
from smp_bringup.policy.router import Concentration, StickyPrior, mean_gate

MEAN_ACTIVE = 2
"""So many experts of a mixed mean head or shared expert are weighed in."""


class SmpNet(AbstractNetwork):
    """Every expert denoises one coefficient over the horizon; the basis turns coefficients into actions."""

    def __init__(self, config: PolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        feature, k, chunk = config.encoder.feature, config.experts, config.horizon * dof
        self.mean = self._build_head((feature, 0), 0) if config.reference in ("motion", "mean") else None
        self.shared = self._build_head((feature, EMBEDDING), dof) if config.reference == "shared" else None
        hidden = (config.basis_width or feature,) * config.basis_depth
        self.basis = Basis(config.basis, feature, hidden, dof, k)
        width = config.gate.width or feature
        self.router = Concentration(feature, width, k, config.gate.floor)
        self.posterior = Concentration(feature + chunk, width, k, config.gate.floor)
        self.prior = StickyPrior(config.gate, k)
        columns = config.columns(dof) if config.joint_experts else 1
        self.experts = build_bank(k, feature + k + EMBEDDING, config.horizon, (columns, 1), config.denoiser)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(k))
        self.residual_rms: Tensor
        self.register_buffer("residual_rms", torch.ones(()))

    def _build_head(self, sizes: tuple[int, int], columns: int) -> AbstractBank | SparseHead:
        config, both = self.config, (columns, self.dof)
        if config.mean_experts > 1:
            return SparseHead(config.mean_experts, MEAN_ACTIVE, sizes, config.horizon, both, config.mean)
        return build_bank(1, sum(sizes), config.horizon, both, config.mean)

    @property
    def learns_skills(self) -> bool:
        """Whether experts and basis are being trained; their running scales stand still otherwise."""
        return self.training and any(p.requires_grad for p in self.experts.parameters())

    def reference(self, feature: Tensor, state: Tensor) -> Tensor:
        """Return the action (B, T, J) that experts add to, by `config.reference`.

        Where that is a shared expert, it is the joint state: what the motion is measured from.
        """
        horizon = self.config.horizon
        if self.mean is not None:
            nothing = feature.new_zeros(len(feature), horizon, 0)
            return _run(self.mean, feature, feature.new_zeros(len(feature), 0), nothing)
        if self.config.reference in ("state", "shared"):
            return state[:, -1:, :].expand(-1, horizon, -1)
        return feature.new_zeros(len(feature), horizon, self.dof)

    def origin(self, reference: Tensor, state: Tensor) -> Tensor:
        """Return what coefficients are measured from (B, T or 1, J): the present joint state, or the reference."""
        return state[:, -1:, :] if self.config.reference == "motion" else reference

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`."""
        basis = orthonormaliser(self.basis(feature))
        out = {"gate": mean_gate(self.router(feature)), "basis": basis}
        if self.shared is not None:
            return out
        reference = self.reference(feature, state)
        origin = self.origin(reference, state)
        out["reference"] = reference
        if origin is not reference:
            out["offset"] = (reference - origin) @ basis
        return {**out, "scale": self.scale.expand(len(feature), -1)}

    def denoise_all(self, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Return the experts' predictions (B, T, K) for noisy samples (B, T, N), zero where inactive.

        Each expert computes only the samples in which it is active.
        """
        condition = torch.cat([feature, mask, embedding], dim=1)
        rows = [column.nonzero().squeeze(1) for column in mask.T]
        conditions = [condition[row] for row in rows]
        samples = [self._seen(expert, x)[row] for expert, row in enumerate(rows)]
        every = zip(rows, self.experts.each(conditions, samples), strict=True)
        return torch.stack([x.new_zeros(x.shape[:2]).index_copy(0, row, out.squeeze(2)) for row, out in every], dim=2)

    def _seen(self, expert: int, x: Tensor) -> Tensor:
        """Return what an expert sees of the noisy samples (B, T, N)."""
        return x if self.config.joint_experts else x[:, :, expert : expert + 1]

    def denoise(self, expert: int, feature: Tensor, x: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """See `AbstractNetwork`; returns (B, T), or of the shared expert, the last, (B, T, J)."""
        if expert == self.config.experts:
            return self.denoise_shared(feature, x, embedding)
        condition = torch.cat([feature, mask, embedding], dim=1)
        return self.experts.one(expert, condition, self._seen(expert, x)).squeeze(2)

    def denoise_shared(self, feature: Tensor, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the shared expert's prediction (B, T, J) for noisy actions (B, T, J)."""
        assert self.shared is not None
        return _run(self.shared, feature, embedding, x)

    def gated_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.experts]

    def training_parts(self) -> list[nn.Module]:
        """See `AbstractNetwork`."""
        return [self.posterior, self.prior]

    def idle_parameters(self) -> int:
        """See `AbstractNetwork`: those of mixtures that are not weighed in."""
        return sum(head.idle_parameters() for head in (self.mean, self.shared) if isinstance(head, SparseHead))


def _run(head: AbstractBank | SparseHead, feature: Tensor, told: Tensor, x: Tensor) -> Tensor:
    if isinstance(head, SparseHead):
        out: Tensor = head(feature, told, x)
        return out
    return head.one(0, torch.cat([feature, told], dim=1), x)
