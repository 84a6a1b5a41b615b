"""What the two kinds of sources say, each a function of time: chunks of a policy, setpoints of a teleoperation."""

from abc import ABC, abstractmethod

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.robot import Robot
from smp_bringup.safety.base import SourceTrouble
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.lease import Lease
from smp_bringup.types import ActionChunk, FloatArray, JointSample, nanoseconds, seconds

_MAX_MAGNITUDE = 1e6
"""No position [rad] or velocity [rad/s] is larger: 1e300 counts as not finite."""


class AbstractInput(ABC):
    """One source that can be followed."""

    lease: Lease
    trouble: SourceTrouble

    @abstractmethod
    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return positions and velocities (K, J) wanted at times (K,) [s] from now; None if nothing is."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what it said."""

    def refused(self, cause: str) -> None:
        """Count what was refused for its content; "malformed: ..." breaks the contract."""
        if cause == "nonfinite":
            self.trouble = SourceTrouble(self.trouble.malformed, self.trouble.nonfinite + 1)
        elif cause.startswith("malformed"):
            self.trouble = SourceTrouble(cause, self.trouble.nonfinite)


class PolicyInput(AbstractInput):
    """The chunk in execution; it commands for its whole horizon."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._config, self._dof = config, robot.dof
        self._chunks = ChunkBuffer(robot.dof)
        self.lease, self.trouble = Lease(), SourceTrouble()

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the observation behind the chunk in execution."""
        return self._chunks.stamp_ns

    @property
    def jump(self) -> FloatArray | None:
        """By how much (J,) the last chunk moved the setpoint of that instant; None if there was none."""
        return self._chunks.jump

    def take(self, chunk: ActionChunk, setpoint: FloatArray | None, now_ns: int) -> str | None:
        """Take a chunk, or return why it is refused; with a setpoint (J,), also if it would start far from it."""
        cause = self._refusal(chunk, setpoint, now_ns) or self._chunks.put(chunk, now_ns)
        if cause == "shape":
            self.refused(f"malformed: a chunk of shape {list(chunk.position.shape)} for {self._dof} joints")
        elif cause:
            self.refused(cause)
        else:
            self.trouble = SourceTrouble(self.trouble.malformed)
        return cause

    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the chunk's setpoints."""
        return self._chunks.ahead(now_ns, ahead_s)

    def clear(self) -> None:
        """Forget the chunk."""
        self._chunks.clear()
        self.trouble = SourceTrouble()

    def _refusal(self, chunk: ActionChunk, setpoint: FloatArray | None, now_ns: int) -> str | None:
        """Return why a chunk is refused before the buffer looks at it, or None."""
        if not chunk.stamp_ns <= now_ns + nanoseconds(self._config.future_tolerance_s):
            return "future"
        if not _sane(chunk.position):
            return "nonfinite"
        if setpoint is None or chunk.position.ndim != 2 or chunk.position.shape[1] != self._dof:
            return None
        probe = ChunkBuffer(self._dof)
        start = probe.sample(now_ns) if probe.put(chunk, now_ns) is None else None
        if start is not None and not np.abs(start[0] - setpoint).max() <= self._config.max_step_refuse:
            return "far"
        return None


class TeleopInput(AbstractInput):
    """The newest setpoint of the operator, gone on with its velocity until it is too old."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._config, self._dof = config, robot.dof
        self._latest: tuple[JointSample, int] | None = None
        self.lease, self.trouble = Lease(), SourceTrouble()

    def take(self, sample: JointSample, now_ns: int, steady_ns: int) -> str | None:
        """Take a setpoint, or return why it is refused: "shape", "nonfinite", "future" or "older"."""
        cause = self._refusal(sample, now_ns)
        if cause == "shape":
            self.refused(f"malformed: {len(sample.position)} joints, expected {self._dof}")
        elif cause:
            self.refused(cause)
        else:
            self._latest, self.trouble = (sample, steady_ns), SourceTrouble(self.trouble.malformed)
        return cause

    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the setpoint, moving on with its velocity."""
        if self._latest is None:
            return None
        sample, arrival_ns = self._latest
        age_s = seconds(steady_ns - arrival_ns)
        if not age_s <= self._config.source_timeout_s:
            return None
        position = sample.position + np.multiply.outer(age_s + ahead_s, sample.velocity)
        return position, np.broadcast_to(sample.velocity, position.shape)

    def clear(self) -> None:
        """Forget the setpoint."""
        self._latest, self.trouble = None, SourceTrouble()

    def _refusal(self, sample: JointSample, now_ns: int) -> str | None:
        if sample.position.shape != (self._dof,) or sample.velocity.shape != (self._dof,):
            return "shape"
        if not (_sane(sample.position) and _sane(sample.velocity)):
            return "nonfinite"
        if not sample.stamp_ns <= now_ns + nanoseconds(self._config.future_tolerance_s):
            return "future"
        if self._latest is not None and not sample.stamp_ns > self._latest[0].stamp_ns:
            return "older"
        return None


def _sane(values: FloatArray) -> bool:
    """Return whether all are finite and of a size that a joint can have (written so that NaN fails)."""
    return bool((np.abs(values) <= _MAX_MAGNITUDE).all())
