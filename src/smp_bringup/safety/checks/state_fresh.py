"""Measured states must be fresh, by arrival on the steady clock."""

from smp_bringup.safety.base import AbstractCheck, Context
from smp_bringup.types import PASS, Severity, Verdict, seconds


class StateFresh(AbstractCheck):
    """Hold both arms when either arm's measured state stops arriving."""

    name = "state_fresh"

    def verdict(self, context: Context) -> Verdict:
        """Return HOLD naming every arm without a fresh state."""
        silent = []
        for arm in self.robot.arms:
            state = context.arms.get(arm.name)
            if state is None:
                silent.append(f"no fresh state of arm '{arm.name}' on {arm.state_topic}")
            elif not (age_s := seconds(context.steady_ns - state.arrival_ns)) <= self.config.state_timeout_s:
                why = f" for {age_s * 1e3:.0f} ms"
                if state.older_ns and seconds(context.steady_ns - state.older_ns) <= self.config.state_timeout_s:
                    why += ": states arrive with stamps that do not advance"
                silent.append(f"no fresh state of arm '{arm.name}' on {arm.state_topic}{why}")
        return Verdict(Severity.HOLD, self.name, "; ".join(silent)) if silent else PASS
