"""One diffusion denoiser whose layers are mixtures, where LeRobot looks for it."""

from lerobot_policy_smp.configuration_sparse import SparseConfig
from lerobot_policy_smp.mixture import MixturePolicy


class SparsePolicy(MixturePolicy):
    """See `MixturePolicy`."""

    config_class = SparseConfig
    name = "sparse"
