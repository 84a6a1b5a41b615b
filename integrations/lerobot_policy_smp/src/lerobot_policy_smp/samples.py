"""Batches of LeRobot as batches of ours: pairs of samples one action period apart."""

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor

from lerobot_policy_smp.settings import MixtureConfig
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import image_key
from smp_bringup.policy.batch import Batch
from smp_bringup.training.batches import draw_moves, keypoint_units, shift_into


class Samples:
    """Turns what a data loader of LeRobot gives, processed, into what our losses take."""

    def __init__(self, config: MixtureConfig) -> None:
        self._config, self._policy = config, config.settings.policy
        self._noise = config.settings.training.state_noise * config.body.turning

    def batch(self, data: dict[str, Tensor], normalizer: Normalizer, augment: bool) -> Batch:
        """Return the pairs (2B, ...) of a batch whose earlier sample is in the episode; all, where that is none."""
        policy, device = self._policy, data[ACTION].device
        is_pad = data[f"{ACTION}_is_pad"]
        inside = ~is_pad[:, 1]
        rows = torch.nonzero(inside if bool(inside.any()) else ~inside).flatten()
        rng = np.random.default_rng(int(torch.randint(1 << 62, ())))
        inputs = self._windows(data, normalizer, rows)
        count = 2 * len(rows)
        if augment:
            off = self._noise / normalizer.half_range * rng.standard_normal((count, 1, len(self._noise)))
            inputs["state"] = inputs["state"] + torch.from_numpy(off.astype(np.float32)).to(device)
        shifts = {name: self._move(inputs, name, rng, augment).to(device) for name in policy.cameras}
        action, foresight = self._actions(data, normalizer, rows)
        begins = torch.zeros(count, dtype=torch.bool, device=device)
        begins[: len(rows)] = is_pad[rows, 0]
        columns = max(action.shape[2], policy.experts)
        return Batch(
            inputs,
            shifts,
            action,
            foresight,
            begins,
            torch.randint(policy.diffusion_steps, (count,), device=device),
            torch.randn(count, policy.horizon, columns, device=device),
            torch.rand(count, device=device),
        )

    def inputs(self, data: dict[str, Tensor], normalizer: Normalizer) -> dict[str, Tensor]:
        """Return what the encoder takes of the newest observation of every row, images as they are."""
        rows = torch.arange(len(data[OBS_STATE]))
        return {name: value[len(rows) :] for name, value in self._windows(data, normalizer, rows).items()}

    def _windows(self, data: dict[str, Tensor], normalizer: Normalizer, rows: Tensor) -> dict[str, Tensor]:
        """Return the observations (2B, To, ...) of the earlier samples, then those of the later ones."""

        def pairs(values: Tensor) -> Tensor:
            return torch.cat([values[rows, :-1], values[rows, 1:]])

        state = normalizer.normalise(self._config.state.ours(_numbers(data[OBS_STATE])))
        told = torch.from_numpy(state.astype(np.float32)).to(data[OBS_STATE].device)
        images = {image_key(name): pairs(data[self._config.image_key(name)]) for name in self._policy.cameras}
        return {"state": pairs(told), **images}

    def _actions(self, data: dict[str, Tensor], normalizer: Normalizer, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return chunks (2B, T, J) and foresight (2B, F, J), normalised; their places are `MixtureConfig.offsets`."""
        told = normalizer.normalise(self._config.action.ours(_numbers(data[ACTION])))
        every = torch.from_numpy(told.astype(np.float32)).to(data[ACTION].device)[rows, 2:]
        horizon, ahead = self._policy.horizon, len(self._policy.foresight_s)
        chunks, rest = every[:, : horizon + 1], every[:, horizon + 1 :]
        action = torch.cat([chunks[:, :-1], chunks[:, 1:]])
        return action, torch.cat([rest[:, :ahead], rest[:, ahead:]])

    def _move(self, inputs: dict[str, Tensor], camera: str, rng: np.random.Generator, augment: bool) -> Tensor:
        """Move the images of a camera by up to a few pixels, and return by how much (2B, 2) in keypoint units."""
        images = inputs[image_key(camera)]
        height, width = images.shape[2:4]
        moves = draw_moves(len(images), rng) * augment
        if augment:
            pixels = images.cpu().numpy()
            out = np.empty_like(pixels)
            for i, (dx, dy) in enumerate(moves):
                for j in range(pixels.shape[1]):
                    shift_into(out[i, j], pixels[i, j], dx, dy)
            inputs[image_key(camera)] = torch.from_numpy(out).to(images.device)
        return keypoint_units(moves, height, width)


def _numbers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
