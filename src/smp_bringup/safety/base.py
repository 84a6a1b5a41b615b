"""What every safety check is: one question about one cycle, answered with a verdict."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, JointSample, Verdict


@dataclass(frozen=True)
class Context:
    """All that a check may look at in one control cycle; times are of the steady clock."""

    robot: Robot
    config: SafetyConfig
    steady_ns: int
    setpoint: FloatArray
    """(J,) last published."""
    target: FloatArray | None
    """(J,) wanted by the source in this cycle, before limits; None if the source has nothing to say."""
    following: bool
    """Whether a source is selected."""
    states: Mapping[str, JointSample]
    """Last measured state of each arm that has reported."""
    state_arrival_ns: Mapping[str, int]
    observation_fault: str = ""
    """Why the policy's observations must not be acted on; empty while they may, or while no policy is followed."""
    clock_still_ns: int = 0
    """For how long the clock of the headers has not advanced."""


class AbstractCheck(ABC):
    """One check; write comparisons as `not (x <= limit)` so that NaN fails them."""

    name: str

    @abstractmethod
    def verdict(self, context: Context) -> Verdict:
        """Return what this check thinks of the cycle; `PASS` if it has no objection."""
