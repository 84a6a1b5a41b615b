"""The trainable network of SMP, in the form that its settings name."""

from smp_bringup.policy.smp_config import SmpPolicyConfig
from smp_bringup.policy.smp_motion_net import MotionSmpNet
from smp_bringup.policy.smp_net import AbstractSmpNet
from smp_bringup.policy.smp_paper_net import PaperSmpNet
from smp_bringup.policy.smp_shared_net import SharedSmpNet

_FORMS: dict[str, type[AbstractSmpNet]] = {"paper": PaperSmpNet, "shared": SharedSmpNet, "motion": MotionSmpNet}


def build_smp(config: SmpPolicyConfig, dof: int, objects: int) -> AbstractSmpNet:
    """Return the untrained network of the form that `config` names; arguments as of `build_network`."""
    return _FORMS[config.smp.form](config, dof, objects)
