"""What a policy's numbers say of an action chunk: joint positions, or a motion from where the joints are measured."""

from abc import ABC, abstractmethod

import numpy as np

from smp_bringup.observation.hand_motion import HandMotion, hand_arms
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray


class ActionCode(ABC):
    """Joint positions as other numbers, as many of them, and back; grippers and bases stay as they are."""

    @abstractmethod
    def encode(self, action: FloatArray, position: FloatArray) -> FloatArray:
        """Return a chunk (..., T, J) [rad], [m] as it is told from where the joints (..., J) are."""

    @abstractmethod
    def decode(self, told: FloatArray, position: FloatArray, known: FloatArray | None = None) -> FloatArray:
        """Return the joint positions (..., T, J) [rad], [m] of what is told (..., T, J); undoes `encode`.

        Args:
            told: numbers of the code.
            position: where the joints (..., J) were measured.
            known: the first joint positions (d, J), where they are committed: what is told continues them.
        """

    def to_dict(self) -> dict[str, str]:
        """Return what a checkpoint must say so that its numbers are never taken for others; JSON."""
        return {}


class Relative(ActionCode):
    """How far a joint goes from where it is [rad]."""

    def __init__(self, robot: Robot) -> None:
        self._moves = _moves(robot)

    def encode(self, action: FloatArray, position: FloatArray) -> FloatArray:
        """See `ActionCode`."""
        told: FloatArray = action - position[..., None, :] * self._moves
        return told

    def decode(self, told: FloatArray, position: FloatArray, known: FloatArray | None = None) -> FloatArray:
        """See `ActionCode`: `known` is what is told anyway."""
        action: FloatArray = told + position[..., None, :] * self._moves
        return action


class Hand(ActionCode):
    """How far the hand of each arm goes and turns from where it is, in its own axes [m], [rad]; see `HandMotion`."""

    def __init__(self, robot: Robot) -> None:
        """Raise ConfigError where no arm's hand can be told of."""
        self._hands = [(part, HandMotion(arm)) for arm, part in hand_arms(robot)]

    def encode(self, action: FloatArray, position: FloatArray) -> FloatArray:
        """See `ActionCode`."""
        told = np.array(action)
        for part, hand in self._hands:
            told[..., part] = hand.encode(action[..., part], position[..., part])
        return told

    def decode(self, told: FloatArray, position: FloatArray, known: FloatArray | None = None) -> FloatArray:
        """See `ActionCode`; what Newton's steps do not reach, as near a singular pose, they leave off."""
        action = np.array(told)
        for part, hand in self._hands:
            committed = None if known is None else known[..., part]
            action[..., part] = hand.decode(told[..., part], position[..., part], committed)
        return action

    def to_dict(self) -> dict[str, str]:
        """See `ActionCode`: by what geometry the hands were found."""
        return {hand.name: hand.digest for _, hand in self._hands}


CODES: dict[str, type[Relative] | type[Hand]] = {"relative": Relative, "hand": Hand}
ACTIONS = ("absolute", *CODES)
"""What a policy's actions can be."""


def action_code(name: str, robot: Robot) -> ActionCode | None:
    """Return the code of a policy's actions, one of ACTIONS; None where they are joint positions.

    Raises:
        ConfigError: the robot has no hand that can be told of.
    """
    return CODES[name](robot) if name in CODES else None


def _moves(robot: Robot) -> np.ndarray:
    """Return (J,) which entries are told as motions: grippers open to a place, and a base is told speeds anyway."""
    bases = {joint.name for arm in robot.arms if arm.is_base for joint in arm.joints}
    return np.array([not joint.gripper and joint.name not in bases for joint in robot.joints])
