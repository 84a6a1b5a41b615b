"""SMP, Di-BM and the sparse mixture as policies of LeRobot; LeRobot imports this package by its name and finds them."""

from lerobot_policy_smp.configuration_dibm import DibmConfig
from lerobot_policy_smp.configuration_smp import SmpConfig
from lerobot_policy_smp.configuration_sparse import SparseConfig
from lerobot_policy_smp.processors import ObservedImages
from smp_bringup.lerobot.uncaught import say_errors

__all__ = ["DibmConfig", "ObservedImages", "SmpConfig", "SparseConfig"]

say_errors()
