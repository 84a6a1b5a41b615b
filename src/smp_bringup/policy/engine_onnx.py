"""Runs an exported policy in ONNX Runtime on the CPU: small networks in one thread, large experts side by side."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import onnxruntime as ort

from smp_bringup.errors import ModelError, one_line
from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING, schedule
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.unrolled import OUTPUT, can_unroll, unrolled
from smp_bringup.types import FloatArray

_LARGE_BYTES = 32 << 20
"""A model of more is not unrolled: its steps would hold its weights a second time, and calling it costs nothing beside
reading them."""
_WORTH_A_THREAD_MS = 1.0
"""Handing a call to another thread and back costs a tenth of this."""
_TIMED = 3
"""So many calls, of which the quickest counts: a busy machine makes none of them quicker."""
_NO_STEP = np.zeros(EMBEDDING)


class OnnxEngine(AbstractEngine):
    """Sessions of one thread each that do not spin: several of them share two cores without fighting.

    A denoiser that predicts the whole sample runs all steps of the sampler in one call. Several experts that are active
    together run one a thread where one call of one of them takes long enough, as measured by `warm_up`.
    """

    def __init__(self, encoder: bytes, denoisers: Sequence[bytes]) -> None:
        """Open the models.

        Raises:
            ModelError: a model is corrupt.
        """
        self.name = f"ONNX Runtime {ort.__version__} on the CPU, fp32"
        self._encoder = _session(encoder, "encoder.onnx")
        self._outputs = [output.name for output in self._encoder.get_outputs()]
        self._denoisers = [_Denoiser(content, f"denoiser_{i}.onnx") for i, content in enumerate(denoisers)]
        self._pool: ThreadPoolExecutor | None = None

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
        """See `AbstractEngine`: side by side, where that was found to be worth it."""
        return map(call, experts) if self._pool is None or len(experts) < 2 else self._pool.map(call, experts)

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
            return super().sample(task, noise, config, rng, known)
        return self._denoisers[task.whole].sample(task, noise, config, known)

    def warm_up(self, config: PolicyConfig, coded: Mapping[str, FloatArray], columns: int) -> dict[str, FloatArray]:
        """See `AbstractEngine`; also measures whether experts are worth a thread each."""
        said = super().warm_up(config, coded, columns)
        cores = len(os.sched_getaffinity(0))
        if cores > 1 and config.splits and config.experts > 1:
            blank, mask, took_s = np.zeros((config.horizon, columns)), np.ones(config.experts), []
            for _ in range(_TIMED):
                start = perf_counter()
                self.denoise(0, coded["feature"], blank, mask, _NO_STEP)
                took_s.append(perf_counter() - start)
            if min(took_s) * 1e3 > _WORTH_A_THREAD_MS:
                self.run_side_by_side(min(cores, config.experts))
        return said

    def run_side_by_side(self, threads: int) -> None:
        """From now on run experts that are active together in so many threads."""
        self._pool = ThreadPoolExecutor(threads, "experts")


class _Denoiser:
    """One denoiser, called step by step or with all its steps in one; what is not called is not loaded."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        self.large = len(content) > _LARGE_BYTES
        self._one: tuple[ort.InferenceSession, list[str]] | None = None
        self._whole: dict[tuple[int, int, str], tuple[ort.InferenceSession, list[str]]] = {}

    @property
    def loaded(self) -> bool:
        """Whether it was called."""
        return self._one is not None or bool(self._whole)

    def denoise(self, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray) -> FloatArray:
        """See `AbstractEngine`."""
        if self._one is None:
            self._one = _opened(self._content, self._name)
        session, names = self._one
        given = {"feature": feature, "x": x, "mask": mask, "embedding": embedding}
        out: FloatArray = session.run(None, _feed(names, given))[0][0].astype(np.float64)
        return out

    def sample(self, task: Denoising, noise: FloatArray, config: PolicyConfig, known: FloatArray | None) -> FloatArray:
        """Return the sample that DDIM gives; arguments as of `AbstractEngine.sample`."""
        key = config.diffusion_steps, config.denoise_steps, config.prediction
        if key not in self._whole:
            self._whole[key] = _opened(unrolled(self._content, config), f"the sampler of {self._name}")
        session, names = self._whole[key]
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


def _feed(names: Sequence[str], given: Mapping[str, FloatArray]) -> dict[str, np.ndarray]:
    """Return inputs of a batch of one in single precision."""
    return {name: np.asarray(given[name], dtype=np.float32)[None] for name in names}


def _opened(model: bytes, name: str) -> tuple[ort.InferenceSession, list[str]]:
    session = _session(model, name)
    return session, [value.name for value in session.get_inputs()]


def _session(model: bytes, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own types for every kind of corruption
        raise ModelError(f"{name} cannot be loaded: {one_line(error)}") from error
