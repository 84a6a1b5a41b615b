"""Safety as a list of small checks; the YAML list in config/safety says which run."""

from smp_bringup.registry import Registry
from smp_bringup.safety.base import AbstractCheck
from smp_bringup.safety.finite import Finite
from smp_bringup.safety.observation import ClockRuns, ObservationValid
from smp_bringup.safety.staleness import SourceFresh, StateFresh
from smp_bringup.safety.tracking import StateNear

CHECKS: Registry[type[AbstractCheck]] = Registry("safety check")
for _check in (Finite, StateFresh, StateNear, SourceFresh, ObservationValid, ClockRuns):
    CHECKS.register(_check.name)(_check)
