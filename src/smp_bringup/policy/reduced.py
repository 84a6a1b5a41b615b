"""A policy that gives up some quality for time: the fallback when inference misses its deadline."""

import copy

from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.config import PolicyConfig


def fewer_steps(policy: AbstractPolicy) -> AbstractPolicy:
    """Return the policy with half the sampler's steps (at least two, where it has so many), on the same engine."""
    return _with(policy, policy.config.fewer_steps())


def fewer_experts(policy: AbstractPolicy) -> AbstractPolicy:
    """Return the policy with only its heaviest expert, on the same engine."""
    return _with(policy, policy.config.fewer_experts())


def _with(policy: AbstractPolicy, config: PolicyConfig) -> AbstractPolicy:
    reduced = copy.copy(policy)
    reduced.config = config
    return reduced
