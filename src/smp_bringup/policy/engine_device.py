"""Runs a policy in PyTorch on one device, all of it: observation in, denoised sample out, one captured graph each.

On a GPU nothing is launched kernel by kernel: the encoder with all heads is one CUDA graph, and the sampler with all
its steps is one for every number of active experts. The host waits twice a chunk: for the gate, and for the sample. On
the CPU the same functions are called without being captured, which is how tests run them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smp_bringup.errors import ModelError
from smp_bringup.policy.basis import gram_schmidt
from smp_bringup.policy.build import trained_network
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import X0_LIMIT, schedule
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.types import FloatArray

_WARM = 3
"""Calls before a capture, so that libraries choose their kernels and allocate outside of it."""


def open_device_engine(weights: bytes | None, policy: PolicyConfig, dof: int, device: str) -> "DeviceEngine":
    """Return the engine of a checkpoint's weights: in bfloat16 on a GPU, in single precision on the CPU.

    Raises:
        ModelError: there are no weights, or they do not fit the settings.
    """
    if weights is None:
        raise ModelError(
            "this checkpoint has no weights.safetensors, which PyTorch runs from: train it anew, or use device cpu"
        )
    network = trained_network(weights, policy, dof, "weights.safetensors")
    return DeviceEngine(network, device, torch.bfloat16 if device == "cuda" else torch.float32)


class DeviceEngine(TorchEngine):
    """A trained network whose buffers, sampler and selected weights stay on the device."""

    def __init__(self, network: AbstractNetwork, device: str, precision: torch.dtype) -> None:
        """Move the network; its denoisers are held and computed in `precision`, all else in single precision."""
        super().__init__(network, device)
        for part in network.denoising_parts():
            part.to(precision)
        self._precision = precision
        where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
        kind = {torch.bfloat16: "bf16", torch.float32: "fp32"}[precision]
        self.name = f"PyTorch {torch.__version__} on {where}, {kind}" + (", CUDA graphs" if device == "cuda" else "")
        self.weight_bytes = precision.itemsize
        self._stream = torch.cuda.Stream() if device == "cuda" else None  # type: ignore[no-untyped-call]
        self._inputs: dict[str, _Buffer] = {}
        self._encoder: _Captured | None = None
        self._coded: _Coded | None = None
        self._samplers: dict[tuple[object, ...], _Sampler] = {}
        self._pool = torch.cuda.graph_pool_handle() if device == "cuda" else None
        """Memory that all samplers share: they run one after the other, and each begins anew."""
        self.waits = 0
        """How often the host waited for the device."""

    @torch.inference_mode()
    def encode(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, FloatArray]:
        """See `AbstractEngine`; the values are waited for when one of them is asked for."""
        if self._encoder is None:
            self._inputs = {name: _Buffer(value, self._device) for name, value in inputs.items()}
        for name, value in inputs.items():
            self._inputs[name].upload(value[None], self._stream)
        if self._encoder is None:
            given = {name: buffer.there for name, buffer in self._inputs.items()}
            self._encoder = _Captured(lambda: self._network.code(given, gram_schmidt), self._stream)
        self._coded = _Coded(self._encoder(), self._wait, self._stream)
        return self._coded

    @torch.inference_mode()
    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """See `AbstractEngine`."""
        with self._autocast():
            return super().denoise(expert, feature, x, mask, embedding)

    @torch.inference_mode()
    def sample(
        self,
        task: Denoising,
        noise: FloatArray,
        config: PolicyConfig,
        rng: np.random.Generator,
        known: FloatArray | None = None,
    ) -> FloatArray:
        """See `AbstractEngine`; DDPM, which draws on its way, and a task without denoisers go step by step."""
        if config.sampler != "ddim" or not task.denoisers:
            return super().sample(task, noise, config, rng, known)
        key = task.whole, len(task.columns), config.diffusion_steps, config.denoise_steps, config.prediction
        if key not in self._samplers:
            self._samplers[key] = _Sampler(task, noise.shape, config, self)
        out = self._samplers[key](task, noise, known)
        if known is not None:
            out[: len(known)] = known  # what the sampler says of them is left aside
        return out

    def warm_up(self, config: PolicyConfig, coded: Mapping[str, FloatArray], columns: int) -> dict[str, FloatArray]:
        """See `AbstractEngine`: captures the sampler for every number of active experts."""
        said = super().warm_up(config, coded, columns)
        if not config.splits:
            return said
        blank, rng = np.zeros((config.horizon, columns)), np.random.default_rng(0)
        whole = config.experts if config.denoisers > config.experts else None
        for count in range(config.experts + 1):
            mask = (np.arange(config.experts) < count).astype(float)
            task = Denoising(coded, mask, tuple(range(count)), whole)
            for settings in (config.fewer_steps(), config):
                said[f"{count} experts"] = self.sample(task, blank, settings, rng)
        return said

    def _autocast(self) -> torch.autocast:
        half = self._precision is torch.bfloat16
        return torch.autocast(self._device, torch.bfloat16, enabled=half, cache_enabled=False)

    def _there(self, coded: Mapping[str, FloatArray], name: str) -> Tensor:
        """Return the device's own value of what `encode` gave last, which holds the caller's if that is another."""
        assert self._coded is not None
        value = self._coded.there[name]
        if coded is not self._coded:
            with torch.cuda.stream(self._stream):
                value.copy_(torch.from_numpy(np.asarray(coded[name], dtype=np.float32))[None])
        return value

    def _wait(self) -> None:
        self.waits += 1
        if self._stream is not None:
            self._stream.synchronize()


class _Captured:
    """A function on fixed buffers: on a GPU captured as a CUDA graph at the first call, elsewhere simply called."""

    def __init__(
        self, function: Callable[[], dict[str, Tensor]], stream: "torch.cuda.Stream | None", pool: Any = None
    ) -> None:
        self._function, self._stream, self._pool = function, stream, pool
        self._graph: torch.cuda.CUDAGraph | None = None
        self._out: dict[str, Tensor] = {}

    def __call__(self) -> dict[str, Tensor]:
        """Return the outputs; on a GPU the same buffers every time, filled once the stream comes there."""
        if self._stream is None:
            out = self._function()
            self._out = self._out or out
            for name, value in out.items():
                self._out[name].copy_(value)
            return self._out
        with torch.cuda.stream(self._stream):
            if self._graph is None:
                for _ in range(_WARM):
                    self._function()
                self._stream.synchronize()
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph, pool=self._pool, stream=self._stream):
                    self._out = self._function()
            self._graph.replay()
        return self._out


class _Buffer:
    """One input: pinned memory here, and a buffer of the same shape on the device."""

    def __init__(self, like: np.ndarray, device: str) -> None:
        value = torch.from_numpy(like[None])
        self._here = torch.empty_like(value, pin_memory=device == "cuda")
        self.there = torch.empty_like(value, device=device)

    def upload(self, value: np.ndarray, stream: "torch.cuda.Stream | None") -> None:
        """Put a value on its way; the caller has waited for what the last one was used for."""
        np.copyto(self._here.numpy(), value)  # of a message it is read-only, which PyTorch warns of
        with torch.cuda.stream(stream):
            self.there.copy_(self._here, non_blocking=True)


class _Coded(Mapping[str, FloatArray]):
    """What the encoder gave, on the device; brought here in one piece when the first value is asked for."""

    def __init__(self, there: dict[str, Tensor], wait: Callable[[], None], stream: "torch.cuda.Stream | None") -> None:
        self.there, self._wait = there, wait
        with torch.cuda.stream(stream):
            packed = torch.cat([value.flatten() for value in there.values()])
            self._packed = torch.empty_like(packed, device="cpu", pin_memory=packed.is_cuda)
            self._packed.copy_(packed, non_blocking=True)
        self._here: dict[str, FloatArray] = {}

    def __getitem__(self, name: str) -> FloatArray:
        if not self._here:
            self._wait()
            parts = torch.split(self._packed, [value.numel() for value in self.there.values()])
            self._here = {
                key: part.view(value.shape[1:]).numpy()
                for (key, value), part in zip(self.there.items(), parts, strict=True)
            }
        return self._here[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.there)

    def __len__(self) -> int:
        return len(self.there)


class _Sampler:
    """All steps of the sampler for one number of active experts; which they are is an input."""

    def __init__(self, task: Denoising, shape: tuple[int, ...], config: PolicyConfig, engine: DeviceEngine) -> None:
        self._engine, self._config, self._whole, self._shape = engine, config, task.whole, shape
        self._count, self._columns = int(np.prod(shape)), len(task.columns)
        self._sizes = [self._count, self._count, shape[0], len(task.mask), self._columns]
        self._given = _Buffer(np.zeros(sum(self._sizes), np.float32), engine._device)
        self._run = _Captured(self._sample, engine._stream, engine._pool)
        self._embedding = torch.tensor(schedule(config).embedding, dtype=torch.float32, device=engine._device)

    def __call__(self, task: Denoising, noise: FloatArray, known: FloatArray | None) -> FloatArray:
        """Return the sample (T, N)."""
        given = np.zeros((1, sum(self._sizes)), np.float32)
        parts = np.split(given[0], np.cumsum(self._sizes)[:-1])
        parts[0][:], parts[3][:], parts[4][:] = noise.ravel(), task.mask, task.columns
        if known is not None:
            parts[1][: known.size], parts[2][: len(known)] = known.ravel(), 1.0
        engine = self._engine
        self._feature = engine._there(task.coded, "feature")
        self._basis = engine._there(task.coded, "basis") if self._columns and self._whole is not None else None
        self._given.upload(given, engine._stream)
        there = self._run()["sample"]
        here = torch.empty_like(there, device="cpu", pin_memory=there.is_cuda)
        with torch.cuda.stream(engine._stream):
            here.copy_(there, non_blocking=True)
        engine._wait()
        return here[0].numpy().astype(np.float64)

    def _sample(self) -> dict[str, Tensor]:
        """The sampler of `denoise.sample`, on the device's buffers."""
        noise, known, held, mask, experts = torch.split(self._given.there[0], self._sizes)
        noise, known = noise.view(1, *self._shape), known.view(1, *self._shape)
        rows, plan = held.view(1, -1, 1) > 0, schedule(self._config)
        predict, x = self._predictor(mask[None], experts.long()), noise
        for step in range(len(plan.signal)):
            signal, sigma = float(plan.signal[step]), float(plan.noise[step])
            x = torch.where(rows, signal * known + sigma * noise, x)
            out = predict(x, self._embedding[step : step + 1])
            clean = out if self._config.prediction == "x0" else (x - sigma * out) / signal
            clean = clean.clamp(-X0_LIMIT, X0_LIMIT)
            if step + 1 < len(plan.signal):
                kept = float(plan.residual[step]) / sigma
                x = (float(plan.signal[step + 1]) - kept * signal) * clean + kept * x
        return {"sample": clean}

    def _predictor(self, mask: Tensor, experts: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what the denoisers say together of a noisy sample (1, T, N), at a step's embedding (1, 32)."""
        network, feature, autocast = self._engine._network, self._feature, self._engine._autocast
        with autocast():
            whole = None if self._whole is None else network.denoiser_of(self._whole, feature, mask)
            columns = network.columns_of(experts, feature, mask) if self._columns else None

        def predict(x: Tensor, embedding: Tensor) -> Tensor:
            with autocast():
                if columns is None:
                    assert whole is not None
                    return whole(x, embedding).float()
                seen = x if whole is not None else x * mask
                each = torch.zeros(1, len(x[0]), mask.shape[1], device=x.device)
                each = each.index_copy(2, experts, columns(seen, embedding).float())
                if whole is None:
                    return each
                said = whole(x, embedding).float()
            assert self._basis is not None
            return said + each @ self._basis.transpose(1, 2)

        return predict
