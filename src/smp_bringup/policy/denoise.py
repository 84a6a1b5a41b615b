"""Noise schedule and samplers: DDIM (arXiv 2010.02502) and DDPM (arXiv 2006.11239), on any number of steps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from smp_bringup.policy.config import PolicyConfig
from smp_bringup.types import FloatArray

EMBEDDING = 32
X0_LIMIT = 3.0
"""Predictions are clipped here; normalised actions lie in about [-1, 1], coefficients have unit RMS."""

Denoiser = Callable[[FloatArray, FloatArray], FloatArray]
"""Maps a noisy sample and a step embedding (32,) to the clean sample, or to the noise in it."""


def alphas_cumprod(steps: int) -> FloatArray:
    """Return the signal share alpha-bar (steps,) of the squared-cosine schedule (arXiv 2102.09672)."""
    t = np.linspace(0, 1, steps + 1)
    bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.clip(1 - bar[1:] / bar[:-1], 0, 0.999)
    return np.asarray(np.cumprod(1 - beta))


def visited_steps(diffusion_steps: int, denoise_steps: int) -> list[int]:
    """Return the diffusion steps to visit, noisiest first; always starts from the noisiest."""
    return [round(i) for i in np.linspace(diffusion_steps - 1, 0, denoise_steps)]


def step_embedding(step: int, diffusion_steps: int) -> FloatArray:
    """Return the sinusoidal embedding (32,) of a diffusion step."""
    frequency = np.exp(np.linspace(0, np.log(1000), EMBEDDING // 2))
    angle = step / diffusion_steps * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)])


@dataclass(frozen=True)
class Schedule:
    """All that a sampler knows before it begins, per step that it visits, noisiest first."""

    embedding: FloatArray
    """(S, 32)."""
    signal: FloatArray
    """(S,) square root of alpha-bar."""
    noise: FloatArray
    """(S,) square root of what is left."""
    residual: FloatArray
    """(S - 1,) of the noise in it that the next sample keeps."""
    fresh: FloatArray
    """(S - 1,) of the new noise that is added to the next sample; zeros for DDIM."""


def schedule(config: PolicyConfig) -> Schedule:
    """Return the schedule of a policy's sampler."""
    return _schedule(config.diffusion_steps, config.denoise_steps, config.sampler)


@cache
def _schedule(diffusion_steps: int, denoise_steps: int, sampler: str) -> Schedule:
    visits = visited_steps(diffusion_steps, denoise_steps)
    bar = alphas_cumprod(diffusion_steps)[visits]
    embedding = np.array([step_embedding(step, diffusion_steps) for step in visits])
    ddpm = sampler == "ddpm"
    variance = np.array([_fresh(a, b) if ddpm else 0.0 for a, b in pairwise(bar)])
    return Schedule(embedding, np.sqrt(bar), np.sqrt(1 - bar), np.sqrt(1 - bar[1:] - variance), np.sqrt(variance))


def sample(
    denoiser: Denoiser,
    noise: FloatArray,
    config: PolicyConfig,
    rng: np.random.Generator,
    known: FloatArray | None = None,
) -> FloatArray:
    """Return the sample that starts from `noise`.

    Args:
        denoiser: of the sample.
        noise: (T, N).
        config: schedule and sampler.
        rng: of the noise that DDPM adds at its steps.
        known: the clean sample's first rows (d, N), where they are given: inpainted, as in arXiv 2201.09865.
    """
    rows = 0 if known is None else len(known)
    plan, x = schedule(config), noise
    for step, (embedding, signal, sigma) in enumerate(zip(plan.embedding, plan.signal, plan.noise, strict=True)):
        if known is not None:
            x = np.concatenate([signal * known + sigma * noise[:rows], x[rows:]])
        out = denoiser(x, embedding)
        clean = out if config.prediction == "x0" else (x - sigma * out) / signal
        clean = np.clip(clean, -X0_LIMIT, X0_LIMIT)
        if known is not None:
            clean[:rows] = known
        if step + 1 == len(plan.signal):
            break
        x = plan.signal[step + 1] * clean + plan.residual[step] * ((x - signal * clean) / sigma)
        if plan.fresh[step]:
            x = x + plan.fresh[step] * config.noise * rng.normal(size=x.shape)
    return clean


def _fresh(bar: float, after: float) -> float:
    """Return the variance of the noise that a DDPM step from `bar` to `after` adds (its posterior's)."""
    return float((1 - after) / (1 - bar) * (1 - bar / after))
