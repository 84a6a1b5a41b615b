"""Random batches of sample pairs, augmented: shifted images, and joints told a little wrong."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from smp_bringup.bag.commanders import Taught
from smp_bringup.errors import BagError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import VECTORS, image_key, points_key
from smp_bringup.policy.batch import Batch
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.training.augment import AugmentConfig, Changes
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.packed import PackedImages
from smp_bringup.training.told import Told
from smp_bringup.types import FloatArray, ImageArray
from smp_bringup.words.phrasebook import Phrasebook

_SHIFT_PX = 4


class Batches:
    """Draws batches from some episodes of a dataset; equal generators give equal batches."""

    def __init__(
        self,
        data: Dataset,
        normalizer: Normalizer,
        config: PolicyConfig,
        episodes: np.ndarray,
        state_noise: FloatArray | None = None,
        corrections: float = 1.0,
        augment: AugmentConfig | None = None,
        book: Phrasebook | None = None,
    ) -> None:
        """Draw from the episodes (E,).

        Args:
            data: all demonstrations.
            normalizer: of joint positions.
            config: what the policy sees and predicts.
            episodes: their indices.
            corrections: how often a correction is drawn, a demonstration being drawn once.
            state_noise: (J,) standard deviation [rad] by which the joints are told wrong; None: no augmentation at all.
            augment: what else happens to images in colour; None: nothing.
            book: the sentences of the demonstrations, for a policy with words.
        """
        self._data, self._config, self._augment = data, config, state_noise is not None
        self._changes = augment or AugmentConfig()
        self._told = Told(data, book or Phrasebook()) if config.words else None
        self._state_noise = np.zeros(len(normalizer.center)) if state_noise is None else state_noise
        self._state_noise = (self._state_noise / normalizer.half_range).astype(np.float32)
        self._windows = data.windows(config.observation_steps)
        self._earlier = data.windows(2)[:, 0]
        seen: np.ndarray = np.all(self._windows >= 0, axis=1)
        paired = seen & (self._earlier >= 0) & seen[self._earlier]
        if data.taught is not None:
            paired &= (data.taught > Taught.NOTHING) & (data.taught[self._earlier] > Taught.NOTHING)
        spans = [np.arange(data.starts[e], data.starts[e + 1]) for e in episodes]
        self._frames = np.concatenate([span[paired[span]] for span in spans])
        if not len(self._frames):
            raise BagError(f"none of {len(spans)} demonstrations has two observations one action period apart")
        self._odds = _odds(data.taught, self._frames, corrections)
        self._begins = np.zeros(len(seen), dtype=bool)
        for span in spans:
            self._begins[span[seen[span]][:1]] = True
        self._state = normalizer.normalise(data.state).astype(np.float32)
        self._normalizer = normalizer
        self._action: FloatArray | None = None
        if normalizer.actions is None:
            self._action = normalizer.normalise(data.action).astype(np.float32)
        self._senses = normalizer.senses
        self._vectors = self._senses.vector_input(data.vectors) if config.vectors else None
        self._foresight = normalizer.normalise(data.foresight).astype(np.float32)

    @property
    def frames(self) -> int:
        """How many frames end a pair."""
        return len(self._frames)

    def draw(self, pairs: int, rng: np.random.Generator, rank: int = 0, world: int = 1) -> Batch:
        """Return every `world`-th of `pairs` pairs of samples one action period apart, from the `rank`-th on.

        All of several training processes draw the same random numbers; each reads and changes the images of its part.
        """
        later = rng.choice(self._frames, pairs, p=self._odds)
        mine = np.arange(rank, pairs, world)
        mine = np.concatenate([mine, pairs + mine])  # of the 2B samples
        frames = np.concatenate([self._earlier[later], later])[mine]
        windows = self._windows[frames]  # (2B / world, To)
        off = self._state_noise * rng.standard_normal((2 * pairs, 1, len(self._state_noise)), dtype=np.float32)
        state = self._state[windows] + off[mine]
        inputs, shifts = {"state": torch.from_numpy(state)}, {}
        action = self._actions(frames, state[:, -1])
        inputs |= self._points(windows)
        for name in self._unseen(self._config.cameras):
            moves = draw_moves(2 * pairs, rng)[mine]
            changes = Changes.drawn(self._changes, 2 * pairs, rng).of(mine)
            images, shifts[name] = self._images(self._data.images[name], windows, moves)
            inputs[image_key(name)] = torch.from_numpy(changes.made(images))
        for name in self._unseen(self._config.depth):
            moves = draw_moves(2 * pairs, rng)[mine]
            images, shifts[name] = self._images(self._data.images[name], windows, moves)
            inputs[image_key(name)] = torch.from_numpy(self._senses.depth_input(name, images))
        if self._vectors is not None:
            inputs[VECTORS] = torch.from_numpy(self._vectors[windows])
        if self._config.track == "state":
            inputs["objects"] = torch.from_numpy(self._data.objects[windows])
        if self._config.prefix_steps:
            told = rng.integers(0, self._config.prefix_steps + 1, 2 * pairs)[mine]
            inputs["prefix"] = torch.from_numpy(self._prefix(action, told))
        if self._told is not None:  # a pair is told the same, as a robot is
            inputs["words"] = torch.from_numpy(self._told.draw(later, rng)).repeat(2, 1)[mine]
        columns = max(action.shape[2], self._config.experts)
        noise = rng.standard_normal((2 * pairs, self._config.horizon, columns), dtype=np.float32)
        return Batch(
            inputs,
            shifts,
            torch.from_numpy(action),
            torch.from_numpy(self._foresight[frames]),
            torch.from_numpy(self._begins[frames]),
            torch.from_numpy(rng.integers(0, self._config.diffusion_steps, 2 * pairs)[mine]),
            torch.from_numpy(noise[mine]),
            torch.from_numpy(rng.random(2 * pairs, dtype=np.float32)[mine]),
        )

    def all_inputs(self, batch: int) -> Iterator[dict[str, Tensor]]:
        """Yield the encoder's inputs of every frame that ends a pair, `batch` at a time, images unshifted."""
        for first in range(0, len(self._frames), batch):
            windows = self._windows[self._frames[first : first + batch]]
            inputs = {"state": torch.from_numpy(self._state[windows]), **self._points(windows)}
            for name in self._unseen(self._config.cameras):
                inputs[image_key(name)] = torch.from_numpy(self._data.images[name][windows])
            for name in self._unseen(self._config.depth):
                images = self._senses.depth_input(name, self._data.images[name][windows])
                inputs[image_key(name)] = torch.from_numpy(images)
            if self._vectors is not None:
                inputs[VECTORS] = torch.from_numpy(self._vectors[windows])
            if self._config.track == "state":
                inputs["objects"] = torch.from_numpy(self._data.objects[windows])
            if self._config.prefix_steps:
                inputs["prefix"] = torch.zeros(len(windows), self._config.prefix_steps, self._state.shape[1] + 1)
            if self._told is not None:
                inputs["words"] = torch.from_numpy(self._told.own(self._frames[first : first + batch]))
            yield inputs

    def _points(self, windows: np.ndarray) -> dict[str, Tensor]:
        """Return what eyes that are kept made of the frames (N, To), by the name of an input."""
        return {points_key(name): torch.from_numpy(points[windows]) for name, points in self._data.points.items()}

    def _unseen(self, cameras: Sequence[str]) -> list[str]:
        """Return the cameras whose images the network has still to see."""
        return [name for name in cameras if name not in self._data.points]

    def _actions(self, frames: np.ndarray, state: FloatArray) -> FloatArray:
        """Return the chunks (B, T, J) of frames, normalised, told from where the joints (B, J) are told to be."""
        if self._action is not None:
            whole: FloatArray = self._action[frames]
            return whole
        position, action = self._normalizer.denormalise(state), self._data.action[frames].astype(np.float64)
        told: FloatArray = self._normalizer.normalise_action(action, position).astype(np.float32)
        return told

    def _prefix(self, action: FloatArray, told: np.ndarray) -> np.ndarray:
        """Return the first `told` actions (B, P, J + 1) of chunks (B, T, J), each followed by a one; then zeros."""
        steps = self._config.prefix_steps
        known = (np.arange(steps) < told[:, None])[..., None].astype(np.float32)
        return np.concatenate([action[:, :steps] * known, known], axis=2)

    def _images(
        self, store: ImageArray | PackedImages, windows: np.ndarray, moves: np.ndarray
    ) -> tuple[ImageArray, Tensor]:
        """Return images (N, To, h, w, C) moved by `moves` (N, 2) [px], and by how much in keypoint units."""
        batch, steps = windows.shape
        height, width, channels = store.shape[1:]
        moves = moves * self._augment
        out = np.empty((batch, steps, height, width, channels), store.dtype)
        for i in range(batch):
            for j in range(steps):
                shift_into(out[i, j], store[windows[i, j]], *moves[i])
        return out, keypoint_units(moves, height, width)


def _odds(taught: np.ndarray | None, frames: np.ndarray, corrections: float) -> np.ndarray | None:
    """Return with what probability each of the frames (N,) is drawn; None where all are equal."""
    if taught is None or corrections == 1 or not (taught[frames] == Taught.CORRECTION).any():
        return None
    weight = np.where(taught[frames] == Taught.CORRECTION, corrections, 1.0)
    return np.asarray(weight / weight.sum())


def draw_moves(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return by how much (count, 2) [px] images are moved in x and y."""
    return rng.integers(-_SHIFT_PX, _SHIFT_PX + 1, (count, 2))


def keypoint_units(moves: np.ndarray, height: int, width: int) -> Tensor:
    """Return moves (N, 2) [px] of images (height, width) in the units of an encoder's keypoints."""
    return torch.from_numpy((moves * 2.0 / np.array([width - 1, height - 1])).astype(np.float32))


def shift_into(out: ImageArray, image: ImageArray, dx: int, dy: int) -> None:
    """Write `image` (h, w, C) moved by (dx, dy) px into `out`, edges repeated."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    source = image[rows]
    if dx >= 0:
        out[:, dx:] = source[:, : width - dx]
        out[:, :dx] = source[:, :1]
    else:
        out[:, :dx] = source[:, -dx:]
        out[:, dx:] = source[:, -1:]
