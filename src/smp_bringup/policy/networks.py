"""The trainable networks of each policy, assembled from encoder, basis, gate and denoisers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from smp_bringup.policy.basis import Basis, orthonormalise
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.encoder import Encoder
from smp_bringup.policy.experts import EMBEDDING, ExpertMlp, ResidualMlp
from smp_bringup.policy.router import Concentration, StickyPrior, mean_gate


class DiffusionNet(nn.Module):
    """Encoder and one denoiser of the whole chunk."""

    def __init__(self, config: PolicyConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        self.encoder = Encoder(config.encoder, config.cameras, config.observation_steps, dof)
        self.foresight = nn.Linear(config.encoder.feature, len(config.foresight_s) * dof)
        chunk = config.horizon * dof
        size = chunk + config.encoder.feature + EMBEDDING
        self.denoiser = ResidualMlp(size, config.width, config.depth, chunk)

    def denoise(self, feature: Tensor, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the clean chunk (B, T, J) for a noisy one."""
        clean: Tensor = self.denoiser(torch.cat([feature, x.flatten(1), embedding], dim=1))
        return clean.view_as(x)


class SmpNet(nn.Module):
    """Encoder, reference (mean head), basis, gate and experts."""

    def __init__(self, config: PolicyConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        feature, k, chunk = config.encoder.feature, config.experts, config.horizon * dof
        self.encoder = Encoder(config.encoder, config.cameras, config.observation_steps, dof)
        self.foresight = nn.Linear(feature, len(config.foresight_s) * dof)
        if config.reference == "mean":
            self.mean = ResidualMlp(feature, config.width, config.depth, chunk)
        self.basis = Basis(feature, dof, k)
        self.router = Concentration(feature, feature, k, config.gate.floor)
        self.posterior = Concentration(feature + chunk, feature, k, config.gate.floor)
        self.prior = StickyPrior(config.gate, k)
        self.experts = ExpertMlp(feature, config.horizon, k, config.expert_width, config.expert_depth)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(k))
        self.residual_rms: Tensor
        self.register_buffer("residual_rms", torch.ones(()))

    def reference(self, feature: Tensor, state: Tensor) -> Tensor:
        """Return what the experts add to (B, T, J): the mean head, or the present joint state (B, To, J) held."""
        if self.config.reference == "mean":
            mean: Tensor = self.mean(feature)
            return mean.view(-1, self.config.horizon, self.dof)
        return state[:, -1:, :].expand(-1, self.config.horizon, -1)

    def route(self, feature: Tensor) -> Tensor:
        """Return the router's mean gate (B, K)."""
        return mean_gate(self.router(feature))

    def code(self, images: Mapping[str, Tensor], state: Tensor) -> dict[str, Tensor]:
        """Return everything that deployment derives from an observation once."""
        feature = self.encoder(images, state)
        return {
            "feature": feature,
            "gate": self.route(feature),
            "basis": orthonormalise(self.basis(feature)),
            "reference": self.reference(feature, state),
            "scale": self.scale.expand(len(state), -1),
        }


Network = DiffusionNet | SmpNet


def build_network(config: PolicyConfig, dof: int) -> Network:
    """Return the untrained network of a policy for `dof` joints."""
    return SmpNet(config, dof) if config.kind == "smp" else DiffusionNet(config, dof)
