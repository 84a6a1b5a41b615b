"""What one cycle of the command core publishes."""

from dataclasses import dataclass

from smp_bringup.safety.modes import Mode
from smp_bringup.types import Command, Verdict


@dataclass(frozen=True)
class CommandOutput:
    """What one cycle publishes: a command (None while disarmed), the mode, and the verdicts behind it."""

    command: Command | None
    mode: Mode
    verdict: Verdict
    """The strictest."""
    chunk_stamp_ns: int | None
    """Observation stamp of the chunk that the command follows."""
    reasons: tuple[Verdict, ...] = ()
    """Every objection of the cycle, the strictest first."""
