"""SMP, a skill mixture (arXiv 2601.21251), where LeRobot looks for it."""

from lerobot_policy_smp.configuration_smp import SmpConfig
from lerobot_policy_smp.mixture import MixturePolicy


class SmpPolicy(MixturePolicy):
    """See `MixturePolicy`."""

    config_class = SmpConfig
    name = "smp"
