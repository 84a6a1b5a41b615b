"""Runs an exported policy in ONNX Runtime on the CPU: small networks in one thread, large experts side by side."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import perf_counter

import numpy as np
import onnxruntime as ort

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import schedule
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.engines import PRECISIONS, Model
from smp_bringup.policy.sessions import Opened, Sessions, opened
from smp_bringup.policy.unrolled import OUTPUT, can_unroll, unrolled
from smp_bringup.types import FloatArray

_LARGE_BYTES = 32 << 20
"""A model of more takes so long that several threads are worth their price, and is not unrolled: its steps would hold
its weights a second time, and calling it costs nothing beside reading them."""
_WORTH_A_THREAD_S = 1e-3
"""Handing a call to another thread and back costs a tenth of this."""
_MOST_THREADS = 4
"""In one call of a large model: more cores than two have not been tried."""


class OnnxEngine(AbstractEngine):
    """A denoiser is opened when it is called; within a budget of memory, those that were called longest ago are closed.

    One that predicts the whole sample runs all steps of the sampler in one call. Several experts that are active
    together run one a thread where a call of one of them takes long enough, and all of them are in memory. A large
    model that nothing runs beside takes the cores for itself.
    """

    def __init__(
        self,
        encoder: bytes,
        denoisers: Sequence[Model],
        budget: float = inf,
        precision: str = PRECISIONS[0],
        alone: bool = False,
    ) -> None:
        """Open the encoder; the weights of open denoisers take up to `budget` [bytes], see `Sessions`.

        Args:
            encoder: ONNX.
            denoisers: of the experts.
            budget: see above.
            precision: of the denoisers, for the name.
            alone: whether a step runs one denoiser and never several.

        Raises:
            ModelError: it is corrupt.
        """
        self.name = f"ONNX Runtime {ort.__version__} on the CPU, {precision}"
        self._cores = len(os.sched_getaffinity(0))
        together = min(self._cores, _MOST_THREADS)
        self._encoder = opened(encoder, "encoder.onnx", together if len(encoder) > _LARGE_BYTES else 1)
        self._outputs = [output.name for output in self._encoder.get_outputs()]
        self._sessions = Sessions(budget)
        threads = together if alone else 1
        self._denoisers = [_Denoiser(i, model, threads, self._sessions) for i, model in enumerate(denoisers)]
        self._pool: ThreadPoolExecutor | None = None
        self._told_s = 0.0

    def encode(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, FloatArray]:
        """See `AbstractEngine`."""
        values = self._encoder.run(self._outputs, {name: value[None] for name, value in inputs.items()})
        return {name: value[0] for name, value in zip(self._outputs, values, strict=True)}

    def input_length(self, name: str) -> int:
        """See `AbstractEngine`."""
        shapes = {i.name: i.shape for i in self._encoder.get_inputs()}
        last = shapes[name][-1] if shapes.get(name) else 0
        return last if isinstance(last, int) else 0

    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        return self._denoisers[expert].denoise(feature, x, mask, embedding)

    def each(self, call: Callable[[int], FloatArray], experts: Sequence[int]) -> Iterable[FloatArray]:
        """See `AbstractEngine`: side by side, where the quickest call of each yet says that it is worth it."""
        asked = [self._denoisers[i] for i in experts]
        if self._cores < 2 or len(asked) < 2 or not all(_WORTH_A_THREAD_S < d.quick_s < inf and d.ready for d in asked):
            return map(call, experts)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(min(self._cores, len(self._denoisers)), "experts")
        return self._pool.map(call, experts)

    def sample(
        self,
        task: Denoising,
        noise: FloatArray,
        config: PolicyConfig,
        rng: np.random.Generator,
        known: FloatArray | None = None,
    ) -> FloatArray:
        """See `AbstractEngine`."""
        if task.whole is None or task.columns or not can_unroll(config) or self._denoisers[task.whole].large:
            for expert in task.denoisers:
                self._denoisers[expert].one()
            return super().sample(task, noise, config, rng, known)
        return self._denoisers[task.whole].sample(task, noise, config, known)

    def take_stall_s(self) -> float:
        """See `AbstractEngine`."""
        before_s, self._told_s = self._told_s, self._sessions.opened_s
        return self._told_s - before_s


class _Denoiser:
    """One denoiser, called step by step or with all its steps in one."""

    def __init__(self, index: int, model: Model, threads: int, sessions: Sessions) -> None:
        self._index, self._model, self._sessions = index, model, sessions
        self._name, self._size = f"denoiser_{index}.onnx", 0 if model.always else model.weight_bytes
        self.large = model.size > _LARGE_BYTES
        self._threads = threads if self.large else 1
        self.quick_s = inf
        """The quickest call of one step yet: a busy machine makes none of them quicker."""

    @property
    def ready(self) -> bool:
        """Whether one step can be called without opening anything."""
        return self._index in self._sessions

    def denoise(self, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray) -> FloatArray:
        """See `AbstractEngine`."""
        session, names = self.one()
        given = {"feature": feature, "x": x, "mask": mask, "embedding": embedding}
        start = perf_counter()
        out: FloatArray = session.run(None, _feed(names, given))[0][0].astype(np.float64)
        self.quick_s = min(self.quick_s, perf_counter() - start)
        return out

    def sample(self, task: Denoising, noise: FloatArray, config: PolicyConfig, known: FloatArray | None) -> FloatArray:
        """Return the sample that DDIM gives; arguments as of `AbstractEngine.sample`."""
        session, names = self._all(config)
        steps, rows = config.denoise_steps, 0 if known is None else len(known)
        held = np.zeros((len(noise), 1), dtype=bool)
        noised = np.zeros((steps, 1, *noise.shape))
        if known is not None:
            plan = schedule(config)
            held[:rows] = True
            noised[:, 0, :rows] = plan.signal[:, None, None] * known + plan.noise[:, None, None] * noise[:rows]
        given = {"feature": task.coded["feature"], "mask": task.mask, "noise": noise}
        feed = _feed([name for name in names if name in given], given)
        feed |= {"held": held[None], "noised": noised.astype(np.float32)}
        out: FloatArray = session.run([OUTPUT], feed)[0][0].astype(np.float64)
        if known is not None:
            out[:rows] = known
        return out

    def one(self) -> Opened:
        """Return the session of one step."""
        return self._sessions.get(self._index, self._size, self._model.read, self._name, self._threads)

    def _all(self, config: PolicyConfig) -> Opened:
        """Return the session of all steps."""
        key = self._index, config.diffusion_steps, config.denoise_steps, config.prediction
        name = f"the sampler of {self._name}"
        return self._sessions.get(key, self._size, lambda: unrolled(self._model.read(), config), name)


def _feed(names: Sequence[str], given: Mapping[str, FloatArray]) -> dict[str, np.ndarray]:
    """Return inputs of a batch of one in single precision."""
    return {name: np.asarray(given[name], dtype=np.float32)[None] for name in names}
