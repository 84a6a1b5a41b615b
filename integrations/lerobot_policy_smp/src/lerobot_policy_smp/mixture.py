"""A policy of ours in LeRobot: its network, its losses and its deployed form are those of smp_bringup."""

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor, nn

from lerobot_policy_smp.samples import Samples
from lerobot_policy_smp.settings import MixtureConfig
from smp_bringup.errors import ConfigError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy import POLICIES
from smp_bringup.policy.base import DeployedPolicy
from smp_bringup.policy.build import build_network
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.training.ema import Ema, smoothed_copy
from smp_bringup.training.objective import Objective
from smp_bringup.types import Observation

_READ_AT_ONCE = 64


class MixturePolicy(PreTrainedPolicy):
    """Trains by `forward` and acts by the averaged weights, as a robot would run them."""

    config_class = MixtureConfig
    name = "mixture"

    def __init__(
        self,
        config: MixtureConfig,
        dataset_stats: dict[str, dict[str, Any]] | None = None,
        dataset_meta: Any = None,
        **ignored: object,
    ) -> None:
        """Build the untrained network.

        Args:
            config: as LeRobot parsed it.
            dataset_stats: of the dataset that is trained on; None where weights are loaded afterwards.
            dataset_meta: of that dataset.
            ignored: what LeRobot tells other policies.

        Raises:
            ConfigError: the dataset has not what the robot's file says.
        """
        super().__init__(config)
        config.validate_features()
        self.config: MixtureConfig = config
        policy, dof = config.settings.policy, config.body.dof
        self.network: AbstractNetwork = build_network(policy, dof)
        for name in ("center", "half_range"):
            self.register_buffer(name, torch.ones(dof, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # that the average has seen, also on resume
        self._meta = dataset_meta
        if dataset_meta is not None:
            self._prepare(dataset_meta, dataset_stats or {})
        self.averaged: AbstractNetwork = smoothed_copy(self.network)
        self._samples, self._objective = Samples(config), [Objective(self.network)]
        self._ema: Ema[AbstractNetwork] | None = None
        self._deployed: DeployedPolicy | None = None
        self.reset()

    def _prepare(self, meta: Any, stats: dict[str, dict[str, Any]]) -> None:
        """Take from the dataset what training begins with."""
        self.config.require_rate(meta.fps)
        self.config.require_robot(Path(meta.root))
        if ACTION not in stats:
            raise ConfigError("the dataset has no statistics of action: write them with LeRobot's tools")
        reach = np.stack([np.asarray(stats[ACTION][word], dtype=np.float64).ravel() for word in ("min", "max")])
        normalizer = Normalizer.from_data(self.config.action.ours(reach))
        self.center.copy_(torch.from_numpy(normalizer.center))
        self.half_range.copy_(torch.from_numpy(normalizer.half_range))
        self.network.frames = int(meta.total_frames)
        told = np.stack([np.asarray(row, dtype=np.float64) for row in _actions(Path(meta.root))])
        self.network.prepare(torch.from_numpy(normalizer.normalise(self.config.action.ours(told)).astype(np.float32)))

    @property
    def normalizer(self) -> Normalizer:
        """Of joints, as the checkpoint of a robot has it."""
        return Normalizer(self.center.cpu().numpy().copy(), self.half_range.cpu().numpy().copy())

    def get_optim_params(self) -> list[nn.Parameter]:
        """Return what is trained: not the average."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> "MixturePolicy":
        """Set the network's mode; the average is never in training."""
        super().train(mode)
        self.averaged.train(False)
        if mode:
            self._deployed = None
        return self

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Return the sum of the losses of a batch, and each of them."""
        parts = self._objective[0](self._samples.batch(batch, self.normalizer, self.training))
        return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}

    def update(self) -> None:
        """Move the average; lerobot-train calls this after every step."""
        if self._ema is None:  # now that the network is on its device
            self._ema = Ema(self.network, self.config.settings.training.ema, self.averaged)
        self.steps += 1
        self._ema.update(int(self.steps))

    def reset(self) -> None:
        """Forget what was seen and what is yet to be done."""
        self._seen: deque[dict[str, Tensor]] = deque(maxlen=self.config.n_obs_steps)
        self._todo: deque[Tensor] = deque()

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Tensor], seed: int = 0, **ignored: object) -> Tensor:
        """Return the chunks (B, T, D) of observations (B, ...), or (B, To, ...) where the policy sees several.

        Args:
            batch: processed.
            seed: of the noise; equal seeds give equal chunks.
            ignored: what LeRobot tells other policies.
        """
        policy, config = self._robot_policy(), self.config
        keys = {name: config.image_key(name) for name in config.settings.policy.cameras}
        state = batch[OBS_STATE].detach().cpu().numpy().astype(np.float64)
        single = state.ndim == 2
        position = config.state.ours(state[:, None] if single else state)
        chunks = []
        for i, joints in enumerate(position):
            pixels = {name: batch[key][i].cpu().numpy() for name, key in keys.items()}
            images = {name: image[None] if single else image for name, image in pixels.items()}
            chunk, _ = policy.infer(Observation(1, images, joints, np.zeros_like(joints)), seed)
            chunks.append(config.action.theirs(chunk.position))
        return torch.from_numpy(np.stack(chunks).astype(np.float32)).to(batch[OBS_STATE].device)

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **told: Any) -> Tensor:
        """Return the next action (B, D); a new chunk is made as often as the robot's node makes one."""
        config = self.config
        keys = [OBS_STATE, *(config.image_key(name) for name in config.settings.policy.cameras)]
        self._seen.append({key: batch[key] for key in keys})
        if not self._todo:
            window = [self._seen[0]] * (config.n_obs_steps - len(self._seen)) + list(self._seen)
            chunk = self.predict_action_chunk({key: torch.stack([s[key] for s in window], 1) for key in keys}, **told)
            used = max(1, round(config.settings.policy.replan_s / config.body.action_period_s))
            self._todo.extend(chunk[:, :used].repeat_interleave(config.stride, dim=1).transpose(0, 1))
        return self._todo.popleft()

    def rounded(self) -> AbstractNetwork:
        """Return a copy of the averaged network with the weights that a robot's checkpoint holds, of half precision."""
        network = deepcopy(self.averaged).cpu()
        for value in network.state_dict().values():
            value.copy_(value.half())
        return network

    def _robot_policy(self) -> DeployedPolicy:
        """Return what runs on the robot, on this device."""
        if self._deployed is None:
            policy, engine = self.config.settings.policy, TorchEngine(self.rounded(), str(self.center.device))
            period_s = self.config.body.action_period_s
            self._deployed = POLICIES[policy.kind].deploy(policy, engine, self.normalizer, period_s)
        return self._deployed

    def _save_pretrained(self, save_directory: Path, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save, with all that the average must know of the dataset."""
        if self._meta is not None:
            with torch.no_grad():
                self.averaged.conclude(lambda: torch.cat(list(self._features())))
        super()._save_pretrained(save_directory, state_dict)

    def _features(self) -> Iterator[Tensor]:
        """Yield what the averaged network makes (N, F) of all frames of the dataset."""
        from lerobot.datasets import LeRobotDataset

        from lerobot_policy_smp.processors import make_processors

        config, meta = self.config, self._meta
        seen = [OBS_STATE, *(config.image_key(name) for name in config.settings.policy.cameras)]
        times = {key: [k / meta.fps for k in config.observation_delta_indices] for key in seen}
        loader = torch.utils.data.DataLoader(
            LeRobotDataset(meta.repo_id, root=meta.root, delta_timestamps=times), batch_size=_READ_AT_ONCE
        )
        before, _ = make_processors(config)
        for batch in loader:
            yield self.averaged.encoder(self._samples.inputs(before(batch), self.normalizer))


def _actions(root: Path) -> Iterator[Any]:
    """Yield the action of every frame of a dataset."""
    from smp_bringup.exchange.dataset import Dataset, Tables
    from smp_bringup.mapping import layout

    source = Dataset(root)
    width = source.features[layout.ACTION]["shape"][0]
    tables = Tables(source, {layout.ACTION: width})
    for episode in source.episodes:
        yield from tables.rows(episode).vectors[layout.ACTION]
