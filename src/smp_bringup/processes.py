"""Independent jobs in several processes; an error in one of them, or its death, ends them all.

Processes are spawned, because neither GL contexts nor PyTorch's threads survive a fork; they may start none of their
own. Each has its own pipe, which ends with it: `multiprocessing.Pool` waits for ever for a process that died, and
`ProcessPoolExecutor` finishes the jobs that run before it passes on an error.
"""

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple, TypeVar

from smp_bringup.errors import SmpError, WorkerError

J = TypeVar("J")
R = TypeVar("R")


class _Outcome(NamedTuple):
    """What came of a job: a result, or the error that it raised."""

    result: Any
    error: Exception | None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class _Worker:
    """A process that does one job after the other."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs), daemon=True)
        with deaf():
            self.process.start()
        theirs.close()

    def send(self, job: object) -> None:
        """Hand over a job; a process that is gone is noticed when its answer is awaited."""
        with suppress(BrokenPipeError):
            self.pipe.send(job)

    def receive(self, what: str) -> _Outcome:
        """Return what came of the job; raises WorkerError where the process died at `what`."""
        try:
            outcome: _Outcome = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            advice = "if memory ran out, fewer workers need less" if code < 0 else "the lines above say why"
            raise WorkerError(f"worker process {self.process.pid} {how} at {what}: {advice}") from None
        return outcome


@contextmanager
def deaf() -> Iterator[None]:
    """Let processes that are started in the block never hear of Ctrl-C, not even while they import their modules.

    It reaches all processes of a terminal, and the first one ends the others. They inherit what is blocked here.
    """
    resource_tracker.ensure_running()  # begun with the first process otherwise, and then it unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unordered(function: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Yield what `function` makes of each job, in the order they finish, in up to `workers` processes.

    Raises:
        WorkerError: a process died.
        Exception: what `function` raised; a note has the traceback of its process.
    """
    for _, outcome in _outcomes(function, jobs, workers):
        yield outcome.get()


def ordered(function: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Yield what `function` makes of each job, in the order of the jobs; raises as `unordered`."""
    early: dict[int, _Outcome] = {}
    due = 0
    for index, outcome in _outcomes(function, jobs, workers):
        early[index] = outcome
        while due in early:
            yield early.pop(due).get()
            due += 1


def _outcomes(function: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[tuple[int, _Outcome]]:
    """Yield index and outcome of each job, in the order they finish; leaving it ends the processes."""
    pool = [_Worker(function) for _ in range(min(workers, len(jobs)))]
    waiting, busy = iter(enumerate(jobs)), dict[Any, tuple[_Worker, int]]()

    def employ(worker: _Worker) -> None:
        item = next(waiting, None)
        if item is not None:
            busy[worker.pipe] = worker, item[0]
            worker.send(item[1])

    try:
        for worker in pool:
            employ(worker)
        while busy:
            for pipe in wait(list(busy)):
                worker, index = busy.pop(pipe)
                outcome = worker.receive(f"job {index + 1} of {len(jobs)}")
                employ(worker)
                yield index, outcome
    finally:
        for worker in pool:
            worker.process.terminate()
        for worker in pool:
            worker.process.join()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """Do jobs until the pipe ends, as it does with the process that gives them."""
    with suppress(EOFError, ConnectionError):
        while True:
            pipe.send(_outcome(function, pipe.recv()))


def _outcome(function: Callable[[J], R], job: J) -> _Outcome:
    try:
        return _Outcome(function(job), None)
    except StopIteration as error:  # raised again in a generator it would end that one instead
        return _Outcome(None, _portable(RuntimeError(f"StopIteration: {error}").with_traceback(error.__traceback__)))
    except Exception as error:
        return _Outcome(None, _portable(error))


def _portable(error: Exception) -> Exception:
    """Return an error as it can be sent: itself, or its words where it does not survive that."""
    try:
        sent: Exception = ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        kind = SmpError if isinstance(error, SmpError) else RuntimeError
        sent = kind(f"{type(error).__name__}: {error}")
    sent.add_note("".join(traceback.format_exception(error)))
    return sent
