"""SMP deployed (arXiv 2601.21251), in the form that its settings name."""

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine, DeployedPolicy
from smp_bringup.policy.smp_config import SmpConfig, SmpPolicyConfig
from smp_bringup.policy.smp_motion import MotionSmpPolicy
from smp_bringup.policy.smp_paper import PaperSmpPolicy
from smp_bringup.policy.smp_shared import SharedSmpPolicy

_FORMS: dict[str, type[DeployedPolicy]] = {
    "paper": PaperSmpPolicy,
    "shared": SharedSmpPolicy,
    "motion": MotionSmpPolicy,
}

__all__ = ["SmpConfig", "SmpPolicyConfig", "deploy_smp"]


def deploy_smp(
    config: SmpPolicyConfig, engine: AbstractEngine, normalizer: Normalizer, period_s: float
) -> DeployedPolicy:
    """Return the policy of the form that `config` names; arguments as of `DeployedPolicy`."""
    return _FORMS[config.smp.form](config, engine, normalizer, period_s)
