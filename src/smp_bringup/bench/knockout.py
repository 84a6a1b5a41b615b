"""A mixture with its gate spoiled: does it need its experts, each where the gate puts it?"""

import copy
from collections.abc import Mapping

import numpy as np

from smp_bringup.errors import ModelError, UnknownNameError
from smp_bringup.policy.base import AbstractEngine, AbstractPolicy, DeployedPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoising import Denoising
from smp_bringup.types import FloatArray

KNOCKOUTS = ("all", "heaviest", "permuted")
"""No expert has any mass; the heaviest expert's mass goes to the others; every expert stands in for another."""


class _SpoiledGate(AbstractEngine):
    """Another engine whose gate is changed before the policy sees it."""

    def __init__(self, engine: AbstractEngine, how: str) -> None:
        self._engine, self._how, self.name = engine, how, engine.name

    def encode(self, inputs: Mapping[str, np.ndarray]) -> dict[str, FloatArray]:
        """See `AbstractEngine`."""
        coded = self._engine.encode(inputs)
        return {**coded, "gate": spoiled(coded["gate"], self._how)}

    def input_length(self, name: str) -> int:
        """See `AbstractEngine`."""
        return self._engine.input_length(name)

    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        return self._engine.denoise(expert, feature, x, mask, embedding)

    def sample(
        self,
        task: Denoising,
        noise: FloatArray,
        config: PolicyConfig,
        rng: np.random.Generator,
        known: FloatArray | None = None,
    ) -> FloatArray:
        """See `AbstractEngine`."""
        return self._engine.sample(task, noise, config, rng, known)


def spoiled(gate: FloatArray, how: str) -> FloatArray:
    """Return a gate (K,) without mass, without its heaviest expert, or with each expert's weight given to the next."""
    if how == "all":
        return np.zeros(len(gate))
    if how == "permuted":
        return np.roll(gate, 1)
    left = np.where(np.arange(len(gate)) == np.argmax(gate), 0.0, gate)
    return left / left.sum() if left.sum() > 0 else np.full(len(gate), 1 / len(gate))


def knocked_out(policy: AbstractPolicy, how: str) -> AbstractPolicy:
    """Return a copy of the policy, on the same engine, with its gate spoiled.

    Raises:
        UnknownNameError: `how` is not one of KNOCKOUTS.
        ModelError: the policy has no gate, or its experts are taken away otherwise.
    """
    if how not in KNOCKOUTS:
        raise UnknownNameError("knockout", how, KNOCKOUTS)
    if not isinstance(policy, DeployedPolicy) or policy.config.experts < 2:
        raise ModelError(f"a {policy.config.kind} policy has no gate that could be spoiled")
    if how == "all" and policy.config.kind != "sparse":
        raise ModelError(
            f"knockout 'all' is of sparse mixtures, not of a {policy.config.kind} policy: SMP has gate.coverage=0"
        )
    spoilt = copy.copy(policy)
    spoilt.engine = _SpoiledGate(policy.engine, how)
    return spoilt
