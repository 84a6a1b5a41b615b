"""Statistics of features as LeRobot keeps them: of each episode, and of all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smp_bringup.types import FloatArray, ImageArray

Stats = dict[str, list[Any]]

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_SAMPLED_FRAMES = 32
"""Frames per episode and camera that the statistics of images are taken from."""


def of_rows(values: np.ndarray) -> Stats:
    """Return the statistics of rows (N, D)."""
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": values.mean(axis=0, dtype=np.float64).tolist(),
        "std": values.std(axis=0, dtype=np.float64).tolist(),
        "count": [len(values)],
        **dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
    }


def of_images(frames: Sequence[ImageArray]) -> Stats:
    """Return the statistics of each colour of frames (H, W, 3), from 0 to 1, in the shape (3, 1, 1)."""
    chosen = np.linspace(0, len(frames) - 1, min(_SAMPLED_FRAMES, len(frames))).round().astype(int)
    flat = of_rows(np.stack([frames[i] for i in chosen]).reshape(-1, 3) / 255.0)
    return {k: [[[x]] for x in v] for k, v in flat.items() if k != "count"} | {"count": [len(chosen)]}


def of_all(rows: Sequence[Mapping[str, Any]], name: str) -> Stats:
    """Return the statistics of a feature over all episodes from those of each; quantiles are weighted means."""
    part = {
        word: np.array([row[f"stats/{name}/{word}"] for row in rows], dtype=np.float64)
        for word in ("min", "max", "mean", "std", "count", *QUANTILES)
    }
    weight: FloatArray = part["count"].reshape(len(rows), *[1] * (part["mean"].ndim - 1)) / part["count"].sum()
    mean = (part["mean"] * weight).sum(axis=0)
    variance = ((part["std"] ** 2 + (part["mean"] - mean) ** 2) * weight).sum(axis=0)
    return {
        "min": part["min"].min(axis=0).tolist(),
        "max": part["max"].max(axis=0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [int(part["count"].sum())],
        **{word: (part[word] * weight).sum(axis=0).tolist() for word in QUANTILES},
    }
