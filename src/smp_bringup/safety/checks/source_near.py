"""The source must be near the setpoint: it is not chased at full speed after a stop, nor after it was silent."""

import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.safety.bounds import bounds, measure, tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.safety.takeover import gap
from smp_bringup.types import PASS, Severity, Verdict


class SourceNear(AbstractCheck):
    """Hold when the source has run away from the setpoint; one that comes back, or jumps, must be met nearer.

    A source may want another rate at once, which the limits lead to; but not of what was silent, see `takeover.gap`.
    """

    name = "source_near"

    def __init__(self, robot: Robot, config: SafetyConfig) -> None:
        super().__init__(robot, config)
        self._bounds = bounds(robot, config)
        self._far = np.where(robot.rates, np.inf, tolerances(robot, config, "max_step_refuse"))
        self._switch = tolerances(robot, config, "max_switch_step")
        self._back: set[str] = set()  # arms that are not yet followed again

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming the joint whose target is too far."""
        self._back = self._back | context.came_back if context.following else set()
        if context.target is None:
            return PASS
        step = gap(self.robot, self._bounds, context.target, context.setpoint)
        allowed = self._far.copy()
        for arm in sorted(self._back):
            part = self.robot.arm_slices[arm]
            if (step[part] <= self._switch[part]).all():
                self._back.discard(arm)
            else:
                allowed[part] = np.minimum(allowed, self._switch)[part]
        if (near := step <= allowed).all():
            return PASS
        i = int(np.argmin(near))
        away = f"{self.robot.joint_names[i]} {measure(self.robot, i, step[i])} from the setpoint"
        back = [arm for arm in self._back if i in range(*self.robot.arm_slices[arm].indices(self.robot.dof))]
        why = f": what moves arm '{back[0]}' was silent or jumped, and is followed again from nearby" if back else ""
        return Verdict(Severity.HOLD, self.name, f"the source wants {away}{why}")
