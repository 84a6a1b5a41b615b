"""The command core: one setpoint for both arms per cycle, from one source, inside all limits.

Pure: stamps are those of message headers, `steady_ns` is a monotonic clock that the
caller reads; no watchdog looks at a stamp. Not a certified safety function.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.robot import Robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.base import Context
from smp_bringup.safety.chain import strictest
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.limits import Limiter, Source
from smp_bringup.safety.modes import Mode, Reply
from smp_bringup.types import (
    PASS,
    ActionChunk,
    Command,
    FloatArray,
    JointSample,
    Severity,
    Verdict,
    nanoseconds,
    seconds,
)

_CLOCK_RESET_S = 1.0


@dataclass(frozen=True)
class CommandOutput:
    """What one cycle publishes: a command (None while disarmed), the mode, and the verdict behind it."""

    command: Command | None
    mode: Mode
    verdict: Verdict
    chunk_stamp_ns: int | None
    """Observation stamp of the chunk that the command follows."""


class CommandCore:
    """Modes, sources, checks and limits of the command node."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._robot, self._config = robot, config
        self._checks = [CHECKS[name]() for name in config.checks]
        self._limiter = Limiter(robot, config)
        self._chunks = ChunkBuffer(robot.dof)
        self._teleop: tuple[JointSample, int] | None = None
        self._states: dict[str, JointSample] = {}
        self._arrival_ns: dict[str, int] = {}
        self._observation_fault = ""
        self._now_ns, self._advanced_ns = 0, 0
        self._pressed = False
        self._heard = False
        self._hold_since_ns: int | None = None
        self._latched = PASS
        self.mode = Mode.DISARMED
        self.refused: Counter[str] = Counter()
        """Refused inputs by cause since start."""

    @property
    def verdict(self) -> Verdict:
        """What latched the core, or `PASS`."""
        return self._latched

    @property
    def heard(self) -> bool:
        """Return whether the selected source has said anything since it was selected."""
        return self._heard

    @property
    def seam(self) -> FloatArray | None:
        """By how much (J,) the last chunk moved the setpoint of its first instant; None if nothing was followed."""
        return self._chunks.seam

    def on_state(self, arm: str, sample: JointSample, steady_ns: int) -> None:
        """Take the measured state of one arm; a sample that is not finite or not of its size is refused."""
        if len(sample.position) != len(self._robot.arm(arm).joints) or not np.isfinite(sample.position).all():
            self.refused[f"state/{arm}"] += 1
            return
        self._states[arm], self._arrival_ns[arm] = sample, steady_ns

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> str | None:
        """Take a chunk of the policy, or return why it is refused (the chunk in execution goes on)."""
        cause = self._refusal(chunk, now_ns) or self._chunks.put(chunk, now_ns)
        if cause:
            self.refused[f"chunk/{cause}"] += 1
        return cause

    def on_teleop(self, sample: JointSample, steady_ns: int) -> None:
        """Take a setpoint (J,) of the teleoperation; one that is not finite is refused."""
        if len(sample.position) != self._robot.dof or not np.isfinite(sample.position).all():
            self.refused["teleop"] += 1
            return
        self._teleop = sample, steady_ns

    def on_observation_state(self, fault: str) -> None:
        """Take why the policy's observations must not be acted on, or "" when they may."""
        self._observation_fault = fault

    def arm(self, steady_ns: int) -> Reply:
        """Start publishing: seed the setpoint from the measured pose and hold it."""
        if self.mode is not Mode.DISARMED:
            return Reply(self.mode is Mode.HOLD, f"the command node is in {self.mode.value}")
        if self._pressed:
            return Reply(False, "the emergency stop is pressed: release and reset it first")
        for arm in self._robot.arms:
            age = seconds(steady_ns - self._arrival_ns.get(arm.name, -(10**18)))
            if not age <= self._config.state_timeout_s:
                return Reply(False, f"no fresh state of arm '{arm.name}' on {arm.state_topic}")
        self._limiter.seed(np.concatenate([self._states[arm.name].position for arm in self._robot.arms]))
        self._enter(Mode.HOLD, steady_ns)
        return Reply(True, "armed; this is no certified safety function: keep the hardware e-stop at hand")

    def disarm(self) -> Reply:
        """Stop publishing, from any mode but a latched one."""
        if self.mode in (Mode.FAULT, Mode.ESTOP):
            return Reply(False, f"latched in {self.mode.value} ({self._latched.reason}): reset it instead")
        self._enter(Mode.DISARMED, 0)
        return Reply(True, "disarmed")

    def use(self, source: Mode, steady_ns: int) -> Reply:
        """Follow a source (`Mode.POLICY` or `Mode.TELEOP`); what it said before is dropped."""
        if self.mode not in (Mode.HOLD, Mode.POLICY, Mode.TELEOP):
            return Reply(False, f"cannot follow {source.value} in {self.mode.value}: arm first")
        self._enter(source, steady_ns)
        return Reply(True, f"following {source.value}")

    def estop(self, pressed: bool) -> Reply:
        """Press or release the emergency stop; pressing latches in every mode, releasing moves nothing."""
        self._pressed = pressed
        if pressed:
            self._latch(Mode.ESTOP, Verdict(Severity.ESTOP, "estop", "the emergency stop was pressed"))
            return Reply(True, "emergency stop")
        return Reply(True, "released; still latched until reset")

    def reset(self) -> Reply:
        """Leave a latched mode; ends disarmed."""
        if self._pressed:
            return Reply(False, "the emergency stop is pressed: release it first")
        if self.mode not in (Mode.FAULT, Mode.ESTOP):
            return Reply(False, f"nothing to reset in {self.mode.value}")
        if not self._limiter.at_rest:
            return Reply(False, "the arms are still coming to rest")
        self._latched = PASS
        self._enter(Mode.DISARMED, 0)
        return Reply(True, "reset; disarmed")

    def step(self, now_ns: int, steady_ns: int) -> CommandOutput:
        """Return what to publish in this cycle; `now_ns` is on the clock of the headers."""
        if self.mode is Mode.DISARMED or (self.mode is Mode.ESTOP and not self._arrival_ns):
            return CommandOutput(None, self.mode, self._latched, None)
        self._watch_clock(now_ns, steady_ns)
        source = self._source(now_ns, steady_ns)
        verdict = self._latched if self._latched is not PASS else self._judge(source, steady_ns)
        if source is not None and verdict.severity < Severity.HOLD:
            position = self._limiter.track(source)
        else:
            position = self._limiter.brake()
        due_ns = now_ns + nanoseconds(self._robot.control_period_s)
        command = Command(due_ns, position, self._limiter.velocity, self._limiter.acceleration)
        stamp = self._chunks.stamp_ns if self.mode is Mode.POLICY else None
        return CommandOutput(command, self.mode, verdict, stamp)

    def _watch_clock(self, now_ns: int, steady_ns: int) -> None:
        """Note when the clock of the headers last advanced; when it jumps back, what was planned on it is void."""
        if now_ns < self._now_ns - nanoseconds(_CLOCK_RESET_S):
            self._chunks.clear()
            self.refused["clock_reset"] += 1
        if now_ns != self._now_ns:
            self._now_ns, self._advanced_ns = now_ns, steady_ns

    def _refusal(self, chunk: ActionChunk, now_ns: int) -> str | None:
        """Return why a chunk is refused before the buffer looks at it, or None."""
        if not chunk.stamp_ns <= now_ns + nanoseconds(self._config.future_tolerance_s):
            return "future"
        if not self.mode.follows or chunk.position.ndim != 2 or chunk.position.shape[1] != self._robot.dof:
            return None
        probe = ChunkBuffer(self._robot.dof)
        start = probe.sample(now_ns) if probe.put(chunk, now_ns) is None else None
        if start is not None:
            step = np.abs(start[0] - self._limiter.position).max()
            if not step <= self._config.max_step_refuse:
                return "far"
        return None

    def _source(self, now_ns: int, steady_ns: int) -> Source | None:
        """Return the selected source as a function of the time from now, or None if it has nothing for now."""
        if self.mode is Mode.POLICY and self._chunks.sample(now_ns) is not None:
            return lambda ahead_s: self._chunks.sample_held(now_ns + nanoseconds(ahead_s))
        if self.mode is Mode.TELEOP and self._teleop is not None:
            sample, arrival_ns = self._teleop
            if seconds(steady_ns - arrival_ns) <= self._config.source_timeout_s:
                age_s = seconds(steady_ns - arrival_ns)
                return lambda ahead_s: (
                    sample.position + sample.velocity * (age_s + ahead_s),
                    sample.velocity,
                )
        return None

    def _judge(self, source: Source | None, steady_ns: int) -> Verdict:
        """Return the verdict of the checks; a hold that outlasts its grace becomes a latched fault."""
        context = Context(
            self._robot, self._config, steady_ns, self._limiter.position,
            None if source is None else source(0.0)[0], self.mode.follows, self._states, self._arrival_ns,
            self._observation_fault if self.mode is Mode.POLICY else "", steady_ns - self._advanced_ns,
        )  # fmt: skip
        verdict = strictest(self._checks, context)
        self._heard |= source is not None
        if verdict.severity < Severity.HOLD:
            self._hold_since_ns = None
            return verdict
        if self._hold_since_ns is None:
            self._hold_since_ns = steady_ns
        waiting = verdict.check == "source_fresh" and not self._heard
        grace = self._config.source_start_grace_s if waiting else self._config.hold_grace_s
        if verdict.severity >= Severity.FAULT or seconds(steady_ns - self._hold_since_ns) > grace:
            self._latch(Mode.FAULT, Verdict(Severity.FAULT, verdict.check, verdict.reason))
            return self._latched
        return verdict

    def _latch(self, mode: Mode, verdict: Verdict) -> None:
        if self._latched.severity < verdict.severity:
            self._latched = verdict
            self.mode = mode
            self._chunks.clear()

    def _enter(self, mode: Mode, steady_ns: int) -> None:
        self.mode = mode
        self._chunks.clear()
        self._teleop = None
        self._heard, self._hold_since_ns = False, None
