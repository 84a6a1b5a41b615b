"""SMP, a skill mixture (arXiv 2601.21251): `--policy.type=smp`."""

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig

from lerobot_policy_smp.settings import MixtureConfig


@PreTrainedConfig.register_subclass("smp")
@dataclass
class SmpConfig(MixtureConfig):
    """Settings of the policy in LeRobot; those of the network are in `run`."""

    run: str = "smp_shared"
