"""What a state-track policy observes: joints and object poses, read straight from the world."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.sim.simulator import Simulator
from smp_bringup.sync.history import History
from smp_bringup.types import FloatArray, Observation


@dataclass(frozen=True)
class _Instant:
    position: FloatArray
    velocity: FloatArray
    objects: FloatArray


class StateRing:
    """Remembers what was looked at."""

    def __init__(self, world: Simulator, steps: int, words: FloatArray | None = None) -> None:
        """Look at `world`, in windows of `steps`; `words` (384,) are said in each."""
        self._world, self._words = world, words
        self._history: History[_Instant] = History(steps, world.robot.action_period_s)

    def look(self, now_ns: int) -> Observation | None:
        """Look at the world and return the observation that ends now; None where an instant before was not seen."""
        instants = self._history.push(now_ns, _Instant(*self._world.joint_state(), self._world.objects()))
        if instants is None:
            return None
        return Observation(
            now_ns,
            {},
            np.stack([instant.position for instant in instants]),
            np.stack([instant.velocity for instant in instants]),
            np.stack([instant.objects for instant in instants]),
            words=self._words,
        )
