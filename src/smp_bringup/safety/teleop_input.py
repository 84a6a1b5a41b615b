"""The operator's setpoints: one part for each arm, since each arm may have a leader of its own."""

from dataclasses import dataclass, field

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import bounds, tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.inputs import AbstractInput, sane
from smp_bringup.sync.stamps import StampOrder
from smp_bringup.types import FloatArray, JointSample, nanoseconds, seconds

_DELAY_NS = nanoseconds(0.05)
"""A part that its stamp says to have been longer under way was not: its clock is another."""


@dataclass
class _Part:
    """What is wanted of one arm; times are of the steady clock."""

    order: StampOrder = field(default_factory=StampOrder)
    stamp_ns: int = 0
    arrival_ns: int | None = None
    """Of its newest sample; None before the first."""
    taken_ns: int = 0
    """When that was sampled."""
    ahead: bool = False
    """Whether the newest stamp is in the future: its sample was not taken."""
    position: FloatArray = field(default_factory=lambda: np.zeros(0))
    velocity: FloatArray = field(default_factory=lambda: np.zeros(0))


class TeleopInput(AbstractInput):
    """The newest setpoint of the operator; each part of it goes on with its velocity until it is too old."""

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._slices, self._speed = robot.arm_slices, robot.slopes[0]
        self._turning, self._rates = robot.turning, robot.rates
        self._step, self._limits = tolerances(robot, config, "max_switch_step"), bounds(robot, config)
        self._timeout_ns = nanoseconds(config.source_timeout_s)
        self._parts, self._merged, self._back = self._empty(), False, set[str]()

    def take(self, sample: JointSample, now_ns: int, steady_ns: int, source: str) -> str | None:
        """Take a setpoint, or return why it is refused: "shape", "nonfinite", "future" or "older"."""
        if sample.position.shape != (self._dof,) or sample.velocity.shape != (self._dof,):
            self.refused(f"malformed: {len(sample.position)} joints, expected {self._dof}")
            return "shape"
        if not (sane(sample.position) and sane(sample.velocity)):
            return self._heard("nonfinite", source, steady_ns)
        parts = self._parts if source == self.speaker else self._empty()
        latest_ns = now_ns + nanoseconds(self._config.future_tolerance_s)
        stamps = {arm: sample.stamps_ns.get(arm, sample.stamp_ns) for arm in self._slices}
        for arm, part in parts.items():
            part.ahead = stamps[arm] > latest_ns
        news = [arm for arm, part in parts.items() if not part.ahead and part.order.admits(stamps[arm])]
        if not news:
            return self._heard("older" if sample.stamp_ns <= latest_ns else "future", source, steady_ns)
        self._parts, self._merged = parts, bool(sample.stamps_ns)
        for arm in news:
            self._renew(arm, sample, stamps[arm], now_ns, steady_ns)
        return self._heard(None, source, steady_ns)

    def ahead(self, now_ns: int, steady_ns: int, ahead_s: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the setpoint, each part moving on with its velocity; None where a part is too old."""
        if self._silent(steady_ns):
            return None
        parts = self._parts.values()
        age_s = np.concatenate([np.full(len(part.position), seconds(steady_ns - part.taken_ns)) for part in parts])
        position, velocity = (np.concatenate([getattr(p, key) for p in parts]) for key in ("position", "velocity"))
        wanted = position + (age_s + ahead_s[:, None]) * velocity
        return wanted, np.broadcast_to(velocity, wanted.shape)

    def silence(self, steady_ns: int) -> str:
        """Name the leaders that have fallen silent."""
        found = []
        for arm in self._silent(steady_ns) if self._merged else []:
            part = self._parts[arm]
            since = "yet" if part.arrival_ns is None else f"for {(steady_ns - part.arrival_ns) / 1e6:.0f} ms"
            what = "has stamps in the future" if part.ahead else f"has said nothing {since}"
            found.append(f"the leader of arm '{arm}' {what}")
        return ", ".join(found)

    def came_back(self) -> frozenset[str]:
        """Return the arms whose part was silent, or whose leader jumped, since the last call."""
        back = frozenset(self._back)
        self._back.clear()
        return back

    def clear(self) -> None:
        """Forget the setpoint."""
        self._parts, self._merged = self._empty(), False
        self.begin()

    def _empty(self) -> dict[str, _Part]:
        return {arm: _Part() for arm in self._slices}

    def _silent(self, steady_ns: int) -> list[str]:
        """Return the arms whose part is too old; its age is counted from its arrival."""
        arrivals = {arm: part.arrival_ns for arm, part in self._parts.items()}
        return [arm for arm, at in arrivals.items() if at is None or not steady_ns - at <= self._timeout_ns]

    def _renew(self, arm: str, sample: JointSample, stamp_ns: int, now_ns: int, steady_ns: int) -> None:
        """Take an arm's part of a setpoint."""
        part, i = self._parts[arm], self._slices[arm]
        position = sample.position[i]
        if part.arrival_ns is not None:
            elapsed_s = min(seconds(abs(stamp_ns - part.stamp_ns)), self._config.source_timeout_s)
            low, high = self._limits.low[i], self._limits.high[i]
            moved = np.abs(np.clip(position, low, high) - np.clip(part.position, low, high))
            jumped = moved > self._step[i] + self._speed[i] * elapsed_s
            if not self._merged:  # no leader arm: a button opens and closes a hand at once
                jumped &= self._turning[i]
            jumped &= ~self._rates[i]  # a stick goes over at once
            if steady_ns - part.arrival_ns > self._timeout_ns or jumped.any():
                self._back.add(arm)
        part.stamp_ns, part.arrival_ns = stamp_ns, steady_ns
        part.taken_ns = steady_ns - min(max(now_ns - stamp_ns, 0), _DELAY_NS)
        part.position, part.velocity = position, sample.velocity[i]
