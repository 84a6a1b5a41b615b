"""A policy of LeRobot as one of ours: checked against the robot at load, asked over a pipe."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from smp_bringup.errors import ConfigError, ModelError, one_line
from smp_bringup.lerobot.deployment import Found, find
from smp_bringup.lerobot.process import Process
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import INTO_MAPPING, ImportMapping, require_one_camera_each
from smp_bringup.mapping.extent import Extent
from smp_bringup.mapping.vectors import Vectors
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.trial import blank
from smp_bringup.robot import Robot
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation

_SAME_PERIOD = 0.01
"""Share by which the period of a dataset may differ from the robot's action period."""


class LerobotPolicy(AbstractPolicy):
    """Observations to one process of LeRobot's environment, chunks back."""

    inpaints = False

    def __init__(self, config: PolicyConfig, process: Process, parts: "Parts", task: str) -> None:
        """Join the parts; see `load`."""
        self.config, self._process, self._parts, self.told = config, process, parts, task

    @property
    def runs_in(self) -> str:
        """LeRobot's own process."""
        return "LeRobot"

    @property
    def process(self) -> Process:
        """Where the policy runs."""
        return self._process

    def words_of(self, sentence: str) -> None:
        """Return nothing: what is told crosses the pipe as it is, and LeRobot embeds it."""

    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """See `AbstractPolicy`; `prefix` is refused before it comes here, by `build_planner`.

        Raises:
            WorkerError: the process died, or does not answer.
            ModelError: the policy fails in it.
        """
        parts = self._parts
        arrays: dict[str, np.ndarray] = {layout.STATE: parts.state.theirs(observation.position).astype(np.float32)}
        arrays |= {key: observation.images[camera] for camera, key in parts.cameras.items()}
        stage_ms, action = self._process.infer(arrays, seed, observation.told or self.told)
        if action.ndim != 2 or action.shape[1] != len(parts.action.index):
            raise ModelError(
                f"LeRobot's policy gave a chunk of shape {action.shape}, not (T, {len(parts.action.index)})"
            )
        chunk = ActionChunk(observation.stamp_ns, parts.period_s, parts.action.ours(action.astype(np.float64)))
        one = np.ones(1)
        return chunk, GateReport(observation.stamp_ns, one, one, (0,), 1.0, one.astype(np.int64), stage_ms)


class Parts:
    """What of the robot is what of the policy."""

    def __init__(self, found: Found, robot: Robot) -> None:
        """Look up joints and cameras, and compare sizes, rate and units.

        Raises:
            ConfigError: something has no counterpart, or another size, rate or unit; the message says what to write.
        """
        mapping = found.mapping or ImportMapping(robot.name)
        self.period_s = robot.action_period_s
        self.state = Vectors.measured(robot, mapping, found.state_names)
        self.action = Vectors.told(robot, mapping, found.action_names)
        self.cameras = _cameras(_features(found, "input_features"), mapping, robot)
        """Feature by camera."""
        for key, names in ((layout.STATE, found.state_names), (layout.ACTION, found.action_names)):
            feature = {**_features(found, "input_features"), **_features(found, "output_features")}.get(key)
            if feature is None:
                raise ConfigError(f"'{found.checkpoint}' has no {key}: only policies of joints are run")
            if feature[1] != (len(names),):
                raise ConfigError(f"{key} has shape {feature[1]} in '{found.checkpoint}', and {len(names)} names")
        if abs(1 / found.rate_hz - self.period_s) > _SAME_PERIOD * self.period_s:
            raise ConfigError(
                f"'{found.checkpoint}' was trained on {found.rate_hz:g} frames a second, robot '{robot.name}' acts "
                f"every {self.period_s:g} s: write action_period_s: {1 / found.rate_hz:.4g} into the robot file"
            )
        self._require_units(found, mapping, robot)

    def _require_units(self, found: Found, mapping: ImportMapping, robot: Robot) -> None:
        extent = Extent(robot, mapping)
        for file in sorted(found.checkpoint.glob("*normalizer*.safetensors")):
            try:
                numbers = load_file(file)
            except (OSError, SafetensorError) as error:
                raise ModelError(f"'{file}' cannot be read: {one_line(error)[:200]}") from None
            for key, vectors in ((layout.STATE, self.state), (layout.ACTION, self.action)):
                reach = [numbers.get(f"{key}.{word}") for word in ("min", "max")]
                if all(row is not None and row.shape == (len(vectors.index),) for row in reach):
                    extent.add(key, vectors.ours(np.stack(reach).astype(np.float64)))  # type: ignore[arg-type]
        extent.judge()


def load(model: Path, robot: Robot, device: str = "cpu") -> LerobotPolicy:
    """Return the policy that `lerobot:PATH` names, in a process that is ready.

    Raises:
        ConfigError: it does not fit the robot, or too little is known of it.
        ModelError: there is no such checkpoint, or LeRobot does not load it.
        WorkerError: the process dies or hangs.
    """
    found = find(model)
    parts = Parts(found, robot)
    steps = found.settings.get("n_obs_steps")
    if type(steps) is not int or not 0 < steps <= 16:
        raise ConfigError(f"'{found.checkpoint}' sees {one_line(steps)[:40]} observations, allowed: 1 to 16")
    process = Process(found.python, found.checkpoint, device)
    kind = f"lerobot:{one_line(process.about['type'])}"
    config = PolicyConfig(
        kind, tuple(parts.cameras), observation_steps=steps, replan_s=found.told.replan_s, words=found.is_told
    )
    policy = LerobotPolicy(config, process, parts, found.told.task)
    chunk, _ = policy.infer(blank(robot, steps), 0)
    if not np.isfinite(chunk.position).all():
        raise ModelError(
            f"a chunk of '{found.checkpoint}' for a blank observation is not finite: its weights are broken"
        )
    if len(chunk.position) * chunk.period_s <= config.replan_s:
        raise ConfigError(
            f"'{found.checkpoint}' gives {len(chunk.position)} actions, {len(chunk.position) * chunk.period_s:g} s, "
            f"and the next chunk would come after {config.replan_s:g} s: train it with more (n_action_steps), or write "
            "a shorter replan_s"
        )
    policy.config = replace(config, horizon=len(chunk.position))
    return policy


def _features(found: Found, key: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return kind and shape of the features in config.json."""
    said = found.settings.get(key)
    if not isinstance(said, dict):
        raise ConfigError(f"'{found.checkpoint}/config.json' has no {key}")
    return dict(_each_feature(said, f"{found.checkpoint}/config.json: {key}"))


def _each_feature(said: dict[str, Any], where: str) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    for name, feature in said.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not all(type(length) is int for length in shape):
            raise ConfigError(f"{where}: {one_line(name)[:80]} has no shape")
        yield name, (str(feature.get("type")), tuple(shape))


def _cameras(features: dict[str, tuple[str, tuple[int, ...]]], mapping: ImportMapping, robot: Robot) -> dict[str, str]:
    """Return the feature of each camera that the policy sees."""
    named = [(mapping.cameras.get(c.name, layout.IMAGES + c.name), c) for c in robot.cameras if not c.depth]
    require_one_camera_each([key for key, _ in named])
    keys, seen = dict(named), {}
    for key, (kind, shape) in features.items():
        if key == layout.STATE:
            continue
        if kind != "VISUAL" or len(shape) != 3:
            raise ConfigError(
                f"the policy sees {one_line(key)} ({one_line(kind)}), which the robot does not give: train without"
            )
        if key not in keys:
            raise ConfigError(
                f"the policy sees {one_line(key)}, robot '{robot.name}' has {', '.join(keys)}: write which camera it "
                f"is (cameras: NAME: {one_line(key)}) {INTO_MAPPING}"
            )
        camera = keys[key]
        size = (3, camera.observation_height, camera.observation_width)
        if shape != size:
            raise ConfigError(
                f"the policy sees {one_line(key)} of {shape[-1]} x {shape[-2]} px, robot '{robot.name}' gives "
                f"{camera.observation_width} x {camera.observation_height} of camera '{camera.name}': write "
                f"observation_width: {shape[-1]}, observation_height: {shape[-2]} for it into the robot file"
            )
        seen[camera.name] = key
    if not seen:
        raise ConfigError("the policy sees no camera: only policies that see one are run")
    return seen
