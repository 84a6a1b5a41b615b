"""Hands that are told by goals of an action: of which, and when a setpoint becomes a goal."""

from collections.abc import Sequence

from smp_bringup.errors import ConfigError
from smp_bringup.types import NS_PER_S

ACTIONS = {
    "gripper_command": "control_msgs/action/GripperCommand",
    "parallel_gripper_command": "control_msgs/action/ParallelGripperCommand",
}
"""Types of the actions by which a hand may be told, by `command_interface`."""

_STEP = 0.02
"""Share of its range by which a setpoint has gone before it is a goal again."""
_NEAR = 0.001
"""Share of its range that a setpoint which has come to rest may be beside the goal."""
_STILL = 0.01
"""Share of its range a second that a setpoint at rest may move."""
_PERIOD_NS = NS_PER_S // 10
"""Between two goals, for a server answers each and ends the one before; and as long a setpoint stands to be at rest."""


def feedback_topic(action: str) -> str:
    """Return the topic that whoever serves an action publishes: by it the server is known in the node graph."""
    return f"{action}/_action/feedback"


def check_told_by_goals(arm: str, interface: str, efforts: Sequence[float]) -> None:
    """Raise ConfigError unless the joints of an arm fit how it is told.

    Args:
        arm: its name.
        interface: its `command_interface`.
        efforts: how hard each of its joints may push.
    """
    if interface not in ACTIONS and any(efforts):
        raise ConfigError(
            f"arm '{arm}': driver.effort goes with goals only: {', '.join(ACTIONS)}; not with {interface}"
        )
    if interface in ACTIONS and len(efforts) > 1:
        raise ConfigError(
            f"arm '{arm}': {interface} tells one joint, not {len(efforts)}: its hand is an entry of its own under arms"
        )


class GoalPace:
    """Says when the setpoint of a hand becomes a goal: not as a stream, never long beside where it comes to rest."""

    def __init__(self, span: float) -> None:
        """Take the range of the hand's joint [m], or [rad]."""
        self._step, self._near, self._still = _STEP * span, _NEAR * span, _STILL * span
        self._goal: float | None = None
        self._not_before_ns = self._moved_ns = 0

    def due(self, position: float, velocity: float, steady_ns: int) -> bool:
        """Return whether a setpoint is to be sent now."""
        if abs(velocity) > self._still:
            self._moved_ns = steady_ns
        if steady_ns < self._not_before_ns:
            return False
        if self._goal is None:
            return True
        rests = steady_ns - self._moved_ns >= _PERIOD_NS
        return abs(position - self._goal) > (self._near if rests else self._step)

    def sent(self, position: float, steady_ns: int) -> None:
        """Take what was sent."""
        self._goal, self._not_before_ns = position, steady_ns + _PERIOD_NS

    def forget(self, not_before_ns: int = 0) -> None:
        """Send the next setpoint whatever it is, but not before a time."""
        self._goal, self._not_before_ns = None, max(self._not_before_ns, not_before_ns)
