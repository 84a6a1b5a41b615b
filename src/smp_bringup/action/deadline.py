"""What happens when inference is slower than its deadline: fewer steps, then fewer experts, then hold.

What each level costs is measured on the machine before arms move (`policy.reduced.costs_s`), so that the first chunk is
in time already, and a level comes back only where it would be in time.
"""

from collections import Counter
from collections.abc import Sequence

LEVELS = ("full", "fewer_steps", "fewer_experts", "hold")
"""In order of what is given up. At "hold" a chunk is computed as at the level before, and sent only if in time."""
_RECOVER = 20
"""So many inferences in a row that would have been in time at the level above bring it back."""
_HALVES = (8.0, 4.0, 2.0, 1.0)
"""Where nothing was measured, a level is taken to cost half of the one above."""


class Deadline:
    """Chooses the level of the next inference from what each costs and how long the last ones took."""

    def __init__(self, deadline_s: float, costs_s: Sequence[float] = ()) -> None:
        """Begin at the full level, or as `begin` does where it is known what each costs."""
        self._deadline_s = deadline_s
        self._costs: tuple[float, ...] = _HALVES
        self._level, self._quick = 0, 0
        self.costs_s: tuple[float, ...] = ()
        """As they were measured, if they were."""
        if costs_s:
            self.begin(costs_s)
        self.counters: Counter[str] = Counter()
        """"misses", and per level below full how many inferences it was used for; for "hold", chunks not sent."""

    def begin(self, costs_s: Sequence[float]) -> None:
        """Begin at the first level that is in time, with what an inference costs at each level but hold [s]."""
        self.costs_s = tuple(costs_s)
        self._costs = (*costs_s, costs_s[-1] / 2)
        in_time = [cost_s <= self._deadline_s for cost_s in costs_s]
        self._level, self._quick = in_time.index(True) if any(in_time) else len(in_time) - 1, 0

    @property
    def level(self) -> str:
        """Return the level of the next inference."""
        return LEVELS[self._level]

    def took(self, duration_s: float) -> bool:
        """Hear how long an inference at the present level took; return whether its chunk may be sent."""
        level, missed = self.level, not duration_s <= self._deadline_s
        if level not in ("full", "hold"):
            self.counters[level] += 1
        if missed:
            self.counters["misses"] += 1
            self._quick = 0
            self._level = min(self._level + 1, len(LEVELS) - 1)
            self.counters["hold"] += level == "hold"
            return level != "hold"
        above = self._costs[max(self._level, 1) - 1] / self._costs[self._level]
        self._quick = self._quick + 1 if duration_s * above <= self._deadline_s else 0
        if self._quick >= _RECOVER and self._level:
            self._level, self._quick = self._level - 1, 0
        return True
