"""One inference after the other beside the executor: deadline, fallback, seam, and everything that is counted."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smp_bringup.action.deadline import Deadline
from smp_bringup.action.seam import Seam
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.reduced import fewer_experts, fewer_steps
from smp_bringup.stats import percentiles
from smp_bringup.types import ActionChunk, GateReport, Observation

_COLLAPSED = 0.99
"""A gate with a larger weight leaves one expert alone ..."""
_COLLAPSE_S = 1.0
"""... and is reported when that expert has been alone for so long."""


@dataclass(frozen=True)
class Result:
    """What one inference gave; the chunk is None when it must not be sent, and `cause` says why."""

    chunk: ActionChunk | None
    gate: GateReport | None
    cause: str = ""


class Inference:
    """Runs a policy; used by one thread, its counters read by another."""

    def __init__(
        self, policy: AbstractPolicy, seam: Seam, deadline_s: float, seed: int, clock: Callable[[], float]
    ) -> None:
        """Run `policy`; `clock` tells how long an inference took [s]."""
        self._clock = clock
        self._seam, self._seed = seam, seed
        self._deadline = Deadline(deadline_s)
        self.counters: Counter[str] = Counter(chunks=0)
        self._took_ms: list[float] = []
        self._alone: tuple[int, int] | None = None
        self.warning = ""
        self.followed: deque[tuple[int | None, int]] = deque(maxlen=64)
        """What the command node said it follows, and when; another thread may add to it."""
        self.replace(policy)

    def replace(self, policy: AbstractPolicy) -> None:
        """Run another policy from now on (the same one on another device)."""
        lean = fewer_steps(policy)
        least = fewer_experts(lean)
        self._policies = {"full": policy, "fewer_steps": lean, "fewer_experts": least, "hold": least}

    def run(self, observation: Observation) -> Result:
        """Infer one chunk; whatever the policy raises is the caller's to judge."""
        policy = self._policies[self._deadline.level]
        start = self._clock()
        while self.followed:
            self._seam.follows(*self.followed.popleft())
        committed = self._seam.committed(observation.stamp_ns)
        chunk, gate = policy.infer(observation, self._seed, committed)
        took_s = self._clock() - start
        self._took_ms.append(took_s * 1e3)
        in_time = self._deadline.took(took_s)
        if not (np.isfinite(chunk.position).all() and np.isfinite(gate.weight).all()):
            self.counters["nonfinite"] += 1
            return Result(None, gate, "the policy gave a chunk or a gate that is not finite")
        self._watch_gate(gate)
        if not in_time:
            return Result(None, gate, f"inference took {took_s * 1e3:.0f} ms with the least it can do; not sent")
        self.counters["chunks"] += 1
        return Result(self._seam.join(chunk, committed), gate)

    def values(self) -> dict[str, object]:
        """Return counters and times since the last call."""
        took, self._took_ms = self._took_ms, []
        times = {f"inference_ms/{key}": value for key, value in percentiles(took).items()}
        used = {f"deadline/{name}": count for name, count in self._deadline.counters.items()}
        level = {"deadline_level": self._deadline.level, "seam": self._seam.kind}
        delay = {"seam_delay_ms": round(self._seam.delay_s * 1e3, 1)}
        return {**self.counters, **times, **used, **level, **delay}

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
