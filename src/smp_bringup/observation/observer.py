"""From aligned sets to observations, and when the next chunk is due: the same live, in lockstep and over a bag."""

import numpy as np

from smp_bringup.observation.builder import to_observation_size
from smp_bringup.robot import Robot
from smp_bringup.sync.history import History
from smp_bringup.types import AlignedSet, FloatArray, Observation, nanoseconds


class Observer:
    """Resizes and remembers sets, and says for which observations a chunk is due."""

    def __init__(self, robot: Robot, steps: int, replan_s: float, resized: bool = False) -> None:
        """Begin to remember.

        Args:
            robot: that is observed.
            steps: To.
            replan_s: replanning period [s].
            resized: whether sets come as the policy sees them, from sync: a crop is not taken twice.
        """
        self._resized = resized
        self._told = ""
        self._words: FloatArray | None = None
        self._robot, self._replan_ns = robot, nanoseconds(replan_s)
        self._history: History[AlignedSet] = History(steps, robot.action_period_s)
        self._last_ns: int | None = None

    @property
    def unseen(self) -> int:
        """Sets that ended no observation, because an instant before them was not seen."""
        return self._history.unseen

    def tell(self, sentence: str, words: FloatArray | None) -> None:
        """Let every observation from now on say what to do: the sentence, and its embedding (384,) if there is one."""
        self._told, self._words = sentence, words

    def observe(self, aligned: AlignedSet) -> Observation | None:
        """Take a set and return the observation that ends with it, due or not; None where there is none.

        Which sets make it up is decided by their stamps, see `sync.history`.
        """
        seen = aligned if self._resized else to_observation_size(aligned, self._robot)
        sets = self._history.push(aligned.stamp_ns, seen)
        if sets is None:
            return None
        return Observation(
            aligned.stamp_ns,
            {name: np.stack([s.images[name] for s in sets]) for name in sets[-1].images},
            np.stack([s.position for s in sets]),
            np.stack([s.velocity for s in sets]),
            vectors={name: np.stack([s.vectors[name] for s in sets]) for name in sets[-1].vectors},
            words=self._words,
            told=self._told,
        )

    def due(self, observation: Observation) -> bool:
        """Return whether a chunk is due for it: the last due one is at least the replanning period older.

        It then counts as the last due one.
        """
        early = self._last_ns is not None and 0 <= observation.stamp_ns - self._last_ns < self._replan_ns
        if not early:
            self._last_ns = observation.stamp_ns
        return not early

    def push(self, aligned: AlignedSet) -> Observation | None:
        """Take a set and return its observation if a chunk is due for it."""
        observation = self.observe(aligned)
        return observation if observation is not None and self.due(observation) else None

    def clear(self) -> None:
        """Forget everything (a new episode begins)."""
        self._history.clear()
        self._last_ns = None
