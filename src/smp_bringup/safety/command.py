"""The command core: one setpoint for both arms per cycle, from one source, inside all limits.

Pure: stamps are those of message headers, `steady_ns` is a monotonic clock that the
caller reads; no watchdog looks at a stamp. Not a certified safety function.
"""

from collections import Counter

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.base import Context, SourceTrouble
from smp_bringup.safety.bounds import tolerances
from smp_bringup.safety.chain import judge, strictest
from smp_bringup.safety.checks.arm_distance import ArmDistance
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.estop import SERVICE, EmergencyStop
from smp_bringup.safety.header_clock import HeaderClock
from smp_bringup.safety.holds import HoldBudget
from smp_bringup.safety.inputs import AbstractInput, PolicyInput
from smp_bringup.safety.limits import MEETING_S, Limiter, Proposal
from smp_bringup.safety.modes import Mode, Reply
from smp_bringup.safety.motion import Motion
from smp_bringup.safety.observation_state import ObservationState
from smp_bringup.safety.output import CommandOutput
from smp_bringup.safety.states import States
from smp_bringup.safety.takeover import far, outside
from smp_bringup.safety.teleop_input import TeleopInput
from smp_bringup.safety.trim import Trim
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

_AHEAD_S = np.array([0.0, *MEETING_S])


class CommandCore:
    """Modes, sources, checks and limits of the command node."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        """Build the checks that `config` lists; raises ConfigError or UnknownNameError."""
        self._robot, self._config = robot, config
        self._limiter = Limiter(robot, config)
        self._checks = [CHECKS[name](robot, config) for name in config.checks]
        self._apart = [check for check in self._checks if isinstance(check, ArmDistance)]
        self._states, self._trim = States(robot, config), Trim(robot, config)
        self._motion, self._holds = Motion(robot, config, self._limiter, self._states), HoldBudget(config)
        self._policy, self._teleop = PolicyInput(robot, config), TeleopInput(robot, config)
        self._inputs: dict[Mode, AbstractInput] = {Mode.POLICY: self._policy, Mode.TELEOP: self._teleop}
        self.buttons = EmergencyStop()
        self._findings: tuple[Verdict, ...] = ()
        self._clock, self.observations = HeaderClock(), ObservationState()
        self._live = False  # whether the setpoint is published
        self._last_step_ns: int | None = None
        self._cycle, self._switched_cycle = 0, -1
        self._latched = PASS
        self.mode = Mode.DISARMED
        self.refused: Counter[str] = Counter()
        """Refused inputs by cause since start."""

    @property
    def left_out(self) -> list[str]:
        """Checks that the settings do not list, and what one of them does not look at."""
        pairs = [f"{check.name} of {what}" for check in self._checks for what in check.left_out]
        return [name for name in CHECKS if name not in self._config.checks] + pairs

    @property
    def resting(self) -> bool:
        """Whether the core is disarmed and publishes nothing."""
        return self.mode is Mode.DISARMED and not self._live

    @property
    def verdict(self) -> Verdict:
        """What latched the core, or `PASS`."""
        return self._latched

    @property
    def jump(self) -> FloatArray | None:
        """By how much (J,) the last chunk moved the setpoint of its first instant; None if nothing was followed."""
        return self._policy.jump

    def on_state(self, arm: str, sample: JointSample, steady_ns: int) -> str | None:
        """Take the measured state of one arm, or return why it is refused."""
        return self._count(f"state/{arm}", self._states.take(arm, sample, steady_ns))

    def hears(self, kind: Mode, source: str) -> bool:
        """Return whether a source of a kind may speak: what another holder of the lease sends needs no look."""
        heard = self._inputs[kind].lease.hears(source)
        if not heard:
            self._count({Mode.POLICY: "chunk", Mode.TELEOP: "teleop"}[kind], "lease")
        return heard

    def on_chunk(self, chunk: ActionChunk, now_ns: int, steady_ns: int, source: str = "") -> str | None:
        """Take a chunk of the policy, or return why it is refused (the chunk in execution goes on)."""
        if not self._policy.lease.hears(source):
            return self._count("chunk", "lease")
        self._look_at_clock(now_ns, steady_ns)
        setpoint = self._limiter.position + self._trim.offset if self.mode.follows else None
        return self._count("chunk", self._policy.take(chunk, setpoint, now_ns, steady_ns, source))

    def on_teleop(self, sample: JointSample, now_ns: int, steady_ns: int, source: str = "") -> str | None:
        """Take a setpoint (J,) of the teleoperation, or return why it is refused."""
        if not self._teleop.lease.hears(source):
            return self._count("teleop", "lease")
        return self._count("teleop", self._teleop.take(sample, now_ns, steady_ns, source))

    def on_malformed(self, kind: Mode, cause: str, source: str = "") -> str:
        """Hear of a message of a source that could not be read; the followed source breaks its contract with it."""
        heard = self._inputs[kind].lease.hears(source)
        if heard:
            self._inputs[kind].refused(f"malformed: {cause}")
        return self._count(kind.value, "malformed" if heard else "lease") or ""

    def on_bad_state(self, arm: str, cause: str) -> None:
        """Hear of a measured state that could not be read; "nonfinite" counts towards a fault."""
        self._states.refused(arm, cause)
        self.refused[f"state/{arm}"] += 1

    def on_observation_state(self, fault: str, source: str = "") -> None:
        """Take why a publisher says that the policy's observations must not be acted on, or "" when they may."""
        self.observations.said(source, fault)

    def on_graph(self, findings: tuple[Verdict, ...]) -> None:
        """Take what is wrong with the node graph; it stays until the next call."""
        self._findings = findings

    def arm(self, steady_ns: int) -> Reply:
        """Start publishing: seed the setpoint from the measured pose and hold it."""
        if self.mode is not Mode.DISARMED:
            return Reply(self.mode is Mode.HOLD, f"the command node is in {self.mode.value}")
        if self.buttons.pressed:
            return Reply(False, f"the emergency stop is pressed ({self.buttons.channels}): release and reset it first")
        if self._live:
            return Reply(False, "the arms are still coming to rest")
        unknown = [] if self._states.complete else ["not every arm has reported its state"]
        causes = self._objections(steady_ns, Severity.REFUSE) or unknown
        causes = causes or outside(self._robot, self._limiter.bounds, self._states.position())
        if causes:
            return Reply(False, "; ".join(causes))
        self._motion.seed(steady_ns)
        self._trim.seed()
        self._holds.clear()
        self._live = True
        self._enter(Mode.HOLD)
        return Reply(True, "armed; this is no certified safety function: keep the hardware e-stop at hand")

    def disarm(self) -> Reply:
        """Come to rest and stop publishing, from any mode but a latched one."""
        if self.mode.latched:
            return Reply(False, f"latched in {self.mode.value} ({self._latched.reason}): reset it instead")
        self._enter(Mode.DISARMED)
        self._live &= not self._limiter.at_rest
        return Reply(True, "disarmed once the arms rest" if self._live else "disarmed")

    def hold(self) -> Reply:
        """Follow nobody any more: come to rest and hold that pose, armed."""
        if not self.mode.armed:
            return Reply(False, f"cannot hold in {self.mode.value}: {'reset' if self.mode.latched else 'arm'} first")
        self._enter(Mode.HOLD)
        return Reply(True, "holding" if self._limiter.at_rest else "holding once the arms rest")

    def use(self, source: Mode, now_ns: int, steady_ns: int) -> Reply:
        """Follow a source (`Mode.POLICY` or `Mode.TELEOP`) that speaks, alone, near the setpoint."""
        if not self.mode.armed:
            return Reply(False, f"cannot follow {source.value} in {self.mode.value}: arm first")
        if self.mode is source:
            return Reply(True, f"following {source.value} already")
        if self.mode is Mode.HOLD and not self._limiter.at_rest:
            return Reply(False, "the arms are still coming to rest")
        if self._switched_cycle == self._cycle:
            return Reply(False, "busy: the source was changed in this cycle")
        wanted = self._trim.trimmed(self._inputs[source].ahead(now_ns, steady_ns, _AHEAD_S))
        if wanted is None:
            return Reply(False, f"{source.value} gives no setpoint for now: start it first")
        bound = tolerances(self._robot, self._config, "max_switch_step" if self.mode.follows else "max_step_refuse")
        gap = far(self._robot, self._limiter.bounds, wanted[0][0], self._limiter.position, bound)
        if gap:
            return Reply(False, f"{source.value} {gap}")
        grant = self._inputs[source].lease.grant(source.value, steady_ns, self._inputs[source].speaker)
        if not grant.ok:
            return grant
        if self.mode is Mode.HOLD:
            self._motion.ramp_in(steady_ns)
        else:
            self._inputs[self.mode].clear()
        for mode, other in self._inputs.items():
            if mode is not source:
                other.lease.release()
        self._switched_cycle = self._cycle
        self.mode = source
        self._holds.resume()
        self._inputs[source].begin()
        return Reply(True, f"following {source.value}")

    def estop(self, pressed: bool, channel: str = SERVICE) -> Reply:
        """Press or release one button; pressing latches the emergency stop in every mode, releasing moves nothing."""
        self.buttons.set(channel, pressed)
        if pressed:
            self._latch(Mode.ESTOP, Verdict(Severity.ESTOP, "estop", f"the emergency stop was pressed ({channel})"))
            return Reply(True, "emergency stop")
        if self.buttons.pressed:
            return Reply(True, f"released here; still pressed: {self.buttons.channels}")
        return Reply(True, "released; a latched stop stays until reset")

    def estop_heard(self, steady_ns: int, channel: str = "topic") -> None:
        """Take a heartbeat of the emergency stop of one publisher."""
        self.buttons.heard(steady_ns, channel)

    def reset(self, steady_ns: int) -> Reply:
        """Leave a latched mode; ends disarmed. Refused while a cause is still there; the answer lists them all."""
        if not self.mode.latched:
            return Reply(False, f"nothing to reset in {self.mode.value}")
        causes = [f"the emergency stop is pressed ({self.buttons.channels})"] if self.buttons.pressed else []
        if not self._limiter.at_rest:
            causes.append("the arms are still coming to rest")
        causes += self._objections(steady_ns, Severity.HOLD)
        if causes:
            return Reply(False, "; ".join(causes))
        self._latched, self._live = PASS, False
        self._enter(Mode.DISARMED)
        return Reply(True, "reset; disarmed")

    def step(self, now_ns: int, steady_ns: int) -> CommandOutput:
        """Return what to publish in this cycle; `now_ns` is on the clock of the headers."""
        late_s = self._lateness(steady_ns)
        self._cycle += 1
        self._look_at_clock(now_ns, steady_ns)
        if self._live:
            reasons = self._move(now_ns, steady_ns, late_s)
            setpoint = self._limiter.position, self._limiter.velocity, self._limiter.acceleration
            due_ns = now_ns + nanoseconds(self._robot.control_period_s)
            command = None if self._motion.away else Command(due_ns, *setpoint)
            rests = self.mode is Mode.DISARMED and self._limiter.at_rest
            self._live = not rests and not self._motion.estranged
        else:
            reasons, command = (() if self._latched is PASS else (self._latched,)), None
        self._states.forget_jumps()
        stamp = self._policy.stamp_ns if self.mode is Mode.POLICY else None
        return CommandOutput(command, self.mode, strictest(reasons), stamp, reasons)

    def _move(self, now_ns: int, steady_ns: int, late_s: float) -> tuple[Verdict, ...]:
        """Take one step, of the source or of a stop; return the objections."""
        self._motion.look(self.mode.latched, steady_ns)
        if not self.mode.armed:
            self._limiter.take(self._stop(steady_ns))
            return (self._latched,) if self.mode.latched else ()
        said = self._inputs[self.mode].ahead(now_ns, steady_ns, _AHEAD_S) if self.mode.follows else None
        wanted = self._trim.trimmed(said)
        target = None if wanted is None else wanted[0][0]
        step = None if wanted is None else self._motion.towards(*wanted, steady_ns)
        reasons = judge(self._checks, self._context(steady_ns, late_s, target, step))
        self._motion.speed = min((verdict.speed for verdict in reasons), default=1.0)
        latched = self._grace(strictest(reasons), steady_ns)
        stopped = step is None or strictest(reasons).severity >= Severity.HOLD
        if not stopped:
            self._trim.look(self._limiter.position, self._states.position())
        self._limiter.take(self._motion.stop() if step is None or stopped else step)
        return (latched,) if latched is not PASS else tuple(reasons)

    def _stop(self, steady_ns: int) -> Proposal:
        """Return the step of a stop; where it would bring links too near to each other, sagged arms are given up."""
        step, goal = self._motion.stop(), self._motion.goal
        if goal is None:
            return step
        context = Context(steady_ns, self._limiter.position, self._states.arms, target=goal, path=step.path)
        if strictest(judge(self._apart, context)).severity < Severity.HOLD:
            return step
        self._motion.give_up()
        return self._motion.stop()

    def _context(
        self, steady_ns: int, late_s: float = 0.0, target: FloatArray | None = None, step: Proposal | None = None
    ) -> Context:
        trouble = self._inputs[self.mode].trouble if self.mode.follows else SourceTrouble()
        return Context(
            steady_ns,
            self._limiter.position,
            self._states.arms,
            self.mode.follows,
            target,
            None if step is None else step.path,
            trouble,
            self._states.nonfinite,
            late_s,
            self.buttons.silence_s(steady_ns),
            self._inputs[self.mode].silence(steady_ns) if self.mode.follows else "",
            self._inputs[self.mode].came_back() if self.mode.follows else frozenset(),
            self.observations.fault if self.mode is Mode.POLICY else "",
            self._clock.still_ns(steady_ns),
            self._findings,
        )

    def _grace(self, verdict: Verdict, steady_ns: int) -> Verdict:
        """Latch a fault, or holds that outlast their grace; return what is latched, or `PASS`."""
        outlasts = self._holds.exceeded(verdict.severity >= Severity.HOLD, steady_ns)
        if verdict.severity >= Severity.FAULT or outlasts:
            often = f" ({outlasts})" if outlasts else ""
            self._latch(Mode.FAULT, Verdict(Severity.FAULT, verdict.check, verdict.reason + often))
        return self._latched

    def _objections(self, steady_ns: int, least: Severity) -> list[str]:
        """Return what the checks hold against starting where the arms are measured, and which of them move."""
        at = self._states.position() if self._states.complete else self._limiter.position
        context = Context(
            steady_ns,
            at,
            self._states.arms,
            nonfinite_states=self._states.nonfinite,
            estop_silence_s=self.buttons.silence_s(steady_ns),
            findings=self._findings,
        )
        return [v.reason for v in judge(self._checks, context) if v.severity >= least] + self._states.moving()

    def _look_at_clock(self, now_ns: int, steady_ns: int) -> None:
        """Drop what was planned on a clock of the headers that has been set back."""
        if self._clock.watch(now_ns, steady_ns):
            self._policy.clear()
            self.refused["clock_reset"] += 1

    def _lateness(self, steady_ns: int) -> float:
        """Return how late this cycle is [s]."""
        last, self._last_step_ns = self._last_step_ns, steady_ns
        return 0.0 if last is None else seconds(steady_ns - last) - self._robot.control_period_s

    def _count(self, what: str, cause: str | None) -> str | None:
        if cause is not None:
            self.refused[what if what.startswith("state/") else f"{what}/{cause}"] += 1
        return cause

    def _latch(self, mode: Mode, verdict: Verdict) -> None:
        if self._latched.severity < verdict.severity:
            self._latched = verdict
            self._enter(mode)

    def _enter(self, mode: Mode) -> None:
        """Enter a mode that follows no source: all leases end, and nothing that was said is kept."""
        self.mode = mode
        self._motion.speed = 1.0
        for source in self._inputs.values():
            source.clear()
            source.lease.release()
