"""The hands stay in a box."""

import numpy as np

from smp_bringup.body import Body
from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.types import PASS, FloatArray, Severity, Verdict


class Workspace(AbstractCheck):
    """Hold before a hand leaves the box; the way back in is open."""

    name = "workspace"
    needs_geometry = True

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._body = Body(robot, config.self_gap)
        self._low, self._high = np.array(config.workspace_min), np.array(config.workspace_max)
        self._known: tuple[FloatArray, FloatArray] | None = None

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the arm that would leave the box farther than it has."""
        if context.path is None or self._surely_inside(context.path):
            return PASS
        outside = self._outside(np.vstack([context.setpoint, context.path]))  # (1 + K, hands)
        self._known = context.setpoint, outside[0]
        leaving = (outside[1:].max(axis=0) > 0) & (outside[1:].max(axis=0) > outside[0])
        if not leaving.any():
            return PASS
        arm = self._body.hand_names[int(np.argmax(leaving))]
        return Verdict(Severity.HOLD, self.name, f"the hand of arm '{arm}' would leave the workspace")

    def _surely_inside(self, path: FloatArray) -> bool:
        """Return whether no hand can leave: too little has moved since a pose that was looked at."""
        if self._known is None:
            return False
        pose, outside = self._known
        return bool((outside + self._body.hand_travel(np.abs(path - pose).max(axis=0)) < 0).all())

    def _outside(self, position: FloatArray) -> FloatArray:
        """Return how far each hand is outside (B, hands) [m]; negative inside."""
        each = self._body.hands(position)  # per arm (B, points, 3)
        return np.stack(
            [np.maximum(points - self._high, self._low - points).max(axis=(1, 2)) for points in each], axis=1
        )
