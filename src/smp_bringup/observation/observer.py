"""From aligned sets to observations that are due: resize, remember, and keep the replanning period."""

from smp_bringup.observation.builder import to_observation_size
from smp_bringup.robot import Robot
from smp_bringup.sync.history import History
from smp_bringup.types import AlignedSet, Observation, nanoseconds


class Observer:
    """Says for which observations a chunk is due; the same live, in lockstep and over a bag."""

    def __init__(self, robot: Robot, steps: int, replan_s: float) -> None:
        self._robot, self._replan_ns = robot, nanoseconds(replan_s)
        self._history = History(steps, robot.action_period_s)
        self._last_ns: int | None = None

    def push(self, aligned: AlignedSet) -> Observation | None:
        """Take a set; return its observation if the last due one is at least the replanning period older."""
        observation = self._history.push(to_observation_size(aligned, self._robot))
        if observation is None:
            return None
        early = self._last_ns is not None and 0 <= observation.stamp_ns - self._last_ns < self._replan_ns
        if early:
            return None
        self._last_ns = observation.stamp_ns
        return observation

    def clear(self) -> None:
        """Forget everything (a new episode begins)."""
        self._history.clear()
        self._last_ns = None
