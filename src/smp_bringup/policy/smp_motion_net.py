"""SMP whose experts carry the motion from the present joint state: its trainable network and objective."""

from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from smp_bringup.policy.basis import orthonormalise
from smp_bringup.policy.batch import Batch, Noiser
from smp_bringup.policy.denoise import EMBEDDING
from smp_bringup.policy.distance import PRECISE, distance
from smp_bringup.policy.experts import build_bank
from smp_bringup.policy.networks import Orthonormaliser
from smp_bringup.policy.router import mean_gate
from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_net import AbstractSmpNet, active_sets


class MotionSmpNet(AbstractSmpNet):
    """Experts denoise B^T (a - q) together; a mean head mu(s) regresses the action beside them."""

    def __init__(self, config: SmpPolicyConfig, dof: int, objects: int) -> None:
        super().__init__(config, dof, objects)
        assert config.smp.mean is not None
        feature, k = config.encoder.feature, config.experts
        self.mean = build_bank(1, feature, config.horizon, (0, dof), config.smp.mean)
        self.add_skills(condition=feature + k + EMBEDDING, columns=k)

    def reference(self, feature: Tensor) -> Tensor:
        """Return the mean head's action mu(s) (B, T, J)."""
        return self.mean.one(0, feature, feature.new_zeros(len(feature), self.config.horizon, 0))

    def heads(self, feature: Tensor, state: Tensor, orthonormaliser: Orthonormaliser) -> dict[str, Tensor]:
        """See `AbstractNetwork`: gate, basis, the mean head's action, and its own coefficients B^T (mu - q)."""
        basis, reference = orthonormaliser(self.basis(feature)), self.reference(feature)
        offset = (reference - state[:, -1:]) @ basis
        return {"gate": mean_gate(self.router(feature)), "basis": basis, "reference": reference, "offset": offset}

    def losses(self, feature: Tensor, batch: Batch, noiser: Noiser) -> dict[str, Tensor]:
        """Return the losses.

        The coefficients are those of the motion r = a - q, B^T r in normalised units: the paper's g_i z_i up to eps,
        with no division by a gate that differs between training and deployment. Measured from the mean head, r would
        be small almost everywhere and as large as an action where demonstrations part ways, so that dividing by its
        RMS would put what matters beyond X0_LIMIT.
        """
        smp = self.config.smp
        mean, router, losses = self.gate_losses(feature, batch)
        basis = orthonormalise(self.basis(feature))
        mask = active_sets(mean, router, batch.cover, smp.gate)
        residual = batch.action - batch.inputs["state"][:, -1:]
        noisy, embedding, target = noiser(residual @ basis.detach(), batch)
        predicted = self.denoise_active(feature, noisy * mask.unsqueeze(1), mask, embedding)
        error = distance(predicted, target, self.config.distance).mean(1) * mask
        losses["coeff"] = smp.loss.coefficient * (error.sum(1) / mask.sum(1)).mean()
        losses |= self.recon_loss(residual, basis, mean)
        losses["mean"] = smp.loss.mean * smooth_l1_loss(self.reference(feature), batch.action, beta=PRECISE)
        return losses
