"""What the arms report: the newest good sample of each, and what was wrong with the others."""

from collections import deque
from dataclasses import replace

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import ArmState
from smp_bringup.safety.bounds import tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.inputs import sane
from smp_bringup.sync.checks import known_velocity
from smp_bringup.sync.stamps import StampOrder
from smp_bringup.types import FloatArray, JointSample, nanoseconds, seconds

NONFINITE = "nonfinite"
_REST_S = 0.05
"""An arm that has not moved for so long rests."""
_MOST = 256
"""States of an arm in that time."""


class States:
    """The measured states of all arms."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        self._robot = robot
        self._speed = robot.slopes[0]
        self._max_jump = np.where(robot.rates, np.inf, tolerances(robot, config, "max_state_jump"))  # a base is pushed
        self._rest = tolerances(robot, config, "max_rest_speed")
        self._orders = {arm.name: StampOrder() for arm in robot.arms}
        self._recent: dict[str, deque[tuple[int, FloatArray]]] = {a.name: deque(maxlen=_MOST) for a in robot.arms}
        self.arms: dict[str, ArmState] = {}
        self.nonfinite: dict[str, int] = {}
        """States in a row of each arm that were not finite."""

    @property
    def complete(self) -> bool:
        """Whether every arm has reported."""
        return len(self.arms) == len(self._robot.arms)

    @property
    def jumped(self) -> bool:
        """Whether a measured position jumped since the last cycle."""
        return any(state.jump for state in self.arms.values())

    def take(self, arm: str, sample: JointSample, steady_ns: int) -> str | None:
        """Take a state, or return why it is refused: "shape", "nonfinite" or "older"."""
        sample = replace(sample, velocity=known_velocity(sample.position, sample.velocity))
        if not sample.position.shape == sample.velocity.shape == (len(self._robot.arm(arm).joints),):
            return "shape"
        if not (sane(sample.position) and sane(sample.velocity)):
            self.refused(arm, NONFINITE)
            return NONFINITE
        self.nonfinite[arm] = 0
        last, recent = self.arms.get(arm), self._recent[arm]
        if not self._orders[arm].admits(sample.stamp_ns):
            if last is not None:
                self.arms[arm] = replace(last, older_ns=steady_ns)
            return "older"
        jump = "" if last is None else last.jump or self._jump(arm, last, sample, steady_ns)
        self.arms[arm] = ArmState(sample, steady_ns, jump)
        recent.append((steady_ns, sample.position))
        while len(recent) > 2 and steady_ns - recent[0][0] > nanoseconds(_REST_S):
            recent.popleft()
        return None

    def refused(self, arm: str, cause: str) -> None:
        """Hear of a state that was refused before it got here."""
        self.nonfinite[arm] = self.nonfinite.get(arm, 0) + 1 if cause == NONFINITE else 0

    def forget_jumps(self) -> None:
        """Begin a cycle: jumps have been judged."""
        for name, state in self.arms.items():
            if state.jump:
                self.arms[name] = replace(state, jump="")

    def position(self) -> FloatArray:
        """Return the measured pose (J,) of all arms; raises KeyError where one has not reported."""
        return np.concatenate([self.arms[arm.name].sample.position for arm in self._robot.arms])

    def oldest_s(self, steady_ns: int) -> float:
        """Return the age of the oldest of the arms' newest states [s]."""
        return max((seconds(steady_ns - state.arrival_ns) for state in self.arms.values()), default=np.inf)

    def moving(self) -> list[str]:
        """Return the joints that move, as their positions of late and their own speeds say."""
        found = []
        for name, state in self.arms.items():
            joints, rest = self._robot.arm(name).joints, self._rest[self._robot.arm_slices[name]]
            at_ns, positions = zip(*self._recent[name], strict=True)
            travelled = np.ptp(np.array(positions), axis=0) / max(seconds(at_ns[-1] - at_ns[0]), _REST_S)
            speed = np.maximum(travelled, np.abs(state.sample.velocity))
            if self._robot.arm(name).is_base:
                speed = np.abs(np.array(positions)).max(axis=0)
            for i in np.flatnonzero(~(speed <= rest)):
                unit = f"{joints[i].unit.removesuffix('/s')}/s"
                found.append(f"{joints[i].name} moves at {speed[i]:.2f} {unit}: wait until the arms rest")
        return found

    def _jump(self, arm: str, last: ArmState, sample: JointSample, steady_ns: int) -> str:
        """Return the joint that moved farther than it can at its top speed, and a jump on top; or nothing."""
        part = self._robot.arm_slices[arm]
        moved = np.abs(sample.position - last.sample.position)
        late_s = max(0.0, seconds(steady_ns - last.arrival_ns) - 1 / self._robot.state_rate_hz)
        possible = moved <= self._max_jump[part] + self._speed[part] * late_s
        return "" if possible.all() else self._robot.arm(arm).joints[int(np.argmin(possible))].name
