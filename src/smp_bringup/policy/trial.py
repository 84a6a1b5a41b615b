"""A policy that was loaded is run once before anything relies on it, and in bounded time."""

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from smp_bringup.errors import ModelError, SmpError, one_line
from smp_bringup.policy.base import AbstractPolicy, DeployedPolicy, require_finite
from smp_bringup.robot import Robot
from smp_bringup.types import Observation
from smp_bringup.words.encoder import SIZE as WORDS_SIZE

T = TypeVar("T")

LIMIT_S = 30.0
"""Loading and one chunk take a tenth of a second; what takes so long does not end."""


def within(limit_s: float, what: str, work: Callable[[], T]) -> T:
    """Return what `work` returns.

    Native code cannot be interrupted: what takes too long goes on in a thread that ends with the process.

    Raises:
        ModelError: it takes longer than `limit_s` [s], or fails.
        SmpError: as `work` does.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # ONNX Runtime raises its own types, and a foreign model causes any of ours
            errors.append(error)

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise ModelError(f"{what} takes longer than {limit_s:g} s: it may never end; train or export it anew")
    if results:
        return results[0]
    error = errors.pop()
    try:
        if isinstance(error, SmpError):
            raise error
        raise ModelError(f"{what} fails: {one_line(repr(error))[:300]}: train or export it anew") from error
    finally:
        del error  # its traceback holds this frame, and would keep the caller's objects alive


def blank(robot: Robot, steps: int, objects: int = 0) -> Observation:
    """Return an observation at home that shows nothing: vectors, `objects` numbers of poses, and words are zero."""
    images = {c.name: np.stack([c.blank(c.observation_height, c.observation_width)] * steps) for c in robot.cameras}
    vectors = {vector.name: np.zeros((steps, vector.length)) for vector in robot.vectors}
    home = np.tile(robot.joint_array("home"), (steps, 1))
    poses = np.zeros((steps, objects)) if objects else None
    return Observation(1, images, home, np.zeros_like(home), poses, vectors, np.zeros(WORDS_SIZE))


def try_out(policy: DeployedPolicy, robot: Robot) -> None:
    """Run a policy once.

    Raises:
        ModelError: an output is missing or not finite.
    """
    config = policy.config
    observation = blank(robot, config.observation_steps, policy.engine.input_length("objects"))
    coded = policy.encode(observation)
    for name, value in coded.items():
        require_finite(name, value)
    try:
        chunk, _ = policy.infer(observation, 0)
    except KeyError as error:
        raise ModelError(f"the encoder lacks the output {error}, it has {', '.join(sorted(coded))}") from None
    require_finite("chunk", chunk.position)
    if chunk.position.shape != (config.horizon, robot.dof):
        raise ModelError(f"a chunk has the shape {chunk.position.shape}, not {(config.horizon, robot.dof)}")


def warm_up(policy: AbstractPolicy, robot: Robot) -> None:
    """Run once all that a policy may be asked for, as is to be done before it moves arms.

    Raises:
        ModelError: it takes longer than loading each expert may take; or see `DeployedPolicy.warm_up`.
        WorkerError: as `infer` does.
    """
    objects = policy.engine.input_length("objects") if isinstance(policy, DeployedPolicy) else 0
    observation = blank(robot, policy.config.observation_steps, objects)
    limit_s = LIMIT_S * max(1, policy.config.denoisers)
    within(limit_s, f"warming up {policy.config.kind}", lambda: policy.warm_up(observation))
