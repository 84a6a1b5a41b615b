"""What every deployed policy and every engine is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.types import ActionChunk, FloatArray, GateReport, ImageArray, Observation


class AbstractEngine(ABC):
    """Runs the networks of one checkpoint, one sample at a time."""

    @abstractmethod
    def encode(self, images: Mapping[str, ImageArray], state: FloatArray) -> dict[str, FloatArray]:
        """Return what the policy derives from an observation once, by name.

        Args:
            images: per camera (To, h, w, 3).
            state: (To, J), normalised.
        """

    @abstractmethod
    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """Return one expert's prediction of the clean sample.

        Args:
            expert: its index.
            feature: (F,) from `encode`.
            x: noisy sample of all experts (T, K) or of the whole action (T, J).
            mask: (K,) one where an expert is active.
            embedding: of the diffusion step.
        """


class AbstractPolicy(ABC):
    """Maps observations to action chunks; `engine` does the arithmetic."""

    config: PolicyConfig

    @abstractmethod
    def infer(self, observation: Observation, seed: int) -> tuple[ActionChunk, GateReport]:
        """Return the chunk for an observation, and what the gate did; equal seeds give equal chunks."""
