"""Joint positions, and actions, mapped to about [-1, 1] and back; travels in the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smp_bringup.documents import kind_of
from smp_bringup.errors import ModelError
from smp_bringup.observation.actions import ActionCode
from smp_bringup.observation.senses import Senses
from smp_bringup.types import FloatArray

_MIN_HALF_RANGE = 0.02
"""A joint that hardly moves in the data must not amplify its noise [rad]; grippers move 1.8 cm."""

_AT_ONCE = 2048
"""Chunks that are told at once: what is found on the way is a hundred times as large as they are."""

_NONE = Senses()
_LEAST, _MOST = 1e-4, 1e3
"""What a checkpoint may say of half ranges, and of any number [rad, m]; real ones lie far within."""


def _numbers(said: object) -> FloatArray:
    """Return a list of plain numbers; raises TypeError for any other, which numpy would make numbers of."""
    if not isinstance(said, list) or not all(type(value) in (int, float) for value in said):
        raise TypeError(f"{kind_of(said)} is none")
    return np.array(said, dtype=np.float64)


@dataclass(frozen=True)
class CodedActions:
    """Actions that are no joint positions: how they are told, and the scale of each of their numbers."""

    code: ActionCode
    center: FloatArray
    """(J,)."""
    half_range: FloatArray
    """(J,), positive."""

    @staticmethod
    def from_data(code: ActionCode, action: FloatArray, position: FloatArray) -> "CodedActions":
        """Return the scales that map the range of chunks (N, T, J) told from joints (N, J) to [-1, 1]."""
        ends = []
        for first in range(0, len(action), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            told = code.encode(action[part], position[part]).reshape(-1, action.shape[-1])
            ends += [told.min(axis=0), told.max(axis=0)]
        return CodedActions(code, *_range(np.array(ends)))

    @staticmethod
    def from_dict(data: object, dof: int, code: ActionCode) -> "CodedActions":
        """Return what a checkpoint says of a code's numbers.

        Raises:
            ModelError: it is missing or broken, or is of hands with another geometry.
        """
        if not isinstance(data, Mapping):
            raise ModelError("normalizer.json lacks actions, which this policy's are told by: train it anew")
        hands = data.get("hands")
        for arm, digest in code.to_dict().items():
            if not isinstance(hands, Mapping) or hands.get(arm) != digest:
                raise ModelError(f"the geometry of arm '{arm}' is not the one that the policy's hand was trained with")
        return CodedActions(code, *_scales(data, dof))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        scales = {"center": self.center.tolist(), "half_range": self.half_range.tolist()}
        return scales | ({"hands": hands} if (hands := self.code.to_dict()) else {})


@dataclass(frozen=True)
class Normalizer:
    """Affine per joint: (x - center) / half_range."""

    center: FloatArray
    """(J,)."""
    half_range: FloatArray
    """(J,), positive."""
    senses: Senses = _NONE
    """Of what is seen beside the joints."""
    actions: CodedActions | None = None
    """Of actions that are no joint positions."""

    @staticmethod
    def from_data(positions: FloatArray, senses: Senses = _NONE, actions: CodedActions | None = None) -> "Normalizer":
        """Return the normaliser that maps the range of `positions` (N, J) to [-1, 1], beside those of all else."""
        return Normalizer(*_range(positions), senses, actions)

    @staticmethod
    def from_dict(
        data: Mapping[str, Any], dof: int, senses: Senses = _NONE, code: ActionCode | None = None
    ) -> "Normalizer":
        """Return the normaliser of `dof` joints in a checkpoint, beside what that says of other senses and of a code.

        Raises:
            ModelError: an array is missing, of another length, or holds what no joint has.
        """
        actions = None if code is None else CodedActions.from_dict(data.get("actions"), dof, code)
        return Normalizer(*_scales(data, dof), senses, actions)

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays as lists, for JSON."""
        scales = {"center": self.center.tolist(), "half_range": self.half_range.tolist(), **self.senses.to_dict()}
        return scales if self.actions is None else {**scales, "actions": self.actions.to_dict()}

    def normalise(self, position: FloatArray) -> FloatArray:
        """Return (..., J) positions in normalised units."""
        return (position - self.center) / self.half_range

    def denormalise(self, value: FloatArray) -> FloatArray:
        """Return (..., J) positions in rad and m."""
        return value * self.half_range + self.center

    def normalise_action(self, action: FloatArray, position: FloatArray) -> FloatArray:
        """Return chunks (..., T, J) [rad], [m] in normalised units, told from where the joints (..., J) are."""
        if self.actions is None:
            return self.normalise(action)
        return (self.actions.code.encode(action, position) - self.actions.center) / self.actions.half_range

    def denormalise_action(
        self, value: FloatArray, position: FloatArray, known: FloatArray | None = None
    ) -> FloatArray:
        """Return joint positions (..., T, J) [rad], [m] of chunks in normalised units; undoes `normalise_action`.

        Arguments as of `ActionCode.decode`.
        """
        if self.actions is None:
            return self.denormalise(value)
        return self.actions.code.decode(value * self.actions.half_range + self.actions.center, position, known)


def _range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the center and the half range (J,) of values (N, J)."""
    low, high = values.min(axis=0), values.max(axis=0)
    return (low + high) / 2, np.maximum((high - low) / 2, _MIN_HALF_RANGE)


def _scales(data: Mapping[str, Any], dof: int) -> tuple[FloatArray, FloatArray]:
    """Return center and half range (J,) that a checkpoint says; raises ModelError where they are broken."""
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
    return center, half
