"""The output law: every setpoint keeps position, velocity, acceleration and jerk limits.

Each cycle plans to meet the source where it will be a little later, with its velocity
there, and takes the first step of that plan. Planning to where the source is *now*
would always arrive late and, being time-optimal, chatter at the jerk limit. The
nearest of a few meeting times that can be kept is taken: a time-synchronised,
jerk-limited motion cannot take just any duration.

A step is taken only if the joints could still stop inside their position limits after it;
otherwise they brake. By induction no setpoint ever leaves the limits.

The joints of all arms are one problem synchronised in time, which keeps the direction
of a motion that has to be slowed down; the grippers are another, since a gripper step
of a centimetre must not slow both arms.

Rates, of a base that drives, are a third. Their value is a velocity, and so their law is the
same one derivative higher: velocity, acceleration and jerk of the base are limited. They stop
by going to 0, while the joints of arms stop where they are: one plan of ruckig, to a velocity of 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Synchronization, Trajectory

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import FloatArray

MEETING_S = (0.04, 0.06, 0.1, 0.2)
"""Times from now at which the source may be met."""
_LATE = 1.001
"""A plan that takes so much longer than its meeting time still counts as on time."""

_SLACK = 1e-9
"""Rounding of ruckig's plans at a position limit."""

_REST = 1e-9
"""Share of the limits below which a joint does not move: rounding, and numbers too small to go away."""

_MARGIN = 0.8
"""Share of the deceleration that approaching a position limit counts on; the rest pays for the jerk phases."""


@dataclass(frozen=True)
class Proposal:
    """One step that may be taken, and the stop that could follow it."""

    position: FloatArray
    """(J,) after the step."""
    velocity: FloatArray
    acceleration: FloatArray
    path: FloatArray
    """(K, J) setpoints, cycle by cycle: the step, then the stop that could follow it, to rest."""


class _Group:
    """Joints that are limited together; `index` selects them from an array over all joints."""

    value = 0
    """Which part of ruckig's states, position, velocity and acceleration, is a joint's value."""

    def __init__(self, index: NDArray[np.intp], period_s: float, low: FloatArray, high: FloatArray) -> None:
        self.index, self.period_s = index, period_s
        self.low, self.high = low[index] - _SLACK, high[index] + _SLACK
        self.otg = Ruckig(len(index), period_s)
        self.follow, self.stop = InputParameter(len(index)), InputParameter(len(index))
        self.follow.target_acceleration = np.zeros(len(index))
        self.stop.control_interface = ControlInterface.Velocity
        self.stop.synchronization = Synchronization.No  # every joint as soon as it can
        self.follow_plan, self.stop_plan = Trajectory(len(index)), Trajectory(len(index))

    def limit(self, velocity: FloatArray, acceleration: FloatArray, jerk: FloatArray) -> None:
        """Set the limits of all plans from arrays over all joints."""
        for plan in (self.follow, self.stop):
            plan.max_velocity, plan.max_acceleration = velocity[self.index], acceleration[self.index]
            plan.max_jerk = jerk[self.index]

    def slow(self, velocity: FloatArray) -> None:
        """Set the velocity limit of what follows a source; a stop needs none."""
        self.follow.max_velocity = velocity[self.index]

    def start(self, position: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """Let all plans begin at a state of all joints."""
        i = self.index
        for plan in (self.follow, self.stop):
            plan.current_position, plan.current_velocity = position[i], velocity[i]
            plan.current_acceleration = acceleration[i]

    def aim(self, position: FloatArray, velocity: FloatArray) -> None:
        """Let what follows a source go to a position (n,), with a velocity (n,) there."""
        self.follow.target_position, self.follow.target_velocity = position, velocity

    def after_step(self, plan: Trajectory) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return position, velocity and acceleration (n,) one period into a plan."""
        position, velocity, acceleration = plan.at_time(self.period_s)[:3]
        return position, velocity, acceleration

    def plan(self, position: FloatArray, velocity: FloatArray) -> tuple[Trajectory, FloatArray]:
        """Return a plan to the first aim that can be met, and the path (K, n) of a step of it and a stop after it.

        A plan that could not be stopped inside the position limits gives way to the plan to rest.

        Args:
            position: (4, J) of the aims, at `MEETING_S`.
            velocity: (4, J) there.
        """
        planned = False
        position, velocity = position[:, self.index], velocity[:, self.index]
        for meeting_s, *aim in zip(MEETING_S, position, velocity, strict=True):
            self.aim(*aim)
            self.follow.minimum_duration = meeting_s
            planned = self._calculate(self.follow, self.follow_plan)
            if planned and self.follow_plan.duration <= meeting_s * _LATE:
                break
        path = self._path_after_step() if planned else None
        if path is None or not ((path >= self.low).all() and (path <= self.high).all()):
            return self.plan_stop()
        return self.follow_plan, path

    def plan_stop(self) -> tuple[Trajectory, FloatArray]:
        """Return the plan to rest and its path (K, n)."""
        if not self._calculate(self.stop, self.stop_plan):
            raise RuntimeError("ruckig cannot bring the joints to rest")
        return self.stop_plan, self._sampled(1)

    def _path_after_step(self) -> FloatArray | None:
        """Return the path of a stop that begins one period into the followed plan; None if there is no such stop."""
        now = self.stop.current_position, self.stop.current_velocity, self.stop.current_acceleration
        state = self.follow_plan.at_time(self.period_s)[:3]
        self.stop.current_position, self.stop.current_velocity, self.stop.current_acceleration = state
        planned = self._calculate(self.stop, self.stop_plan)
        self.stop.current_position, self.stop.current_velocity, self.stop.current_acceleration = now
        return self._sampled(0) if planned else None

    def _sampled(self, first: int) -> FloatArray:
        """Return the positions (K, n) of the stop plan, cycle by cycle from cycle `first` to rest."""
        last = max(first, int(self.stop_plan.duration / self.period_s) + 1)
        return np.array([self.stop_plan.at_time(k * self.period_s)[self.value] for k in range(first, last + 1)])

    def _calculate(self, given: InputParameter, plan: Trajectory) -> bool:
        """Return whether ruckig found a plan; it finds none for some targets that no robot would be given."""
        try:
            return self.otg.calculate(given, plan) in (Result.Working, Result.Finished)
        except RuckigError:
            return False


class _Rates(_Group):
    """Rates: their value is what ruckig calls a velocity, and so every plan of them is one to a velocity."""

    value = 1

    def limit(self, velocity: FloatArray, acceleration: FloatArray, jerk: FloatArray) -> None:
        """As of `_Group`; nothing limits the third derivative."""
        for plan in (self.follow, self.stop):
            plan.control_interface = ControlInterface.Velocity
            plan.max_velocity = np.maximum(self.high, -self.low)
            plan.max_acceleration, plan.max_jerk = velocity[self.index], acceleration[self.index]

    def slow(self, velocity: FloatArray) -> None:
        """Change nothing: slower is who is led to a slower value, and accelerates as ever."""

    def start(self, position: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """As of `_Group`."""
        for plan in (self.follow, self.stop):
            plan.current_velocity, plan.current_acceleration = position[self.index], velocity[self.index]

    def aim(self, position: FloatArray, velocity: FloatArray) -> None:
        """As of `_Group`."""
        self.follow.target_velocity, self.follow.target_acceleration = position, velocity

    def after_step(self, plan: Trajectory) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As of `_Group`; of the second derivative no plan needs to know."""
        value, slope = plan.at_time(self.period_s)[1:3]
        return value, slope, np.zeros_like(slope)


class Limiter:
    """Follows targets from the last published setpoint under limits, one control period at a time."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        """Take the limits in force; raises ConfigError like `bounds`."""
        self._period_s = robot.control_period_s
        self.bounds = bounds(robot, config)
        self._rates, grippers = robot.rates, np.array([joint.gripper for joint in robot.joints])
        self._groups = [
            kind(np.flatnonzero(mask), self._period_s, self.bounds.low, self.bounds.high)
            for mask, kind in ((~grippers & ~self._rates, _Group), (grippers, _Group), (self._rates, _Rates))
            if mask.any()
        ]
        for group in self._groups:
            group.limit(self.bounds.velocity, self.bounds.acceleration, self.bounds.jerk)
        self._speed = 1.0
        self.seed((self.bounds.low + self.bounds.high) / 2)

    def seed(self, position: FloatArray) -> None:
        """Start at rest from `position` (J,), brought inside the limits; rates start at 0."""
        self.position = np.where(self._rates, 0.0, np.clip(position, self.bounds.low, self.bounds.high))
        self.velocity = np.zeros_like(self.position)
        self.acceleration = np.zeros_like(self.position)

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint does not move: `take` leaves nothing of what is too slow to be motion."""
        return not (self.velocity.any() or self.acceleration.any() or self.position[self._rates].any())

    def propose(self, position: FloatArray, velocity: FloatArray, speed: float = 1.0) -> Proposal:
        """Return the step towards meeting a source at a share of the velocity limits.

        Args:
            position: (4, J) of the source at `MEETING_S`, finite.
            velocity: (4, J) there.
            speed: share of the velocity limits.
        """
        if speed != self._speed:
            self._speed = speed
            for group in self._groups:
                group.slow(self.bounds.velocity * speed)
        share = np.where(self._rates, speed, 1.0)
        low, high = self.bounds.low * share, self.bounds.high * share
        inside = np.minimum(np.maximum(position, low), high)
        moves = (inside == position) & (np.abs(velocity) > _REST * self.bounds.velocity)
        meeting = np.where(moves, self._stoppable(inside, velocity), 0.0)
        return self._propose(lambda group: group.plan(inside, meeting))

    def propose_stop(self) -> Proposal:
        """Return the step of the fastest stop that the limits allow; nothing changes once at rest."""
        if self.at_rest:
            return Proposal(self.position, self.velocity, self.acceleration, self.position[None])
        return self._propose(_Group.plan_stop)

    def take(self, step: Proposal) -> FloatArray:
        """Take a step that was proposed from the present state; return the new setpoint (J,)."""
        slow = np.abs(step.velocity) <= _REST * self.bounds.velocity
        rests = slow & (np.abs(step.acceleration) <= _REST * self.bounds.acceleration)
        nothing = self._rates & rests & (np.abs(step.position) <= _REST * (self.bounds.high - self.bounds.low))
        self.position = np.where(nothing, 0.0, step.position)
        self.velocity, self.acceleration = np.where(rests, 0.0, step.velocity), np.where(rests, 0.0, step.acceleration)
        return self.position

    def _stoppable(self, position: FloatArray, velocity: FloatArray) -> FloatArray:
        """Return velocities (K, J) at positions (K, J) so that a joint can still stop before its position limit."""
        acceleration = self.bounds.acceleration
        room = np.where(velocity > 0, self.bounds.high - position, position - self.bounds.low)
        reach = np.sqrt(2 * _MARGIN * acceleration * np.maximum(room, 0)) - acceleration**2 / self.bounds.jerk
        bound = np.minimum(np.maximum(reach, 0), self.bounds.velocity * self._speed * 0.999)
        return np.minimum(np.maximum(velocity, -bound), bound)

    def _propose(self, plan: Callable[[_Group], tuple[Trajectory, FloatArray]]) -> Proposal:
        """Join one period of every group's plan, and their paths; a group at rest waits for the others."""
        position, velocity, acceleration = (np.empty_like(self.position) for _ in range(3))
        paths = []
        for group in self._groups:
            group.start(self.position, self.velocity, self.acceleration)
            i = group.index
            trajectory, path = plan(group)
            position[i], velocity[i], acceleration[i] = group.after_step(trajectory)
            paths.append(path)
        rows = max(len(path) for path in paths)
        joined = np.empty((rows, len(self.position)))
        for group, path in zip(self._groups, paths, strict=True):
            joined[: len(path), group.index], joined[len(path) :, group.index] = path, path[-1]
        return Proposal(position, velocity, acceleration, joined)
