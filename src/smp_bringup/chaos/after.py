"""What state a fault must leave the command node in: with its cause there, once it is gone, and after a reset."""

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from smp_bringup.chaos.judged import Judged
from smp_bringup.client.answers import GraphError
from smp_bringup.nodes.base import now_ns
from smp_bringup.safety.modes import Mode
from smp_bringup.types import Severity

_LOOK_PERIODS = 6
"""Of the control loop: what holds for so long goes on."""
_WAIT_S = 8.0
_SILENT_S, _GIVEN_UP_S = 2.0, 4.0
"""Nothing may be published so long after disarming, and after arms that are lost came to rest."""
_REPORT_S = 3.0
_CALM = (Severity.PASS.name, Severity.WARN.name, Severity.LIMIT.name)
_LATCHED = {Mode.FAULT: Severity.FAULT.name, Mode.ESTOP: Severity.ESTOP.name}


@dataclass(frozen=True)
class After:
    """What must hold after the reaction to a fault.

    A latched mode stays when its cause has gone, its arms at rest, until a reset that is refused before and ends
    disarmed; who is disarmed publishes nothing; who follows moves the arms on.
    """

    mode: Mode | None = None
    """None: the source that it was told to follow last is followed."""
    check: str = ""
    """That latched the mode."""
    reason: str = ""
    """Part of the reason of a latched mode."""
    lasting: str = ""
    """Part of why a reset is refused while the cause is there; empty where no cause lasts."""
    published: bool = True
    """Whether a latched mode goes on to publish its standstill."""

    @property
    def latched(self) -> bool:
        """Whether only a reset leaves the mode."""
        return self.mode in _LATCHED


_RESET = After(Mode.DISARMED)


def judge_there(seen: Judged, after: After, wait: bool) -> None:
    """Judge the state while the cause is there; raises GraphError.

    Args:
        seen: the command node, which has reacted.
        after: what must hold.
        wait: for a report on /diagnostics; without, those are judged that come meanwhile.
    """
    if after.latched:
        _state(seen, after)
        seen.rest()
    moved, since_ns = seen.ear.moved, now_ns(seen.client)
    _output(seen, after)
    if after.lasting:
        _refused(seen, "reset", after.lasting)
    _end(seen, after, moved, since_ns, wait)


def judge_gone(seen: Judged, after: After, wait: bool) -> None:
    """Judge the state once the cause has gone, and after a reset; raises GraphError. As `judge_there`."""
    moved, since_ns = seen.ear.moved, now_ns(seen.client)
    _look(seen)
    _state(seen, after)
    _output(seen, after)
    _end(seen, after, moved, since_ns, False)
    if after.mode is None or not after.latched:
        return
    for request in ("arm", "disarm", "use_policy", "use_teleop"):
        _refused(seen, request, after.mode.value)
    _state(seen, after)
    seen.until(lambda: seen.client.accepts("reset"), _WAIT_S, "the reset")
    seen.until(lambda: seen.mode == Mode.DISARMED.value, _WAIT_S, "disarmed after the reset")
    since_ns = now_ns(seen.client)
    _output(seen, _RESET)
    _end(seen, _RESET, seen.ear.moved, since_ns, wait)


def _output(seen: Judged, after: After) -> None:
    """Wait for what must be published, or for silence."""
    if after.mode is None:
        seen.until(lambda: seen.at_speed or seen.mode != seen.source, _WAIT_S, "arms that are moved on")
    elif after.latched and after.published:
        heard = seen.ear.heard
        seen.until(lambda: seen.ear.heard >= heard + _LOOK_PERIODS, _WAIT_S, f"commands in {after.mode.value}")
    else:
        seen.silence(_GIVEN_UP_S if after.latched else _SILENT_S)


def _refused(seen: Judged, request: str, why: str) -> None:
    """Ask for what must be refused for a reason."""
    try:
        seen.client.trigger(f"/command/{request}")
    except GraphError as error:
        if why not in str(error):
            raise GraphError(f"{request} was to be refused since '{why}', it was since: {error}") from None
    else:
        raise GraphError(f"{request} was done that was to be refused: {why}")


def _end(seen: Judged, after: After, moved: int, since_ns: int, wait: bool) -> None:
    """Judge the state, what was heard of arms at rest, and reports that were stamped since."""
    if wait:
        seen.until(lambda: seen.ear.reports_since(since_ns) != [], _REPORT_S, "a report on /diagnostics")
    _state(seen, after)
    if seen.ear.moved > moved:
        raise GraphError(f"{seen.ear.moved - moved} commands moved arms at rest")
    for mode, level in seen.ear.reports_since(since_ns):
        if (mode, level == DiagnosticStatus.ERROR) != (_mode(seen, after), after.latched):
            raise GraphError(f"/diagnostics says {mode} at level {int.from_bytes(level)} in {_mode(seen, after)}")


def _mode(seen: Judged, after: After) -> str:
    return after.mode.value if after.mode else seen.source


def _state(seen: Judged, after: After) -> None:
    """Raise GraphError unless the state that the command node publishes is what must hold."""
    mode = _mode(seen, after)
    if after.mode is None:  # a busy machine may hold for a moment
        seen.until(lambda: _right(seen, after) or seen.mode != mode, _WAIT_S, f"{mode} without a hold")
    if not _right(seen, after):
        state, wanted = seen.client.command_state, f"{mode} ({after.check})" if after.latched else mode
        said = f"{state['mode']}: {state['severity']} {state['check']} {state['reason']}".rstrip()
        raise GraphError(f"expected {wanted}{f' since {after.reason!r}' if after.reason else ''}, it was {said}")


def _right(seen: Judged, after: After) -> bool:
    """Return whether the state that the command node publishes is what must hold."""
    state = seen.client.command_state
    if state["mode"] != _mode(seen, after):
        return False
    if after.mode in _LATCHED:
        due = _LATCHED[after.mode], after.check
        reason = state["reason"]
        given = bool(reason) and after.reason in reason and f"{after.check}: {reason}" in state["reasons"]
        return (state["severity"], state["check"]) == due and given
    if after.mode is None:
        return state["severity"] in _CALM
    return (state["severity"], state["reason"]) == (Severity.PASS.name, "")


def _look(seen: Judged) -> None:
    seen.client.spin_for(_LOOK_PERIODS * seen.robot.control_period_s)
