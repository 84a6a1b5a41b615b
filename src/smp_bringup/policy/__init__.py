"""Policies: from an observation to an action chunk, running only the experts that matter."""

from smp_bringup.policy.base import AbstractEngine, AbstractPolicy
from smp_bringup.policy.dibm import DibmPolicy
from smp_bringup.policy.diffusion import DiffusionPolicy
from smp_bringup.policy.smp import SmpPolicy
from smp_bringup.registry import Registry

Policy = type[SmpPolicy] | type[DibmPolicy] | type[DiffusionPolicy]
POLICIES: Registry[Policy] = Registry("policy")
POLICIES.register("smp")(SmpPolicy)
POLICIES.register("dibm")(DibmPolicy)
POLICIES.register("diffusion")(DiffusionPolicy)
POLICIES.register("sparse")(DiffusionPolicy)

__all__ = ["POLICIES", "AbstractEngine", "AbstractPolicy"]
