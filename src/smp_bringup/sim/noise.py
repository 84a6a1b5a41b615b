"""A policy whose sensors are noisy: how much of its success remains says how much it leans on exact values."""

from dataclasses import replace

import numpy as np

from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.robot import Robot
from smp_bringup.tasks.state import POSE_SIZE
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation


class NoisySensors(AbstractPolicy):
    """Wraps a policy; white noise on the joints and on the object poses that it is told, images unchanged.

    Grippers (travel of 3.6 cm) and the task are left alone, and so are the slots that are empty.
    """

    def __init__(self, policy: AbstractPolicy, robot: Robot, std: float, seed: int) -> None:
        """`std` is in rad for joints, m for positions, and without unit for the axes of objects."""
        self.config, self._policy = policy.config, policy
        self._rng = np.random.default_rng(seed)
        self._joints = std * robot.turning
        self._std = std

    def words_of(self, sentence: str) -> FloatArray | None:
        """As of the wrapped policy."""
        return self._policy.words_of(sentence)

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk of the wrapped policy for what its sensors say."""
        position = observation.position + self._rng.normal(size=observation.position.shape) * self._joints
        objects = observation.objects
        if objects is not None:
            poses = (np.arange(objects.shape[1]) < POSE_SIZE) & (objects != 0)
            objects = objects + self._rng.normal(size=objects.shape) * self._std * poses
        return self._policy.infer(replace(observation, position=position, objects=objects), seed, prefix)
