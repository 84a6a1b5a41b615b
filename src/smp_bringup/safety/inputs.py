"""What a source says, as a function of time; and the policy, whose words are chunks."""

from abc import ABC, abstractmethod

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.robot import Robot
from smp_bringup.safety.base import SourceTrouble
from smp_bringup.safety.bounds import bounds, tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.lease import Lease
from smp_bringup.types import ActionChunk, FloatArray, nanoseconds

_MAX_MAGNITUDE = 1e6
"""No position [rad] or velocity [rad/s] is larger: 1e300 counts as not finite."""


class AbstractInput(ABC):
    """One source that can be followed; what it says belongs to the publisher that said it."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._config, self._dof = config, robot.dof
        self.lease, self.trouble = Lease(), SourceTrouble()
        self.speaker = ""
        """Whose words would be followed."""

    @abstractmethod
    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return positions and velocities (K, J) wanted at times (K,) [s] from now; None if nothing is."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what it said."""

    def begin(self) -> None:
        """Be followed from now on: what was wrong before does not count."""
        self.trouble = SourceTrouble()
        self.came_back()

    def silence(self, steady_ns: int) -> str:
        """Return who of those that make up the source has said nothing for how long; empty where that is not known."""
        return ""

    def came_back(self) -> frozenset[str]:
        """Return the arms whose part was silent, or jumped, since the last call."""
        return frozenset()

    def _heard(self, cause: str | None, source: str, steady_ns: int) -> str | None:
        """Count what was refused for its content, which claims nothing, or note whose words are to be followed."""
        if cause is None:
            self.speaker, self.trouble = source, SourceTrouble(self.trouble.malformed)
            self.lease.claim(source, steady_ns)
        else:
            self.refused(cause)
        return cause

    def refused(self, cause: str) -> None:
        """Count what was refused for its content; "malformed: ..." breaks the contract."""
        if cause == "nonfinite":
            self.trouble = SourceTrouble(self.trouble.malformed, self.trouble.nonfinite + 1)
        elif cause.startswith("malformed"):
            self.trouble = SourceTrouble(cause, self.trouble.nonfinite)


class PolicyInput(AbstractInput):
    """The chunk in execution; it commands for its whole horizon."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._near = np.where(robot.rates, np.inf, tolerances(robot, config, "max_step_refuse"))
        self._limits = bounds(robot, config)
        self._grippers = np.array([joint.gripper for joint in robot.joints])
        self._chunks = ChunkBuffer(robot.dof)

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the observation behind the chunk in execution."""
        return self._chunks.stamp_ns

    @property
    def jump(self) -> FloatArray | None:
        """By how much (J,) the last chunk moved the setpoint of that instant; None if there was none."""
        return self._chunks.jump

    def take(
        self, chunk: ActionChunk, setpoint: FloatArray | None, now_ns: int, steady_ns: int, source: str
    ) -> str | None:
        """Take a chunk, or return why it is refused; with a setpoint (J,), also if it would start far from it."""
        cause = self._refusal(chunk, setpoint, now_ns)
        if cause is None:  # another publisher's chunk is not continued: it is replaced
            chunks = self._chunks if source == self.speaker else ChunkBuffer(self._dof)
            cause = chunks.put(chunk, now_ns)
            self._chunks = self._chunks if cause else chunks
        if cause == "shape":
            self.refused(f"malformed: a chunk of shape {list(chunk.position.shape)} for {self._dof} joints")
            return cause
        return self._heard(cause, source, steady_ns)

    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the chunk's setpoints."""
        return self._chunks.ahead(now_ns, ahead_s)

    def clear(self) -> None:
        """Forget the chunk."""
        self._chunks.clear()
        self.trouble = SourceTrouble()

    def _refusal(self, chunk: ActionChunk, setpoint: FloatArray | None, now_ns: int) -> str | None:
        """Return why a chunk is refused before the buffer looks at it, or None; its size comes first."""
        if chunk.position.ndim > 0 and chunk.period_s * len(chunk.position) > self._config.max_horizon_s:
            return "horizon"
        if not chunk.stamp_ns <= now_ns + nanoseconds(self._config.future_tolerance_s):
            return "future"
        if not sane(chunk.position):
            return "nonfinite"
        if setpoint is None or chunk.position.ndim != 2 or chunk.position.shape[1] != self._dof:
            return None
        probe = ChunkBuffer(self._dof)
        start = probe.sample(now_ns) if probe.put(chunk, now_ns) is None else None
        if start is None:
            return None
        # A hand is told to close beyond what is between its fingers: that is not far.
        wanted = np.where(self._grippers, np.clip(start[0], self._limits.low, self._limits.high), start[0])
        return None if (np.abs(wanted - setpoint) <= self._near).all() else "far"


def sane(values: FloatArray) -> bool:
    """Return whether all are finite and of a size that a joint can have (written so that NaN fails)."""
    return bool((np.abs(values) <= _MAX_MAGNITUDE).all())
