"""What a state-track policy observes: joints and object poses, read straight from the world."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from smp_bringup.sim.world import World
from smp_bringup.types import FloatArray, Observation


@dataclass(frozen=True)
class _Instant:
    position: FloatArray
    velocity: FloatArray
    objects: FloatArray


class StateRing:
    """The last To instants, one action period apart: whoever looks keeps the period."""

    def __init__(self, world: World, steps: int) -> None:
        self._world, self._steps = world, steps
        self._ring: deque[_Instant] = deque(maxlen=steps)

    def look(self, now_ns: int) -> Observation | None:
        """Look at the world and return the observation that ends now; None until To instants were seen."""
        self._ring.append(_Instant(*self._world.joint_state(), self._world.objects()))
        if len(self._ring) < self._steps:
            return None
        return Observation(
            now_ns,
            {},
            np.stack([instant.position for instant in self._ring]),
            np.stack([instant.velocity for instant in self._ring]),
            np.stack([instant.objects for instant in self._ring]),
        )
