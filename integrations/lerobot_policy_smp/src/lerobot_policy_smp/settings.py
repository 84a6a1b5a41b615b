"""What LeRobot must know of a policy of ours: which run, which robot, and which entry of a dataset is which joint."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lerobot.configs import NormalizationMode, PreTrainedConfig
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import CosineAnnealingWithWarmupSchedulerConfig
from lerobot.utils.constants import ACTION, OBS_STATE

from smp_bringup import config
from smp_bringup.errors import ConfigError
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import ImportMapping, load_mapping
from smp_bringup.mapping.joints import entry_names
from smp_bringup.mapping.vectors import Vectors
from smp_bringup.policy import policy_config
from smp_bringup.robot import Robot, build_robot, load_robot
from smp_bringup.training.config import RunConfig, load_run


@dataclass
class MixtureConfig(PreTrainedConfig):
    """Names the run (config/policies) that says what the network is and how it learns; a checkpoint has it in full."""

    run: str = ""
    """Run in config/policies, or a path to a YAML file."""
    changes: list[str] = field(default_factory=list)
    """"section.key=value", made to the run."""
    robot: str = "aloha"
    """Robot in config/robots, or a path to a YAML file."""
    mapping: str = ""
    """Mapping in config/imports, or a path, where the dataset's names or units are not the robot file's."""
    stride: int = 1
    """Frames of the dataset in one action period of the robot."""
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY)
    )
    """Of LeRobot's steps, which must be there: nothing, our normaliser is in the policy."""
    run_yaml: str = ""
    """The run in full; written by training."""
    robot_yaml: str = ""
    """The robot in full; written by training."""
    state_names: list[str] = field(default_factory=list)
    """Entries of observation.state; written by training."""
    action_names: list[str] = field(default_factory=list)
    """Entries of action; written by training."""
    mapping_json: str = ""
    """The mapping in full; written by training."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the demonstrations, as they are called in config/tasks; written by training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.robot_yaml:
            self.robot_yaml = config.dump(load_robot(self.robot))
        if not self.mapping_json and self.mapping:
            self.mapping_json = json.dumps(config.plain(load_mapping(self.mapping)))
        if not self.run_yaml:
            self.run_yaml = config.dump(load_run(self.run, self.body, self.changes))
        policy = self.settings.policy
        if policy.kind != self.type:
            raise ConfigError(f"run '{self.run}' is of kind {policy.kind}: give --policy.type={policy.kind}")
        if policy.track != "camera" or policy.depth or policy.vectors or policy.prefix_steps:
            raise ConfigError(
                f"run '{self.run}' needs object poses, depth, vectors or a prefix, which LeRobot does not give: "
                "train it by smp train, or name a camera run"
            )
        if policy.actions != "absolute":
            raise ConfigError(
                f"run '{self.run}' tells actions as {policy.actions}, LeRobot's batches hold joint positions: leave "
                "policy.actions out, or train it by smp train"
            )
        self.n_obs_steps = policy.observation_steps

    @cached_property
    def body(self) -> Robot:
        """The robot."""
        return build_robot(config.parse_yaml(self.robot_yaml, "robot_yaml"), "robot_yaml")

    @cached_property
    def settings(self) -> RunConfig:
        """Network and training."""
        data = config.parse_yaml(self.run_yaml, "run_yaml")
        data["policy"] = policy_config(data["policy"], "run_yaml: policy")
        return config.build(RunConfig, data, "run_yaml")

    @cached_property
    def state(self) -> Vectors:
        """Where the robot's joints are in observation.state."""
        return Vectors.measured(self.body, self._mapping, self.state_names)

    @cached_property
    def action(self) -> Vectors:
        """Where they are in action."""
        return Vectors.told(self.body, self._mapping, self.action_names)

    @cached_property
    def _mapping(self) -> ImportMapping:
        data = json.loads(self.mapping_json) if self.mapping_json else {"robot": self.body.name}
        return config.build(ImportMapping, data, "mapping_json")

    @property
    def offsets(self) -> list[int]:
        """Action periods from a frame to the actions that a sample needs, see `pairs.Samples`."""
        policy = self.settings.policy
        ahead = [round(ahead_s / self.body.action_period_s) for ahead_s in policy.foresight_s]
        first = policy.observation_steps
        pairs = [*range(-1, policy.horizon), *(k - 1 for k in ahead), *ahead]
        return [-first - 1, -first, *pairs]

    @property
    def observation_delta_indices(self) -> list[int]:
        """Frames of two observations one action period apart."""
        return [k * self.stride for k in range(-self.settings.policy.observation_steps, 1)]

    @property
    def action_delta_indices(self) -> list[int]:
        """Frames of the chunks and the foresight of both, and two that tell where the episode begins."""
        return [k * self.stride for k in self.offsets]

    @property
    def reward_delta_indices(self) -> None:
        """None: there are no rewards."""
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        """AdamW as the run says."""
        run = self.settings.training
        return AdamWConfig(lr=run.learning_rate, weight_decay=run.weight_decay, grad_clip_norm=run.clip)

    def get_scheduler_preset(self) -> CosineAnnealingWithWarmupSchedulerConfig:
        """Linear warm-up, then half a cosine to zero, over the steps of lerobot-train."""
        return CosineAnnealingWithWarmupSchedulerConfig(num_warmup_steps=self.settings.training.warmup_steps)

    def validate_features(self) -> None:
        """Raise ConfigError where the images of the dataset are not those of the robot file, or are not there."""
        for name in self.settings.policy.cameras:
            camera, feature = self.body.camera(name), (self.input_features or {}).get(self.image_key(name))
            if feature is None:
                raise ConfigError(
                    f"the policy sees camera '{name}', the dataset has no {self.image_key(name)}: name the feature of "
                    "each camera in a mapping such as config/imports/lerobot.yaml (--policy.mapping)"
                )
            _, height, width = feature.shape
            if (height, width) != (camera.height, camera.width):
                raise ConfigError(
                    f"{self.image_key(name)} is {width} x {height} px, robot '{self.body.name}' says "
                    f"{camera.width} x {camera.height} for camera '{name}': correct the robot file"
                )

    def image_key(self, camera: str) -> str:
        """Return the feature of a camera."""
        return self._mapping.cameras.get(camera, layout.IMAGES + camera)

    def set_dataset_feature_metadata(self, features: dict[str, dict[str, Any]]) -> None:
        """Hear the dataset's features before the policy is made; raises ConfigError where joints are not there."""
        self.state_names, self.action_names = (
            entry_names(key, {**features[key], "shape": list(features[key]["shape"])}) for key in (OBS_STATE, ACTION)
        )
        for key in ("state", "action"):
            self.__dict__.pop(key, None)
            getattr(self, key)

    def require_rate(self, rate_hz: float) -> None:
        """Raise ConfigError where the frames of the dataset do not fit the robot's action period."""
        period_s, whole = self.body.action_period_s, round(self.body.action_period_s * rate_hz)
        if abs(self.stride / rate_hz - period_s) < 1e-3 * period_s:
            return
        advice = f"--policy.stride={whole}" if whole and abs(whole / rate_hz - period_s) < 1e-3 * period_s else ""
        raise ConfigError(
            f"{self.stride} frames of the dataset last {self.stride / rate_hz:.4g} s, the robot's action period is "
            f"{period_s:g} s: give {advice or f'a robot file with action_period_s: {1 / rate_hz:.4g}'}"
        )

    def require_robot(self, root: Path) -> None:
        """Raise ConfigError where the dataset at `root` is of our making, and of another robot."""
        from smp_bringup.exchange.dataset import Dataset
        from smp_bringup.exchange.from_lerobot import own_robot

        source = Dataset(root)
        if source.origin and (unlike := own_robot(source).unlike(self.body)):
            raise ConfigError(f"dataset '{root}' is of another robot than --policy.robot={self.robot}: {unlike}")
        told = {source.told(episode).get("task") for episode in source.episodes}
        self.tasks = sorted(name for name in told if isinstance(name, str))
