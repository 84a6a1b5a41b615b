"""Leader arms to one setpoint for all followers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.robot import Robot
from smp_bringup.sync.checks import JointOrder
from smp_bringup.types import JointSample, seconds


class Leaders:
    """Merges the leaders' joint states; velocities come from stamps, since leader drivers rarely give them."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._orders = {a.name: JointOrder([j.name for j in a.joints]) for a in robot.arms}
        self._latest: dict[str, JointSample] = {}
        self._previous: JointSample | None = None

    def push(self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike) -> JointSample | None:
        """Take one leader's state; return the merged setpoint on the last arm's samples, once all have spoken.

        Raises:
            Refusal: the message is malformed.
        """
        p, v = self._orders[arm].map(names, position, [])
        self._latest[arm] = JointSample(stamp_ns, p, v)
        if arm != self._robot.arms[-1].name or len(self._latest) < len(self._robot.arms):
            return None
        merged = np.concatenate([self._latest[a.name].position for a in self._robot.arms])
        velocity = np.zeros_like(merged)
        if self._previous is not None and stamp_ns > self._previous.stamp_ns:
            elapsed_s = seconds(stamp_ns - self._previous.stamp_ns)
            limit = self._robot.joint_array("velocity")
            velocity = np.clip((merged - self._previous.position) / elapsed_s, -limit, limit)
        self._previous = JointSample(stamp_ns, merged, velocity)
        return self._previous


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
        return JointSample(sample.stamp_ns, sample.position + self._scale * self._state, sample.velocity)
