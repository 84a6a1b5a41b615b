"""The models that an engine of ONNX Runtime has open, no more of them than fit a budget of memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import perf_counter

import onnxruntime as ort

from smp_bringup.errors import ModelError, one_line

Opened = tuple[ort.InferenceSession, list[str]]
"""A session, and the names of its inputs."""


class Sessions:
    """Opens a model when it is asked for; those that were used longest ago make room for it."""

    def __init__(self, budget: float) -> None:
        """Hold models of up to `budget` [bytes] together, and a larger one alone."""
        self._budget = budget
        self._held: OrderedDict[Hashable, tuple[Opened, int]] = OrderedDict()
        """Last used last."""
        self._lock = threading.Lock()
        self.opened_s = 0.0
        """How long opening took, all in all."""

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def get(self, key: Hashable, size: int, model: Callable[[], bytes], name: str, threads: int = 1) -> Opened:
        """Return the session of a model.

        Args:
            key: of the model.
            size: of its weights as they are computed with [bytes]; 0: it stays, and is not counted.
            model: reads it.
            name: for errors.
            threads: that one call takes.

        Raises:
            ModelError: it cannot be read or opened.
        """
        with self._lock:
            if key not in self._held:
                self._held[key] = self._opened(size, model, name, threads), size
            self._held.move_to_end(key)
            return self._held[key][0]

    def _opened(self, size: int, model: Callable[[], bytes], name: str, threads: int) -> Opened:
        start = perf_counter()
        for key in [key for key, (_, held) in self._held.items() if held]:
            if sum(held for _, held in self._held.values()) + size <= self._budget:
                break
            del self._held[key]
        session = opened(model(), name, threads)
        self.opened_s += perf_counter() - start
        return session, [value.name for value in session.get_inputs()]


def opened(model: bytes, name: str, threads: int = 1) -> ort.InferenceSession:
    """Return a session whose threads do not spin: several of them share two cores without fighting.

    Raises:
        ModelError: the model is corrupt; `name` says which.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own types for every kind of corruption
        raise ModelError(f"{name} cannot be loaded: {one_line(error)}") from error
