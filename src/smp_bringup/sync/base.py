"""What every aligner is: messages in, sets of one instant out."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from numpy.typing import ArrayLike

from smp_bringup.types import AlignedSet, FloatArray, Frame, VectorSample

SLOP_S = 0.02
"""Two frames farther apart than this are never put into one set."""

_MOST_CAUSES = 100
"""Causes that are counted each by itself: a stranger must not make up ever more of them."""


class AbstractAligner(ABC):
    """Takes stamped messages one by one and gives sets back when it is asked; never calls anybody."""

    counters: Counter[str]
    """Refused messages and dropped frames as "stream/cause", and "pairs" made."""
    skew_ns: dict[str, int]
    """Per camera: skew of its frame to the stamp of the last set; to the reference frame where that became none."""

    joints: dict[str, FloatArray]
    """Per arm: positions (n,) of the last joint state that was taken, in the robot's order."""

    @abstractmethod
    def push_image(self, camera: str, frame: Frame, now_ns: int) -> str | None:
        """Take a frame of a camera, or return why it is refused."""

    @abstractmethod
    def push_joints(
        self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike, velocity: ArrayLike, now_ns: int
    ) -> str | None:
        """Take the joint state of an arm, or return why it is refused."""

    @abstractmethod
    def push_vector(self, name: str, sample: VectorSample, now_ns: int) -> str | None:
        """Take a sample of a vector, or return why it is refused."""

    @abstractmethod
    def pop(self) -> list[AlignedSet]:
        """Return the sets that are complete, oldest first."""

    def refuse(self, stream: str, cause: str) -> str:
        """Count a message that is not taken, and return the cause."""
        key = f"{stream}/{cause}"
        self.counters[key if key in self.counters or len(self.counters) < _MOST_CAUSES else f"{stream}/other"] += 1
        return cause
