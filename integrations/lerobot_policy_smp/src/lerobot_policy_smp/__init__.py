"""SMP, Di-BM and the sparse mixture as policies of LeRobot; LeRobot imports this package by its name and finds them."""

from lerobot_policy_smp.configuration_dibm import DibmConfig
from lerobot_policy_smp.configuration_smp import SmpConfig
from lerobot_policy_smp.configuration_sparse import SparseConfig

__all__ = ["DibmConfig", "SmpConfig", "SparseConfig"]
