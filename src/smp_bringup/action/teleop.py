"""Leaders to one setpoint for all followers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.action.leader_arm import LeaderArm
from smp_bringup.action.leader_base import LeaderBase
from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, JointSample, nanoseconds

_TOLD_NS = nanoseconds(0.5)
"""A setpoint counts for so long: the command node that is armed says one every cycle."""
_STANDING = 5
"""So many late samples in a row are no accident."""


class Part(Protocol):
    """What one arm is told."""

    @property
    def spoken(self) -> bool:
        """Whether there is a setpoint."""

    @property
    def stamp_ns(self) -> int:
        """When it was right."""

    @property
    def position(self) -> FloatArray:
        """(n,) [rad], grippers [m]."""

    @property
    def velocity(self) -> FloatArray:
        """(n,)."""


class Leaders:
    """Merges what leads the arms; each part keeps its stamp, by which the command core sees that one fell silent."""

    def __init__(self, robot: Robot, hands: Mapping[str, Part] | None = None) -> None:
        """Begin without a word of any leader.

        Args:
            robot: whose arms are led.
            hands: by arm, what is led by an operator's hand; see `leader_hand`.

        Raises:
            ConfigError: no arm has a leader.
        """
        led = [arm.name for arm in robot.arms if arm.led_by]
        if not led:
            raise ConfigError(
                f"no arm of robot '{robot.name}' has a leader, so there is nothing to read: "
                "name one in the robot file (leader: {topic: ...}), or start without teleoperation"
            )
        self._parts: dict[str, Part] = {arm.name: _part(arm, hands or {}) for arm in robot.arms}
        self._last = ([name for name in led if not robot.arm(name).is_base] or led)[-1]
        self._unsent: set[str] = set()
        self.late = 0
        """Samples that were left out: their stamps are not newer than the one before."""
        self._late_in_a_row = dict.fromkeys(self._parts, 0)

    def push(self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike) -> JointSample | None:
        """Take the state of a leader arm; return what `merged` does.

        Raises:
            Refusal: the message is malformed.
        """
        leader = self._parts[arm]
        assert isinstance(leader, LeaderArm)
        return self.merged(arm, leader.push(stamp_ns, names, position))

    def twist(self, arm: str, stamp_ns: int, names: Sequence[str], rates: ArrayLike, now_ns: int) -> JointSample | None:
        """Take what the leader of a base wants, as of `LeaderBase.twist`; return what `merged` does."""
        leader = self._parts[arm]
        assert isinstance(leader, LeaderBase)
        return self.merged(arm, leader.twist(stamp_ns, names, rates, now_ns))

    def merged(self, arm: str, news: bool) -> JointSample | None:
        """Return the merged setpoint when it is due after a sample of an arm's leader, once all have spoken.

        It is due with every sample of the last arm that is led; where that one is slower or silent, with every second
        of another. A sample that is no news is late. A base comes along, and says when only where nothing else is led.
        """
        self._late_in_a_row[arm] = 0 if news else self._late_in_a_row[arm] + 1
        if not news:
            self.late += 1
            return None
        waits = isinstance(self._parts[arm], LeaderBase)  # its stamps are not those of leaders
        due = arm == self._last or (arm in self._unsent and not waits)
        self._unsent.add(arm)
        parts = self._parts.values()
        if not due or not all(part.spoken for part in parts):
            return None
        self._unsent.clear()
        return JointSample(
            self._parts[arm].stamp_ns,
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.velocity for part in parts]),
            {name: part.stamp_ns for name, part in self._parts.items()},
        )

    def standing(self) -> list[str]:
        """Return one line for each leader that is heard, and whose stamps do not advance."""
        return [
            f"the leader of arm '{arm}' speaks with stamps that do not advance"
            for arm, count in self._late_in_a_row.items()
            if count >= _STANDING
        ]

    def measured(self, arm: str, stamp_ns: int, position: FloatArray) -> None:
        """Take the measured joints (n,) of an arm: those without a leader rest where they are."""
        if isinstance(part := self._parts[arm], _Resting):
            part.measured(stamp_ns, position)

    def base_heard(self, arm: str, now_ns: int) -> JointSample | None:
        """Take that a base was measured; return what `merged` does where nothing else is led and nobody drives it."""
        part = self._parts[arm]
        assert isinstance(part, LeaderBase)
        return self.merged(arm, True) if part.measured(now_ns) and arm == self._last else None

    def followed(self, followed: bool) -> None:
        """Take whether the teleoperation is followed: an arm that rests then stays."""
        for part in self._parts.values():
            if isinstance(part, _Resting):
                part.followed = followed


def _part(arm: Arm, hands: Mapping[str, Part]) -> Part:
    if arm.is_base:
        return LeaderBase(arm)
    if arm.led_by is None:
        return _Resting(len(arm.joints))
    if arm.led_by.is_arm:
        return LeaderArm(arm)
    if arm.name not in hands:
        raise ConfigError(f"arm '{arm.name}' is led by a {arm.led_by.kind}, and a leader arm is needed here")
    return hands[arm.name]


class _Resting:
    """An arm without a leader: it stays where it was when the teleoperation began to be followed."""

    def __init__(self, joints: int) -> None:
        self.stamp_ns, self.followed = 0, False
        self.position, self.velocity = np.zeros(joints), np.zeros(joints)

    @property
    def spoken(self) -> bool:
        """Whether the arm was measured."""
        return self.stamp_ns > 0

    def measured(self, stamp_ns: int, position: FloatArray) -> None:
        """Take the measured joints (n,)."""
        if not self.followed or not self.spoken:
            self.position = position
        self.stamp_ns = stamp_ns


class Whereabouts:
    """Where the arms are, by their measured joints.

    A gripper is where it is told to be: what it holds keeps it from getting there, and would fall otherwise.
    """

    def __init__(self, robot: Robot) -> None:
        self._grippers = {arm.name: np.array([joint.gripper for joint in arm.joints]) for arm in robot.arms}
        self._told: dict[str, tuple[FloatArray, int]] = {}

    def commanded(self, arm: str, position: FloatArray, steady_ns: int) -> None:
        """Take a setpoint (n,) of an arm."""
        self._told[arm] = position, steady_ns

    def measured(self, arm: str, position: FloatArray, steady_ns: int) -> FloatArray:
        """Return where an arm is (n,) whose joints are measured at `position` (n,)."""
        told, at_ns = self._told.get(arm, (position, 0))
        return np.where(self._grippers[arm] & (steady_ns - at_ns <= _TOLD_NS), told, position)


class Tremor:
    """Noise on an operator's hands, correlated in time: episodes then show how to come back.

    The recorded leaders stay clean, so the label of a perturbed state is the way back
    (noise injection as in Laskey et al., "DART", 2017). Grippers are left alone.
    """

    def __init__(self, robot: Robot, std: float, seed: int, correlation_s: float = 0.3) -> None:
        """Draw from `seed`; `std` is in rad."""
        self._rng = np.random.default_rng(seed)
        self._scale = std * robot.turning
        self._keep = float(np.exp(-robot.control_period_s / correlation_s))
        self._state = np.zeros(robot.dof)

    def step(self, sample: JointSample) -> JointSample:
        """Return a setpoint (J,) with the tremor of the next control period on it."""
        fresh = self._rng.normal(size=self._state.shape)
        self._state = self._keep * self._state + np.sqrt(1 - self._keep**2) * fresh
        return replace(sample, position=sample.position + self._scale * self._state)
