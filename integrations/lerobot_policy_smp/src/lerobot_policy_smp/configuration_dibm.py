"""Di-BM, energy-based experts (arXiv 2601.12397): `--policy.type=dibm`."""

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig

from lerobot_policy_smp.settings import MixtureConfig


@PreTrainedConfig.register_subclass("dibm")
@dataclass
class DibmConfig(MixtureConfig):
    """Settings of the policy in LeRobot; those of the network are in `run`."""

    run: str = "dibm"
