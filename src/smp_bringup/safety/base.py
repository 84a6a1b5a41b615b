"""What every safety check is: one question about one cycle, answered with a verdict."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray, JointSample, Verdict


@dataclass(frozen=True)
class ArmState:
    """What an arm reported, and how well."""

    sample: JointSample
    """The newest good one."""
    arrival_ns: int
    """Of that sample, on the steady clock."""
    jump: str = ""
    """Joint that moved impossibly far between two samples since the last cycle; empty if none."""
    older_ns: int | None = None
    """When a state whose stamp was not newer was refused since; None if none was."""


@dataclass(frozen=True)
class SourceTrouble:
    """What is wrong with what the followed source says."""

    malformed: str = ""
    """Why a message of it broke the contract: other joints, another shape; empty if none did."""
    nonfinite: int = 0
    """Its messages in a row that were not finite."""


@dataclass(frozen=True)
class Context:
    """All that a check may look at in one control cycle; times are of the steady clock."""

    steady_ns: int
    setpoint: FloatArray
    """(J,) last published."""
    arms: Mapping[str, ArmState]
    """Every arm that has reported."""
    following: bool = False
    """Whether a source is selected."""
    target: FloatArray | None = None
    """(J,) wanted by the source in this cycle, before limits; None if the source has nothing to say."""
    path: FloatArray | None = None
    """(K, J) setpoints, cycle by cycle, of the step that is proposed and of the stop that could follow it."""
    trouble: SourceTrouble = SourceTrouble()
    nonfinite_states: Mapping[str, int] = field(default_factory=dict)
    """States in a row of each arm that were not finite."""
    late_s: float = 0.0
    """How late this cycle is."""
    estop_silence_s: Mapping[str, float] = field(default_factory=dict)
    """For how long each publisher that has spoken on the emergency stop's topic has said nothing."""
    source_silence: str = ""
    """Which leader has said nothing for how long; empty where the source has none, or all of them speak."""
    came_back: frozenset[str] = frozenset()
    """Arms whose leader, or whose whole source, was silent or jumped and speaks again since the last cycle."""
    observation_fault: str = ""
    """Why the policy's observations must not be acted on; empty while they may, or while no policy is followed."""
    clock_still_ns: int = 0
    """For how long the clock of the headers has not advanced."""
    findings: tuple[Verdict, ...] = ()
    """What the graph guard found."""


class AbstractCheck(ABC):
    """One check; write comparisons as `not (x <= limit)` so that NaN fails them.

    A check may keep what it has seen, is asked once a cycle while armed, and may raise
    ConfigError when it is built.
    """

    name: str
    needs_geometry = False
    """Whether it cannot be built for a robot whose arms' geometry is not known."""
    left_out: tuple[str, ...] = ()
    """What it does not look at, for a reason of this robot."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self.robot, self.config = robot, config

    @abstractmethod
    def verdict(self, context: Context) -> Verdict:
        """Return what this check thinks of the cycle; `PASS` if it has no objection."""
