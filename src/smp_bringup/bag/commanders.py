"""Who commanded the arms while a bag was recorded: as the command node said it on /command/state, and nobody else."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smp_bringup.bag.reader import Bag
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import Refusal
from smp_bringup.wire import stamp_ns

COMMAND_STATE, DIAGNOSTICS = "/command/state", "diagnostic_msgs/msg/DiagnosticArray"
_MODES = {mode.value: mode for mode in Mode}


class Taught(IntEnum):
    """What a sample is to training."""

    NOTHING = 0
    """A policy commanded, or nobody, in an episode that a policy had a part in."""
    DEMONSTRATION = 1
    CORRECTION = 2
    """An operator commanded, in an episode that a policy had a part in."""


def said_mode(message: Any) -> tuple[int, Mode]:
    """Return stamp [ns] and mode of a diagnostic_msgs/DiagnosticArray of the command node; raises Refusal."""
    said = [pair.value for status in message.status for pair in status.values if pair.key == "mode"]
    if not said or said[0] not in _MODES:
        raise Refusal("no mode of a command node")
    return stamp_ns(message.header.stamp), _MODES[said[0]]


class Commanders:
    """The modes of an episode over time; one of which nothing was said is a demonstration from end to end."""

    def __init__(self, said: Sequence[tuple[int, Mode]]) -> None:
        """Take stamps [ns] and modes, in any order."""
        ordered = sorted(said, key=lambda one: one[0])
        self._stamps = np.array([stamp for stamp, _ in ordered], dtype=np.int64)
        self._operator = np.array([mode is Mode.TELEOP for _, mode in ordered], dtype=bool)
        self.policy = any(mode is Mode.POLICY for _, mode in ordered)
        """Whether a policy commanded at any time."""

    def operator(self, at_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether an operator commanded at each of the times (N,) [ns]."""
        if not self.policy:
            return np.ones(len(at_ns), dtype=bool)
        last = np.searchsorted(self._stamps, at_ns, side="right") - 1
        return np.asarray((last >= 0) & self._operator[np.maximum(last, 0)])

    def taught(self, at_ns: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return what each of the samples at these times (N,) [ns] is to training, see `Taught`."""
        learned = Taught.CORRECTION if self.policy else Taught.DEMONSTRATION
        return np.where(self.operator(at_ns), learned, Taught.NOTHING).astype(np.int8)


def commanders(bag: Bag) -> Commanders:
    """Return who commanded in a bag; what cannot be read says nothing."""
    said: list[tuple[int, Mode]] = []
    if bag.types.get(COMMAND_STATE) != DIAGNOSTICS:
        return Commanders(said)
    for _, _, message in bag.messages({COMMAND_STATE}):
        try:
            said.append(said_mode(message))
        except Refusal:
            continue
    return Commanders(said)
