"""What happens when inference is slower than its deadline: fewer steps, then fewer experts, then hold."""

from collections import Counter

LEVELS = ("full", "fewer_steps", "fewer_experts", "hold")
"""In order of what is given up. At "hold" a chunk is computed as at the level before, and sent only if in time."""
_RECOVER = 20
"""So many inferences in a row that would have fitted the level above bring it back."""
_SPARE = 0.5
"""An inference fits the level above if it took at most this share of the deadline."""


class Deadline:
    """Chooses the level of the next inference from how long the last ones took."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._level, self._quick = 0, 0
        self.counters: Counter[str] = Counter()
        """"misses", and per level below full how many inferences it was used for; for "hold", chunks not sent."""

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
        self._quick = self._quick + 1 if duration_s <= _SPARE * self._deadline_s else 0
        if self._quick >= _RECOVER and self._level:
            self._level, self._quick = self._level - 1, 0
        return True
