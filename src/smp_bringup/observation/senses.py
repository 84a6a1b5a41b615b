"""Normalisers of what a policy sees beside joints and colour: vectors by their spread in the bags, depth by its range.

A vector is mapped so that its 1st and 99th percentile lie at -1 and 1, number by number: a few hits must not squeeze
the forces of ordinary work into nothing, as they do between the smallest and the largest. Depth is mapped from the
range that the robot file states to [0, 1], which is the same for every set of bags, and no measurement to -1, which no
distance has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import ModelError, one_line
from smp_bringup.types import MM_PER_M, FloatArray, ImageArray

UNMEASURED = -1.0
"""What a policy sees where depth is not measured."""
_PERCENTILES = (1, 99)
_LEAST_SHARE = 1e-6
"""A number that hardly changes in the bags, beside its size, is left as it is: noise is not magnified."""
_MOST = 1e9


@dataclass(frozen=True)
class Senses:
    """Normalisers of vectors and depth cameras, by name; a policy that sees neither has none."""

    vectors: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    """Per vector (center, half_range), (n,) each."""
    depth: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Per depth camera its range [m]."""

    @staticmethod
    def from_data(vectors: Mapping[str, FloatArray], depth: Mapping[str, tuple[float, float]]) -> "Senses":
        """Return the normalisers of vectors, fitted to what the bags hold (N, n), and of depth cameras' ranges [m]."""
        return Senses({name: _fitted(values) for name, values in vectors.items()}, dict(depth))

    @staticmethod
    def from_dict(data: Mapping[str, Any], lengths: Mapping[str, int], depth: Sequence[str]) -> "Senses":
        """Return the normalisers in a checkpoint's normalizer.json.

        Args:
            data: the file.
            lengths: numbers of each vector that the policy sees, as the robot file has them.
            depth: the depth cameras that it sees.

        Raises:
            ModelError: one is missing, or holds what cannot be.
        """
        try:
            said = data.get("vectors", {}), data.get("depth", {})
            vectors = {
                name: tuple(_numbers(said[0][name][key]) for key in ("center", "half_range")) for name in lengths
            }
            ranges = {name: tuple(_numbers(said[1][name])) for name in depth}
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ModelError(f"normalizer.json lacks what the policy sees: {one_line(repr(error))[:200]}") from None
        for name, (center, half) in vectors.items():
            if center.shape != (lengths[name],) or half.shape != center.shape or not (half > 0).all():
                raise ModelError(f"normalizer.json does not fit vector '{name}', which has {lengths[name]} numbers")
        for name, limits in ranges.items():
            if len(limits) != 2 or not 0 < limits[0] < limits[1]:
                raise ModelError(f"normalizer.json: depth of '{name}' must be a range in m")
        return Senses(vectors, {name: (float(low), float(high)) for name, (low, high) in ranges.items()})  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; nothing for a policy that sees neither."""
        out: dict[str, Any] = {}
        if self.vectors:
            out["vectors"] = {
                name: {"center": center.tolist(), "half_range": half.tolist()}
                for name, (center, half) in self.vectors.items()
            }
        if self.depth:
            out["depth"] = {name: list(limits) for name, limits in self.depth.items()}
        return out

    def vector_input(self, vectors: Mapping[str, FloatArray]) -> NDArray[np.float32]:
        """Return what an encoder sees of vectors (..., n) by name: all it was trained with, normalised (..., V)."""
        parts = [(vectors[name] - center) / half for name, (center, half) in self.vectors.items()]
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def depth_input(self, camera: str, image: ImageArray) -> NDArray[np.float32]:
        """Return what an encoder sees of depth (..., h, w, 1) [mm]: [0, 1] over the range, `UNMEASURED` where 0."""
        low, high = (limit * MM_PER_M for limit in self.depth[camera])
        share = ((image - low) / (high - low)).clip(0, 1)
        return np.where(image == 0, UNMEASURED, share).astype(np.float32)


def _fitted(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return center and half range (n,) of a vector in the bags (N, n)."""
    low, high = np.percentile(np.asarray(values, dtype=np.float64), _PERCENTILES, axis=0)
    center, half = (low + high) / 2, (high - low) / 2
    return center, np.where(half > _LEAST_SHARE * np.maximum(1.0, np.abs(center)), half, 1.0)


def _numbers(values: Any) -> FloatArray:
    """Return a list of numbers as an array; raises ValueError for what is none, or larger than any."""
    out = np.array(values, dtype=np.float64)
    if not (np.abs(out) <= _MOST).all():
        raise ValueError("a number that is not finite")
    return out
