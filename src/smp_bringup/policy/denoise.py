"""Noise schedule and deterministic DDIM sampling (arXiv 2010.02502) of an x0-predicting denoiser."""

from collections.abc import Callable

import numpy as np

from smp_bringup.types import FloatArray

_EMBEDDING = 32
X0_LIMIT = 3.0
"""Predictions are clipped here; normalised actions lie in about [-1, 1], coefficients have unit RMS."""


def alphas_cumprod(steps: int) -> FloatArray:
    """Return the signal share alpha-bar (steps,) of the squared-cosine schedule (arXiv 2102.09672)."""
    t = np.linspace(0, 1, steps + 1)
    bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.clip(1 - bar[1:] / bar[:-1], 0, 0.999)
    return np.asarray(np.cumprod(1 - beta))


def ddim_steps(diffusion_steps: int, denoise_steps: int) -> list[int]:
    """Return the diffusion steps to visit, noisiest first; always starts from the noisiest."""
    return [round(i) for i in np.linspace(diffusion_steps - 1, 0, denoise_steps)]


def step_embedding(step: int, diffusion_steps: int) -> FloatArray:
    """Return the sinusoidal embedding (32,) of a diffusion step."""
    frequency = np.exp(np.linspace(0, np.log(1000), _EMBEDDING // 2))
    angle = step / diffusion_steps * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)])


def ddim(
    denoiser: Callable[[FloatArray, FloatArray], FloatArray],
    noise: FloatArray,
    diffusion_steps: int,
    denoise_steps: int,
) -> FloatArray:
    """Return the sample that starts from `noise`.

    Args:
        denoiser: maps a noisy sample and a step embedding (32,) to the clean sample.
        noise: any shape.
        diffusion_steps: steps of the schedule that the denoiser was trained with.
        denoise_steps: calls of the denoiser.
    """
    bar = alphas_cumprod(diffusion_steps)
    visits = ddim_steps(diffusion_steps, denoise_steps)
    x = noise
    for i, step in enumerate(visits):
        clean = np.clip(denoiser(x, step_embedding(step, diffusion_steps)), -X0_LIMIT, X0_LIMIT)
        if i + 1 == len(visits):
            break
        residual = (x - np.sqrt(bar[step]) * clean) / np.sqrt(1 - bar[step])
        after = bar[visits[i + 1]]
        x = np.sqrt(after) * clean + np.sqrt(1 - after) * residual
    return clean
