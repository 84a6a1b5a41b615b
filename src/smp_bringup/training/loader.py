"""The batches of coming steps, drawn in threads while a step computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from smp_bringup.policy.batch import Batch


class Loader:
    """Gives the batch of one step after the other.

    What is drawn depends on the step alone, so neither threads nor their number change a training. Threads do, because
    unpacking, copying and PyTorch leave the interpreter to others. Each computes in as many threads of PyTorch as the
    training: one that set a number of its own would set it for all.
    """

    def __init__(self, draw: Callable[[int], Batch], steps: int, workers: int) -> None:
        """Begin.

        Args:
            draw: gives the batch of a step.
            steps: so many, and none is drawn beyond them.
            workers: threads, each a batch ahead; 0: a batch is drawn when it is asked for.
        """
        self._draw, self._steps, self._ahead = draw, steps, workers
        self._pool = ThreadPoolExecutor(workers, "loader") if workers else None
        self._coming: dict[int, Future[Batch]] = {}

    def take(self, step: int) -> Batch:
        """Return the batch of a step; the next ones are begun.

        Raises:
            Exception: what `draw` raised.
        """
        if self._pool is None:
            return self._draw(step)
        for coming in range(step, min(step + 1 + self._ahead, self._steps)):
            if coming not in self._coming:
                self._coming[coming] = self._pool.submit(self._draw, coming)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """End the threads; batches that nobody asked for are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._coming.clear()
