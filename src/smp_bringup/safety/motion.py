"""How the setpoint moves: after a source, slower soon after a take-over; and after arms that sag in a latched stop."""

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.limits import MEETING_S, Limiter, Proposal
from smp_bringup.safety.sag import Sag, Stand
from smp_bringup.safety.states import States
from smp_bringup.types import FloatArray, seconds


class Motion:
    """Proposes the next step of the setpoint."""

    def __init__(self, robot: Robot, config: SafetyConfig, limiter: Limiter, states: States) -> None:
        self._config, self._limiter, self._states = config, limiter, states
        self._sag = Sag(robot, config, limiter.bounds)
        self._ramp_since_ns = 0
        self.speed = 1.0
        """Share of the speed limits that the checks leave."""

    def seed(self, steady_ns: int) -> None:
        """Begin where the arms are measured."""
        self._limiter.seed(self._states.position())
        self._sag.seed(self._states.position(), steady_ns)

    def ramp_in(self, steady_ns: int) -> None:
        """Begin slowly: a source is taken over from rest."""
        self._ramp_since_ns = steady_ns

    @property
    def estranged(self) -> bool:
        """Whether the arms stand far from the resting setpoint of a latched stop, and have not sagged."""
        return self._sag.estranged and self._limiter.at_rest

    @property
    def away(self) -> bool:
        """Whether arms have left the setpoint of a latched stop by themselves, and it is not where they lie yet."""
        return self._sag.away

    @property
    def goal(self) -> FloatArray | None:
        """(J,) where arms sagged to, while the setpoint goes there."""
        return self._sag.goal

    def give_up(self) -> None:
        """Go after sagged arms no more: the way to them is not clear."""
        self._sag.goal, self._sag.estranged = None, True

    def towards(self, position: FloatArray, velocity: FloatArray, steady_ns: int) -> Proposal | None:
        """Return the step to positions and velocities (5, J) now and at `MEETING_S`; None where one is not finite."""
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            return None
        start = self._config.ramp_in_start
        elapsed = seconds(steady_ns - self._ramp_since_ns) / self._config.ramp_in_s
        speed = min(self.speed, start + (1 - start) * min(1.0, elapsed))
        return self._limiter.propose(position[1:], velocity[1:], speed)

    def stop(self) -> Proposal:
        """Return the step to rest, or after arms that have left a latched stop by themselves."""
        if self.goal is None:
            return self._limiter.propose_stop()
        where = np.tile(self.goal, (len(MEETING_S), 1))
        return self._limiter.propose(where, np.zeros_like(where), self._config.ramp_in_start)

    def look(self, latched: bool, steady_ns: int) -> None:
        """Begin a cycle: see where the arms are, as far as that is known, in a latched stop or not."""
        if self._states.complete and self._states.oldest_s(steady_ns) <= self._config.state_timeout_s:
            stopped = latched and self._limiter.at_rest
            rests = stopped and not self._states.moving()
            where = self._limiter.position, self._states.position()
            self._sag.look(Stand(*where, self._states.jumped, rests, stopped), steady_ns)
