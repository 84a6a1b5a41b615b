"""From an observation to the chunk that is sent: the same live, in lockstep and over a bag.

Two steps, because only the caller knows how long an inference took: `infer`, then `join` with that duration. On a robot
it is measured, in simulation and over a bag it is given.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from smp_bringup.action.deadline import LEVELS, Deadline
from smp_bringup.action.seam import Seam
from smp_bringup.policy.base import STALL, AbstractPolicy
from smp_bringup.policy.reduced import levels
from smp_bringup.stats import percentiles
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

LATENCY_S = 0.06
"""From an observation to the arrival of its chunk, in simulation and over bags."""
_COLLAPSED = 0.99
"""A gate with a larger weight leaves one expert alone ..."""
_COLLAPSE_S = 1.0
"""... and is reported when that expert has been alone for so long."""


@dataclass(frozen=True)
class Inference:
    """What the policy said, before it is joined to what is in execution."""

    chunk: ActionChunk
    gate: GateReport
    committed: FloatArray | None
    """(d, J) [rad], grippers [m]: the actions that the policy was told are committed, if any."""


@dataclass(frozen=True)
class Plan:
    """What is sent."""

    chunk: ActionChunk | None
    """As it is sent; None when it must not be sent, and `cause` says why."""
    gate: GateReport
    cause: str = ""


class Planner:
    """Runs a policy and joins its chunks. One thread calls `infer` and `join`; any may call `follows` and `values`."""

    def __init__(
        self, policy: AbstractPolicy, seam: Seam, seed: int, deadline_s: float = inf, costs_s: Sequence[float] = ()
    ) -> None:
        """Begin with nothing committed.

        Args:
            policy: to run.
            seam: joins its chunks.
            seed: of the policy's noise.
            deadline_s: an inference that takes longer [s] makes the next one cheaper, see `action.deadline`.
            costs_s: of each level, see `policy.reduced.costs_s`; without them it begins at the full one.
        """
        self._seam, self._seed = seam, seed
        self._deadline = Deadline(deadline_s, costs_s)
        self._counters: Counter[str] = Counter(chunks=0)
        self._took_ms: list[float] = []
        self._stall_ms: list[float] = []
        self._alone: tuple[int, int] | None = None
        self.warning = ""
        """That the gate collapsed, as long as it is."""
        self._followed: deque[tuple[int | None, int]] = deque(maxlen=64)
        self.replace(policy)

    def replace(self, policy: AbstractPolicy, costs_s: Sequence[float] = ()) -> None:
        """Run another policy from now on (the same one on another device), at the level that its costs allow."""
        known = levels(policy)
        self._policies = {**known, "hold": known["fewer_experts"]}
        if costs_s:
            self._deadline.begin(costs_s)

    @property
    def level(self) -> str:
        """The level of the next inference, see `action.deadline`."""
        return self._deadline.level

    def follows(self, stamp_ns: int | None, at_ns: int) -> None:
        """Hear which chunk the command core follows since `at_ns`; None when it follows none."""
        self._followed.append((stamp_ns, at_ns))

    def infer(self, observation: Observation) -> Inference:
        """Ask the policy for the chunk of an observation; whatever the policy raises is the caller's to judge."""
        while self._followed:
            self._seam.follows(*self._followed.popleft())
        committed = self._seam.committed(observation.stamp_ns)
        chunk, gate = self._policies[self._deadline.level].infer(observation, self._seed, committed)
        return Inference(chunk, gate, committed)

    def join(self, inference: Inference, took_s: float) -> Plan:
        """Return what is sent of an inference that took `took_s` [s]; to be called before the next `infer`."""
        chunk, gate = inference.chunk, inference.gate
        self._took_ms.append(took_s * 1e3)
        if stall_ms := gate.stage_ms.get(STALL):
            self._counters["stalls"] += 1
            self._stall_ms.append(stall_ms)
        in_time = self._deadline.took(took_s)
        if not (np.isfinite(chunk.position).all() and np.isfinite(gate.weight).all()):
            self._counters["nonfinite"] += 1
            return Plan(None, gate, "the policy gave a chunk or a gate that is not finite")
        self._watch_gate(gate)
        if not in_time:
            return Plan(None, gate, f"inference took {took_s * 1e3:.0f} ms with the least it can do; not sent")
        self._counters["chunks"] += 1
        return Plan(self._seam.join(chunk, inference.committed), gate)

    @property
    def counters(self) -> dict[str, int]:
        """Return "chunks" to send, "nonfinite" ones, "deadline/misses", and "deadline/LEVEL" as `Deadline` counts.

        "stalls" are those that waited for experts that were not in memory.
        """
        used = {f"deadline/{name}": count for name, count in self._deadline.counters.items()}
        return {**self._counters, **used}

    def values(self) -> dict[str, object]:
        """Return what is reported: counters, and the times since the last call."""
        took, self._took_ms = self._took_ms, []
        times = {f"inference_ms/{key}": value for key, value in percentiles(took).items()}
        stall, self._stall_ms = self._stall_ms, []
        times |= {f"stall_ms/{key}": value for key, value in percentiles(stall).items()} if stall else {}
        costs = dict(zip(LEVELS, self._deadline.costs_s, strict=False))
        times |= {f"cost_ms/{name}": round(cost_s * 1e3, 1) for name, cost_s in costs.items()}
        level = {"deadline_level": self._deadline.level, "seam": self._seam.kind}
        delay = {"seam_delay_ms": round(self._seam.delay_s * 1e3, 1)}
        return {**self.counters, **times, **level, **delay}

    def _watch_gate(self, gate: GateReport) -> None:
        """Warn when one expert of several has been alone for a while (routing collapse)."""
        heaviest = int(np.argmax(gate.weight))
        if len(gate.weight) < 2 or gate.weight[heaviest] <= _COLLAPSED:
            self._alone, self.warning = None, ""
            return
        if self._alone is None or self._alone[0] != heaviest or gate.stamp_ns < self._alone[1]:
            self._alone = heaviest, gate.stamp_ns
        alone_s = (gate.stamp_ns - self._alone[1]) / 1e9
        self.warning = f"gate collapsed on expert {heaviest}" if alone_s >= _COLLAPSE_S else ""
