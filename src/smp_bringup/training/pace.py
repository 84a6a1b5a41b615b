"""How fast a training goes, and how much of its time it waits for samples."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Counts samples, and the time that is waited for them, from one `lap` to the next."""

    def __init__(self, samples: int) -> None:
        """Begin; a step takes so many `samples`."""
        self._samples, self._steps, self._waiting_s = samples, 0, 0.0
        self._since_s = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Surround what gives the samples of one step."""
        begun = time.monotonic()
        yield
        self._waiting_s += time.monotonic() - begun
        self._steps += 1

    def lap(self, seconds: float) -> dict[str, float]:
        """Return samples a second and the share of waiting for them since the last lap.

        Args:
            seconds: that all steps of this process took.
        """
        spent_s = max(seconds - self._since_s, 1e-9)
        out = {
            "samples_per_s": round(self._samples * self._steps / spent_s, 1),
            "loader_share": round(self._waiting_s / spent_s, 4),
        }
        self._steps, self._waiting_s, self._since_s = 0, 0.0, seconds
        return out
