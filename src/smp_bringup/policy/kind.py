"""What a kind of policy registers: settings, the deployed class, and its trainable network with its losses."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import AbstractEngine, DeployedPolicy
from smp_bringup.policy.config import PolicyConfig


@dataclass(frozen=True)
class PolicyKind:
    """All that makes a kind of policy."""

    config: type[PolicyConfig]
    """Its settings: what all policies have, and a section of its own."""
    deploy: Callable[[Any, AbstractEngine, Normalizer, float], DeployedPolicy]
    """Joins settings, engine, normaliser and action period [s] to what runs on the robot."""
    network: str
    """What builds its `AbstractNetwork`, as "module:name" with the arguments of `policy.build.build_network`. A name,
    because the robot has no need of PyTorch."""

    def build(self, config: PolicyConfig, dof: int, objects: int) -> Any:
        """Return the untrained network."""
        module, _, name = self.network.partition(":")
        return getattr(import_module(module), name)(config, dof, objects)
