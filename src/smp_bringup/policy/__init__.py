"""Policies: from an observation to an action chunk, running only the experts that matter."""

from smp_bringup.policy.diffusion import DiffusionPolicy
from smp_bringup.policy.smp import SmpPolicy
from smp_bringup.registry import Registry

POLICIES: Registry[type[DiffusionPolicy] | type[SmpPolicy]] = Registry("policy")
POLICIES.register("smp")(SmpPolicy)
POLICIES.register("diffusion")(DiffusionPolicy)
