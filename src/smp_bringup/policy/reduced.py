"""A policy that gives up some quality for time: the fallback when inference misses its deadline."""

import copy
from statistics import median
from time import perf_counter

from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.types import Observation

_TIMED = 3
"""Inferences of each level, of which the middle one counts."""


def levels(policy: AbstractPolicy) -> dict[str, AbstractPolicy]:
    """Return a policy, and what it gives up in turn: see `action.deadline`."""
    lean = fewer_steps(policy)
    return {"full": policy, "fewer_steps": lean, "fewer_experts": fewer_experts(lean)}


def costs_s(policy: AbstractPolicy, observation: Observation) -> tuple[float, ...]:
    """Return how long an inference takes at each of the `levels` here and now [s]; the policy is warm."""

    def took_s(level: AbstractPolicy) -> float:
        start = perf_counter()
        level.infer(observation, 0)
        return perf_counter() - start

    return tuple(median(took_s(level) for _ in range(_TIMED)) for level in levels(policy).values())


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
