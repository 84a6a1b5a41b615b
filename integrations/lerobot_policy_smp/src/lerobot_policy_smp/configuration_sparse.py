"""One diffusion denoiser whose layers are mixtures: `--policy.type=sparse`."""

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig

from lerobot_policy_smp.settings import MixtureConfig


@PreTrainedConfig.register_subclass("sparse")
@dataclass
class SparseConfig(MixtureConfig):
    """Settings of the policy in LeRobot; those of the network are in `run`."""

    run: str = "sparse"
