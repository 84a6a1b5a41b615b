"""One training loop for every policy: AdamW, cosine schedule, EMA, held-out loss, exact resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.networks import Network, build_network
from smp_bringup.robot import Robot
from smp_bringup.training.batches import Batches
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.ema import Ema
from smp_bringup.training.losses import Noiser, losses
from smp_bringup.training.state import load_state, save_state

Report = Callable[[int, dict[str, float]], None]
"""Called after a step with its number and mean losses since the last call."""

_REPORT_EVERY = 50
_HELD_OUT_BATCHES = 8


@dataclass(frozen=True)
class Trained:
    """What a run ends with."""

    network: Network
    """With averaged weights."""
    normalizer: Normalizer
    metrics: dict[str, float]


def use_threads(count: int) -> None:
    """Let PyTorch compute in `count` threads."""
    torch.set_num_threads(count)


class Trainer:
    """Trains one policy; every step draws its randomness from (seed, step), so a resumed run is the same run."""

    def __init__(self, run: RunConfig, data: Dataset, robot: Robot, seed: int, out: Path) -> None:
        self._run, self._seed, self._out = run, seed, out
        torch.manual_seed(seed)
        self.network = build_network(run.policy, robot.dof)
        self._ema = Ema(self.network, run.training.ema)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), run.training.learning_rate, weight_decay=run.training.weight_decay
        )
        self._noiser = Noiser(run.policy.diffusion_steps)
        self.normalizer = Normalizer.from_data(data.action.reshape(-1, robot.dof).astype(np.float64))
        train, held = _split(len(data.starts) - 1, run.training.held_out, seed)
        self._train = Batches(data, self.normalizer, run.policy, train, augment=True)
        self._held = Batches(data, self.normalizer, run.policy, held, augment=False)
        self._step, self._seconds = 0, 0.0

    def resume(self) -> int:
        """Go on from the last saved state; return its step."""
        self._step, self._seconds = load_state(self._out, self.network, self._ema.network, self._optimizer)
        return self._step

    def train(self, report: Report) -> Trained:
        """Run to the last step, saving on the way and when interrupted (KeyboardInterrupt goes on up)."""
        settings = self._run.training
        self._out.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, float]] = []
        try:
            while self._step < settings.steps:
                start = time.monotonic()
                rows.append(self._one(settings))
                self._seconds += time.monotonic() - start
                if self._step % _REPORT_EVERY == 0 or self._step == settings.steps:
                    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
                    report(self._step, means)
                    self._log(means)
                    rows = []
                if self._step % settings.save_every == 0:
                    self._save()
        finally:
            self._save()
        return Trained(self._ema.network, self.normalizer, self._metrics())

    def _one(self, settings: TrainingConfig) -> dict[str, float]:
        rng = np.random.default_rng([self._seed, self._step])
        torch.manual_seed((self._seed << 32) + self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(self._step, settings)
        parts = losses(self.network, self._train.draw(settings.pairs, rng), self._noiser)
        total = torch.stack(list(parts.values())).sum()
        self._optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        self._optimizer.step()
        self._step += 1
        self._ema.update(self.network, self._step)
        return {name: float(value.detach()) for name, value in parts.items()}

    def _metrics(self) -> dict[str, float]:
        """Return the held-out losses of the averaged weights, steps and seconds."""
        rng = np.random.default_rng(self._seed)
        torch.manual_seed(self._seed)
        sums: dict[str, float] = {}
        with torch.no_grad():
            for _ in range(_HELD_OUT_BATCHES):
                for name, value in losses(self._ema.network, self._held.draw(32, rng), self._noiser).items():
                    sums[f"held_out/{name}"] = sums.get(f"held_out/{name}", 0.0) + float(value) / _HELD_OUT_BATCHES
        return {**sums, "steps": float(self._step), "seconds": self._seconds}

    def _save(self) -> None:
        save_state(self._out, self._step, self._seconds, self.network, self._ema.network, self._optimizer)

    def _log(self, sums: dict[str, float]) -> None:
        with (self._out / "losses.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self._step, **sums}) + "\n")


def _schedule(step: int, settings: TrainingConfig) -> float:
    """Return the learning rate's share at a step: linear warm-up, then half a cosine to zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * share))


def _split(episodes: int, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the episodes to train on and the held-out ones (at least one)."""
    order = np.random.default_rng(seed).permutation(episodes)
    count = max(1, round(episodes * held_out))
    return (order[count:], order[:count]) if episodes > 1 else (order, order)
