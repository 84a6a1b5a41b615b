"""The command core in the time of a bag: chunks arrive a little late, setpoints come out at the control period."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.action.planner import Plan, Planner
from smp_bringup.pipeline import build_command
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, FloatArray, JointSample, Severity, nanoseconds


@dataclass(frozen=True)
class Event:
    """Something that safety did."""

    stamp_ns: int
    severity: str
    check: str
    reason: str


@dataclass
class Setpoints:
    """What the command core made of the chunks, one row per control cycle that followed one."""

    stamp_ns: list[int] = field(default_factory=list)
    target: list[FloatArray] = field(default_factory=list)
    """(J,) wanted by the chunk."""
    command: list[FloatArray] = field(default_factory=list)
    """(J,) published."""
    jumps: list[tuple[int, FloatArray]] = field(default_factory=list)
    """At each change of chunk: its time, and new minus old setpoint (J,)."""
    events: list[Event] = field(default_factory=list)
    held: int = 0
    """Cycles in which a check held the arms."""
    refused: int = 0
    """Chunks that were not sent or not taken."""


class CommandClock:
    """Steps the command core through the time of a bag; log times serve as both of its clocks."""

    def __init__(self, robot: Robot, safety: SafetyConfig, latency_s: float, planner: Planner) -> None:
        """Follow what `planner` plans, and tell it what is followed; a chunk arrives `latency_s` after its stamp."""
        self._planner = planner
        self._robot, self._safety = robot, safety
        self._core = build_command(robot, safety, replayed=True)
        self._states: dict[str, tuple[JointSample, int]] = {}
        self._period_ns, self._latency_ns = nanoseconds(robot.control_period_s), nanoseconds(latency_s)
        self._flight: deque[ActionChunk] = deque()
        self._buffer = ChunkBuffer(robot.dof)
        self._said: tuple[str, str] = ("", "")
        self._next_ns: int | None = None
        self.out = Setpoints()

    def on_state(self, arm: str, sample: JointSample, now_ns: int) -> None:
        """Take the measured state of an arm."""
        self._states[arm] = sample, now_ns
        self._core.on_state(arm, sample, now_ns)

    def on_plan(self, plan: Plan, now_ns: int) -> None:
        """Take a plan; its chunk arrives the latency after its observation, if it is sent at all."""
        if plan.chunk is None:
            self._refuse(now_ns, "plan", plan.cause)
        else:
            self._flight.append(plan.chunk)

    def advance(self, now_ns: int) -> None:
        """Run the control cycles up to `now_ns`; a pause of more than a second in the bag is skipped."""
        if self._next_ns is None or now_ns - self._next_ns > nanoseconds(1.0) or now_ns < self._next_ns - 10**9:
            self._next_ns = now_ns
        while self._next_ns <= now_ns:
            self._cycle(self._next_ns)
            self._next_ns += self._period_ns

    def _cycle(self, now_ns: int) -> None:
        while self._flight and self._flight[0].stamp_ns + self._latency_ns <= now_ns:
            self._arm(now_ns)
            self._take(self._flight.popleft(), now_ns)
            self._follow(now_ns)
        output = self._core.step(now_ns, now_ns)
        verdict = output.verdict
        if (verdict.severity.name, verdict.check) != self._said:
            self._said = verdict.severity.name, verdict.check
            if verdict.severity > Severity.PASS:
                self.out.events.append(Event(now_ns, verdict.severity.name, verdict.check, verdict.reason))
        wanted = self._buffer.sample(now_ns)
        if output.command is None or wanted is None:
            return
        self.out.held += verdict.severity >= Severity.HOLD
        self.out.stamp_ns.append(now_ns)
        self.out.target.append(wanted[0])
        self.out.command.append(output.command.position)

    def _arm(self, now_ns: int) -> None:
        """Arm, again if need be: a fault ends one motion, not the evaluation."""
        if self._core.mode.latched:  # a reset would want the arms to be where the setpoint is
            self._core = build_command(self._robot, self._safety, replayed=True)
            self._planner.follows(None, now_ns)
            for arm, (sample, at_ns) in self._states.items():
                self._core.on_state(arm, sample, at_ns)
        if self._core.mode is Mode.DISARMED:
            self._core.arm(now_ns)

    def _follow(self, now_ns: int) -> None:
        """Follow the policy; where it wants to be elsewhere than the arms were when armed, they are armed anew."""
        if self._core.mode is not Mode.HOLD:
            return
        if not self._core.use(Mode.POLICY, now_ns, now_ns).ok:
            self._core.disarm()

    def _take(self, chunk: ActionChunk, now_ns: int) -> None:
        cause = self._core.on_chunk(chunk, now_ns, now_ns)
        if cause:
            self._refuse(now_ns, "chunk", cause)
            return
        self._planner.follows(chunk.stamp_ns, now_ns)
        before = self._buffer.sample(now_ns)
        self._buffer.put(chunk, now_ns)
        after = self._buffer.sample(now_ns)
        if before is not None and after is not None:
            self.out.jumps.append((now_ns, np.asarray(after[0] - before[0])))

    def _refuse(self, now_ns: int, check: str, cause: str) -> None:
        self.out.refused += 1
        self.out.events.append(Event(now_ns, "REFUSE", check, cause))
