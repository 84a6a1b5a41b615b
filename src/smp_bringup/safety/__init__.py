"""Safety as a list of small checks, one file each; the YAML list in config/safety says which run."""

from smp_bringup.registry import Registry
from smp_bringup.safety.base import AbstractCheck
from smp_bringup.safety.checks.arm_distance import ArmDistance
from smp_bringup.safety.checks.arms_follow import ArmsFollow
from smp_bringup.safety.checks.clock_runs import ClockRuns
from smp_bringup.safety.checks.estop_link import EstopLink
from smp_bringup.safety.checks.finite import Finite
from smp_bringup.safety.checks.graph_guard import GraphGuard
from smp_bringup.safety.checks.loop_overrun import LoopOverrun
from smp_bringup.safety.checks.observation_valid import ObservationValid
from smp_bringup.safety.checks.position_limits import PositionLimits
from smp_bringup.safety.checks.rates_follow import RatesFollow
from smp_bringup.safety.checks.source_contract import SourceContract
from smp_bringup.safety.checks.source_fresh import SourceFresh
from smp_bringup.safety.checks.source_near import SourceNear
from smp_bringup.safety.checks.state_finite import StateFinite
from smp_bringup.safety.checks.state_fresh import StateFresh
from smp_bringup.safety.checks.state_jump import StateJump
from smp_bringup.safety.checks.state_near import StateNear
from smp_bringup.safety.checks.workspace import Workspace

CHECKS: Registry[type[AbstractCheck]] = Registry("safety check")
for _check in (
    Finite,
    StateFinite,
    StateFresh,
    StateJump,
    StateNear,
    ArmsFollow,
    RatesFollow,
    SourceFresh,
    SourceNear,
    SourceContract,
    ObservationValid,
    ClockRuns,
    PositionLimits,
    Workspace,
    ArmDistance,
    LoopOverrun,
    EstopLink,
    GraphGuard,
):
    CHECKS.register(_check.name)(_check)
