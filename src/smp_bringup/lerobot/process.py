"""The process that runs a policy of LeRobot: started, asked, and ended; its death and its silence are errors."""

import os
import signal
import socket
import subprocess
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.errors import ModelError, WorkerError, one_line
from smp_bringup.lerobot.worker import framing

_WORKER = Path(__file__).parent / "worker"
_LOAD_S, _ANSWER_S, _END_S = 180.0, 30.0, 2.0
"""PyTorch and LeRobot are imported in 10 s, in a minute on a busy machine. A worker has nothing to finish."""
_OURS = ("PYTHONPATH", "PYTHONHOME")
"""Of the environment, what would let the other interpreter see our packages."""


class Process:
    """A worker with one policy; several threads may ask it, one at a time."""

    def __init__(self, python: str, checkpoint: Path, device: str) -> None:
        """Start a worker with the interpreter `python` and let it load a checkpoint.

        Raises:
            ModelError: it cannot be started, or does not load the checkpoint.
            WorkerError: it dies or does not answer.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
            try:
                self._process = subprocess.Popen(
                    [python, str(_WORKER), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # an interrupt at the keyboard is ours to pass on
                    env=inherited | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
                )
            except OSError as error:
                ours.close()
                raise ModelError(f"LeRobot's interpreter '{python}' cannot be started: {error.strerror}") from None
        self._pipe, self._lock, self._python = ours, threading.Lock(), python
        self.close = weakref.finalize(self, _end, ours, self._process)
        """Ends the process; so does the end of this object."""
        request = {"do": "load", "checkpoint": str(checkpoint.resolve()), "device": device}
        self.about, _ = self._ask(request, {}, _LOAD_S, f"loading '{checkpoint}'")
        """What the worker said of the policy: "type", "lerobot", "parameters"."""

    @property
    def pid(self) -> int:
        """Of the worker."""
        return self._process.pid

    def infer(self, arrays: Mapping[str, np.ndarray], seed: int, task: str) -> tuple[dict[str, float], np.ndarray]:
        """Return the times [ms] of the stages and the chunk (T, D).

        Args:
            arrays: vectors (To, D), images (To, H, W, 3), by feature.
            seed: of the noise.
            task: in words.

        Raises:
            WorkerError: the worker is dead, or does not answer.
            ModelError: the policy fails.
        """
        answer, out = self._ask({"do": "infer", "seed": seed, "task": task}, arrays, _ANSWER_S, "inference")
        return answer["ms"], out["action"]

    def _ask(
        self, request: Mapping[str, Any], arrays: Mapping[str, np.ndarray], limit_s: float, what: str
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        with self._lock:
            try:
                self._pipe.settimeout(limit_s)
                framing.send(self._pipe, request, arrays)
                answer, out = framing.receive(self._pipe)
            except TimeoutError:
                self._process.kill()
                self.close()
                raise WorkerError(
                    f"LeRobot's process {self.pid} did not answer for {limit_s:g} s at {what}: it was ended"
                ) from None
            except (OSError, EOFError, ValueError) as error:
                self.close()
                raise WorkerError(f"LeRobot's process {self.pid} {self._end(error)} at {what}") from None
        if "error" in answer:
            raise ModelError(f"{what} fails in LeRobot ({self._python}): {one_line(answer['error'])[:400]}")
        return answer, out

    def _end(self, error: Exception) -> str:
        """Return how the process ended."""
        code = self._process.returncode
        if code is None or isinstance(error, ValueError):
            return f"gave no answer ({one_line(error)})"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(pipe: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """Close the pipe, at which a worker ends by itself; kill one that does not."""
    with suppress(OSError):  # also where another thread waits for an answer: closing alone would not be heard
        pipe.shutdown(socket.SHUT_RDWR)
    pipe.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
