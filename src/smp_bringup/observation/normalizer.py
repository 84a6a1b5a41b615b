"""Joint positions mapped to about [-1, 1] and back; travels in the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smp_bringup.documents import kind_of
from smp_bringup.errors import ModelError
from smp_bringup.observation.senses import Senses
from smp_bringup.types import FloatArray

_MIN_HALF_RANGE = 0.02
"""A joint that hardly moves in the data must not amplify its noise [rad]; grippers move 1.8 cm."""

_NONE = Senses()
_LEAST, _MOST = 1e-4, 1e3
"""What a checkpoint may say of half ranges, and of any number [rad, m]; real ones lie far within."""


def _numbers(said: object) -> FloatArray:
    """Return a list of plain numbers; raises TypeError for any other, which numpy would make numbers of."""
    if not isinstance(said, list) or not all(type(value) in (int, float) for value in said):
        raise TypeError(f"{kind_of(said)} is none")
    return np.array(said, dtype=np.float64)


@dataclass(frozen=True)
class Normalizer:
    """Affine per joint: (x - center) / half_range."""

    center: FloatArray
    """(J,)."""
    half_range: FloatArray
    """(J,), positive."""
    senses: Senses = _NONE
    """Of what is seen beside the joints."""

    @staticmethod
    def from_data(positions: FloatArray, senses: Senses = _NONE) -> "Normalizer":
        """Return the normaliser that maps the range of `positions` (N, J) to [-1, 1], beside that of other senses."""
        low, high = positions.min(axis=0), positions.max(axis=0)
        return Normalizer((low + high) / 2, np.maximum((high - low) / 2, _MIN_HALF_RANGE), senses)

    @staticmethod
    def from_dict(data: Mapping[str, Any], dof: int, senses: Senses = _NONE) -> "Normalizer":
        """Return the normaliser of `dof` joints in a checkpoint, beside what that says of other senses.

        Raises:
            ModelError: an array is missing, of another length, or holds what no joint has.
        """
        try:
            center, half = (_numbers(data[key]) for key in ("center", "half_range"))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ModelError(f"normalizer.json lacks center or half_range as lists of numbers: {error}") from None
        if center.shape != (dof,) or half.shape != (dof,):
            raise ModelError(f"normalizer.json has {center.size} joints, the robot has {dof}")
        if not (np.isfinite(center).all() and np.isfinite(half).all() and (half > 0).all()):
            raise ModelError("normalizer.json holds numbers that are not finite or not positive")
        if not (np.abs(center).max() <= _MOST and half.min() >= _LEAST and half.max() <= _MOST):
            raise ModelError(
                f"normalizer.json holds what no joint has: centers must lie in [-{_MOST:g}, {_MOST:g}], half ranges in "
                f"[{_LEAST:g}, {_MOST:g}] rad or m: train or export it anew"
            )
        return Normalizer(center, half, senses)

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays as lists, for JSON."""
        return {"center": self.center.tolist(), "half_range": self.half_range.tolist(), **self.senses.to_dict()}

    def normalise(self, position: FloatArray) -> FloatArray:
        """Return (..., J) positions in normalised units."""
        return (position - self.center) / self.half_range

    def denormalise(self, value: FloatArray) -> FloatArray:
        """Return (..., J) positions in rad and m."""
        return value * self.half_range + self.center
