"""Di-BM, energy-based experts (arXiv 2601.12397), where LeRobot looks for it."""

from lerobot_policy_smp.configuration_dibm import DibmConfig
from lerobot_policy_smp.mixture import MixturePolicy


class DibmPolicy(MixturePolicy):
    """See `MixturePolicy`."""

    config_class = DibmConfig
    name = "dibm"
