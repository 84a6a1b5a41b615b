"""Settings of a training run (the `training` section of config/policies/*.yaml)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.observation.actions import action_code
from smp_bringup.paths import named_config
from smp_bringup.policy import PolicyConfig, policy_config
from smp_bringup.policy.checkpoint import lacks
from smp_bringup.robot import Robot
from smp_bringup.training.augment import AugmentConfig


@dataclass(frozen=True)
class TrainingConfig:
    """One run; the same settings, data and seed give the same weights."""

    steps: int = field(default=6000, metadata=spec(ge=1))
    pairs: int = field(default=32, metadata=spec(ge=1, le=1 << 16))
    """Pairs of samples one action period apart, per batch."""
    learning_rate: float = field(default=1e-3, metadata=spec(gt=0, le=1))
    weight_decay: float = field(default=1e-4, metadata=spec(ge=0, le=1))
    warmup_steps: int = field(default=200, metadata=spec(ge=0))
    clip: float = field(default=1.0, metadata=spec(gt=0))
    state_noise: float = field(default=0.03, metadata=spec(ge=0, le=0.5, unit="rad"))
    """The joints of the arms are told wrong by a normal error of this size, drawn for every sample, while its actions
    stay: the policy learns to come back from poses that no demonstration shows."""
    phrases: str = ""
    """Other ways to say what the demonstrations show, in config/phrases or a path to a YAML file: one is drawn for
    every pair of samples of a policy that is told in words."""
    eyes_sha256: str = ""
    """What the weights' file of `smp train --eyes` must have as its SHA-256; nothing: the model's card tells it."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Of images in colour."""
    ema: float = field(default=0.998, metadata=spec(ge=0, lt=1))
    held_out: float = field(default=0.1, metadata=spec(ge=0, lt=1))
    """Share of the episodes of each task that is not learned from but looked at; somebody's marks come first."""
    patience: int = field(default=0, metadata=spec(ge=0))
    """Training ends once so many steps have gone by in which no look at held-out episodes was better than the best
    before; 0: never. With it there is a look whenever the state is saved, whatever it costs."""
    device: str = field(default="cpu", metadata=spec(choices=("cpu", "cuda")))
    precision: str = field(default="auto", metadata=spec(choices=("auto", "float32", "bfloat16")))
    """Of the cameras' networks, most of a camera policy's arithmetic; "auto": bfloat16 on a device that computes in it
    (where a CPU imitates it, a step takes seven times as long). Heads and losses are float32."""
    devices: int = field(default=1, metadata=spec(ge=1))
    """Processes on this machine; start them with `torchrun`."""
    workers: int = field(default=1, metadata=spec(ge=0, le=64))
    """Threads of each process that draw the samples of coming steps while one computes; 0: they are drawn in between.
    The weights are the same."""
    save_every: int = field(default=500, metadata=spec(ge=1))


@dataclass(frozen=True)
class RunConfig:
    """A policy and how it is trained."""

    policy: PolicyConfig
    training: TrainingConfig = TrainingConfig()


def load_run(name: str, robot: Robot, changes: Sequence[str] = ()) -> RunConfig:
    """Return the run `name` (in config/policies, or a path to a YAML file) with `changes` made to it, for a robot.

    What it leaves out of what the policy sees is the robot's, see `PolicyConfig.filled`.

    Raises:
        ConfigError: a setting cannot be, or the robot has not what the policy sees, or too few joints.
    """
    path = named_config("policies", name)
    data = config.changed(config.read_yaml(path), changes)
    if isinstance(data.get("policy"), dict):
        data["policy"] = policy_config(data["policy"], f"{path.name}: policy", robot)
    run = config.build(RunConfig, data, path.name)
    if lack := lacks(run.policy, robot):
        raise ConfigError(
            f"{path.name}: the policy sees {lack}: name what there is, e.g. --set 'policy.cameras=[...]', "
            "or leave cameras out: all that are in colour"
        )
    run.policy.require_joints(robot.dof)
    action_code(run.policy.actions, robot)  # says what the robot lacks before anything is read
    return run
