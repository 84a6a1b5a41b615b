"""What the command node says of itself: mode and reasons on change, counters and timing once a second."""

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import status_msg
from smp_bringup.nodes.realtime import Grant
from smp_bringup.robot import Robot
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.output import CommandOutput
from smp_bringup.stats import percentiles
from smp_bringup.types import FloatArray, Severity, Verdict

_STATE_PERIOD_NS = 100_000_000


class CommandReport:
    """Publishes command/state and gathers what /diagnostics shows."""

    def __init__(self, node: Node, robot: Robot) -> None:
        self._node, self._period_ms = node, robot.control_period_s * 1e3
        self._publisher = node.create_publisher(DiagnosticArray, "command/state", qos.STATE)
        self._said: tuple[object, ...] = ()
        self._followed_ns: int | None = None
        self._said_ns, self._last_ns, self._cycles = 0, 0, 0
        self._late_ms: list[float] = []
        self._skew_us: list[float] = []
        self._output: CommandOutput | None = None
        self._findings: tuple[Verdict, ...] = ()
        self._young = True
        self._turning = robot.turning
        self._jump_mrad = 0.0
        self._age_ms: list[float] = []

    def heard(self, age_ms: float) -> None:
        """Take how old the observation of a chunk was when the chunk arrived [ms]."""
        self._age_ms.append(age_ms)

    def jumped(self, jump: FloatArray) -> None:
        """Take by how much a chunk that was just followed moved the setpoint (J,)."""
        self._jump_mrad = max(self._jump_mrad, 1e3 * float(jump[self._turning].max(initial=0.0)))

    def cycle(self, output: CommandOutput, steady: int, sent_ns: Sequence[int]) -> None:
        """Take one cycle, and when the message of each arm was sent (steady clock)."""
        if self._last_ns:
            self._late_ms.append((steady - self._last_ns) / 1e6 - self._period_ms)
        if sent_ns:
            self._skew_us.append((sent_ns[-1] - sent_ns[0]) / 1e3)
        self._last_ns, self._cycles, self._output = steady, self._cycles + 1, output
        self._say(output, steady)

    def graph(self, findings: tuple[Verdict, ...], young: bool) -> None:
        """Log what the graph guard found, when it changes: of a young node, what may only not be there yet."""
        for finding in findings:
            if finding in self._findings and young == self._young:
                continue
            if young:
                self._log(DiagnosticStatus.OK, f"waiting, as after every start: {finding.reason}")
            else:
                level = DiagnosticStatus.ERROR if finding.severity >= Severity.REFUSE else DiagnosticStatus.WARN
                self._log(level, finding.reason)
        self._findings, self._young = findings, young

    def values(self, core: CommandCore, grants: Sequence[Grant], troubles: Sequence[str] = ()) -> dict[str, object]:
        """Return the counters since the start, the timing since the last call, and what else is to be warned of."""
        late, self._late_ms = sorted(self._late_ms), []
        skew, self._skew_us = sorted(self._skew_us), []
        jump, self._jump_mrad = self._jump_mrad, 0.0
        age, self._age_ms = self._age_ms, []
        level, trouble = _level(self._output)
        mode = core.mode if self._output is None else self._output.mode  # a request may have changed the core's since
        held = trouble if level == DiagnosticStatus.WARN else ""
        return {
            "mode": mode.value,
            "cycles": self._cycles,
            "late_ms": round(late[-1], 3) if late else 0.0,
            "late_p99_ms": round(late[int(0.99 * (len(late) - 1))], 3) if late else 0.0,
            "seam_jump_mrad": round(jump, 3),
            "skew_us": round(skew[-1], 1) if skew else 0.0,
            **{f"age_ms/chunk/{key}": value for key, value in percentiles(age).items()},
            **{f"realtime/{grant.option}": grant for grant in grants},
            **{f"refused/{cause}": count for cause, count in core.refused.items()},
            "error": trouble if level == DiagnosticStatus.ERROR else "",
            "warning": "; ".join(filter(None, (held, *(finding.reason for finding in self._findings), *troubles))),
        }

    def _say(self, output: CommandOutput, steady: int) -> None:
        """Publish mode and verdict ten times a second, and at once when they or the chunk in execution change."""
        verdict = output.verdict
        key = (output.mode, *((reason.check, reason.severity) for reason in output.reasons))
        fresh = output.chunk_stamp_ns != self._followed_ns
        self._followed_ns = output.chunk_stamp_ns
        level, trouble = _level(output)
        if key != self._said:
            self._log(level, f"{output.mode.value}: {verdict.check} {verdict.reason}".rstrip(" :"))
        elif not fresh and steady - self._said_ns < _STATE_PERIOD_NS:
            return
        self._said, self._said_ns = key, steady
        values = {
            "mode": output.mode.value,
            "severity": verdict.severity.name,
            "check": verdict.check,
            "reason": verdict.reason,
            "reasons": "; ".join(f"{reason.check}: {reason.reason}" for reason in output.reasons),
            "chunk_stamp_ns": output.chunk_stamp_ns or 0,
        }
        self._publisher.publish(status_msg(now_ns(self._node), "command", values, level, trouble))

    def _log(self, level: bytes, text: str) -> None:
        logger = self._node.get_logger()
        if level == DiagnosticStatus.ERROR:
            logger.error(text)
        elif level == DiagnosticStatus.WARN:
            logger.warning(text)
        else:
            logger.info(text)


def _level(output: CommandOutput | None) -> tuple[bytes, str]:
    """Return how bad it is, and why: a latched mode is an error, a hold is a warning."""
    if output is None or not (output.mode.latched or output.verdict.severity >= Severity.HOLD):
        return DiagnosticStatus.OK, ""
    reason = "; ".join(f"{verdict.check}: {verdict.reason}" for verdict in output.reasons)
    return DiagnosticStatus.ERROR if output.mode.latched else DiagnosticStatus.WARN, f"{output.mode.value}: {reason}"
