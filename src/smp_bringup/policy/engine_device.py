"""stub"""

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import PolicyConfig


def open_device_engine(weights: bytes | None, policy: PolicyConfig, dof: int, device: str) -> AbstractEngine:
    """Not yet."""
    raise NotImplementedError
