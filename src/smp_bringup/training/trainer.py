"""One training loop for every policy: AdamW, cosine schedule, EMA, held-out loss, exact resume, one process or many.

Lightning Fabric places the network, and averages gradients over the processes that `torchrun` starts.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from smp_bringup.errors import InstallError, TrainingError
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.output import held_alone
from smp_bringup.policy.base import known_objects
from smp_bringup.policy.batch import Batch
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.robot import Robot
from smp_bringup.training.batches import Batches
from smp_bringup.training.best import Best
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.ema import Ema, smoothed_copy
from smp_bringup.training.eyes import shares
from smp_bringup.training.held_out import HeldOut, Look
from smp_bringup.training.journal import About, Journal
from smp_bringup.training.loader import Loader
from smp_bringup.training.objective import Objective
from smp_bringup.training.pace import Pace
from smp_bringup.training.scalars import Scalars
from smp_bringup.training.split import split
from smp_bringup.training.start import Start, from_scratch
from smp_bringup.training.state import FILE, load_state, save_state
from smp_bringup.training.told import Told
from smp_bringup.words.phrasebook import Phrasebook

Report = Callable[[int, dict[str, float]], None]
"""Called after a step with its number and mean losses since the last call."""

_REPORT_EVERY = 50
_HELD_OUT_BATCHES = 8
_LOOK_BATCHES = 2
"""While it trains: always the same ones, so that fewer do."""
_GATE_BATCHES = 4
"""Of 256 held-out frames each: more would make the picture no clearer."""


@dataclass(frozen=True)
class Trained:
    """What a run ends with."""

    network: AbstractNetwork
    """With averaged weights."""
    normalizer: Normalizer
    metrics: dict[str, float]
    tasks: tuple[str, ...] = ()
    """What it was trained to do."""
    phrasebook: Phrasebook = field(default_factory=Phrasebook)
    """What it was told."""


def use_threads(count: int) -> None:
    """Let PyTorch compute in `count` threads."""
    torch.set_num_threads(count)


class Trainer:
    """Trains one policy; every step draws its randomness from (seed, step), so a resumed run is the same run."""

    def __init__(
        self,
        run: RunConfig,
        data: Dataset,
        robot: Robot,
        seed: int,
        out: Path,
        start: Start | None = None,
        corrections: float = 1.0,
        about: About | None = None,
        book: Phrasebook | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            run: settings.
            data: demonstrations.
            robot: of them.
            seed: of weights and batches.
            out: folder of the run.
            start: to go on from (transfer); None: from scratch.
            corrections: are drawn so often, see `Batches`.
            book: of what the policy is told, see `Batches`.
            about: what its page says beside figures; None: no page is written.

        Raises:
            InstallError: the device is not there.
        """
        if run.training.device == "cuda" and not torch.cuda.is_available():
            raise InstallError("training.device is cuda, this PyTorch finds no GPU: --set training.device=cpu")
        self._run, self._seed, self._out, self._tasks = run, seed, out, data.tasks
        self._book = book or Phrasebook()
        settings = run.training
        torch.manual_seed(seed)
        self._fabric = Fabric(accelerator=run.training.device, devices=run.training.devices)
        self._fabric.launch()
        start = start or from_scratch(run.policy, data, robot, self._book)
        self.network, self.normalizer = start.network, start.normalizer
        if run.policy.track == "state":
            data = replace(data, objects=known_objects(data.objects, self.network.encoder.objects))
        tasks = data.task_of or ("",) * (len(data.starts) - 1)
        train, held = split(tasks, run.training.held_out, seed, data.held)
        noise = np.asarray(settings.state_noise * robot.turning, dtype=np.float64)
        self._train = Batches(data, self.normalizer, run.policy, train, noise, corrections, settings.augment, book)
        self._held = Batches(data, self.normalizer, run.policy, held, book=book)
        self.network.frames = self._train.frames
        groups = shares(self.network)
        self._trained = [weight for group in groups for weight in group["params"]]
        optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        objective = Objective(self.network, _half(settings.precision, self._fabric.device))
        self._objective, self._optimizer = self._fabric.setup(objective, optimizer)
        self._ema = Ema(self.network, settings.ema)  # now that the network is on its device
        self._step, self._seconds, self._looked = 0, 0.0, 0
        self._best = Best(out)
        self._error: float | None = None
        self._journal = Journal(out, about, robot, settings.steps) if about is not None and self.first else None
        told = Told(data, self._book) if run.policy.words else None
        self._look = HeldOut(data, robot, self.normalizer, held, told)
        self._pace = Pace(2 * settings.pairs)
        self._loader = Loader(self._draw, settings.steps, settings.workers)

    @property
    def first(self) -> bool:
        """Whether this is the first, or only, training process: the one that reports and saves."""
        return bool(self._fabric.is_global_zero)

    @property
    def saved(self) -> bool:
        """Whether there is a state to resume from."""
        return (self._out / FILE).is_file()

    @property
    def state_bytes(self) -> int:
        """Room on the disk that saving takes: the network, its average, two moments, and the best average."""
        return 5 * sum(p.numel() * p.element_size() for p in self.network.parameters())

    @property
    def held_out_error(self) -> float | None:
        """Root mean square error [rad] at the last look at held-out demonstrations; None before the first."""
        return self._error

    def resume(self) -> int:
        """Go on from the last saved state; return its step."""
        self._step, self._seconds = load_state(self._out, self.network, self._ema.network, self._optimizer)
        self._best.resume()
        return self._step

    def train(self, report: Report) -> Trained:
        """Run to the last step, saving on the way and when interrupted (KeyboardInterrupt goes on up)."""
        self._out.mkdir(parents=True, exist_ok=True)
        with held_alone(self._out, "training") if self.first else nullcontext():
            return self._train_all(report)

    def _train_all(self, report: Report) -> Trained:
        settings = self._run.training
        rows: list[dict[str, float]] = []
        begun = self._seconds
        if self.first and not self._step:
            self._best.begin()
        if self._journal is not None:
            self._journal.begin(self._step)
        tired = self._tired()
        with Scalars(self._out, self.first) as scalars:
            try:
                while self._step < settings.steps and not tired:
                    start = time.monotonic()
                    rows.append(self._one(settings))
                    self._seconds += time.monotonic() - start
                    if self._step % _REPORT_EVERY == 0 or self._step == settings.steps:
                        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
                        report(self._step, means)
                        scalars.losses(self._step, means)
                        rows = []
                    if self._step % settings.save_every == 0:
                        self._save()
                        if self.first:
                            scalars.gate(self._step, self._gate())
                        if self._looks and self._due(self._seconds - begun):
                            self._turn(self._seconds - begun)
                        tired = self._tired()
            finally:
                self._loader.close()
                self._save()
        self._conclude(self._ema.network)
        if self._looks and self._looked != self._step:
            self._turn(self._seconds - begun)
        if self._journal is not None and tired:
            self._journal.tired(self._step)
        return self._finished(self._ema.network, self._step)

    def best(self) -> Trained | None:
        """Return what was best in held-out demonstrations, or None where nobody looked at them."""
        if not self._best.step:
            return None
        network = smoothed_copy(self._ema.network).to(self._fabric.device)
        self._best.load_into(network)
        self._conclude(network)
        return self._finished(network, self._best.step)

    @property
    def _looks(self) -> bool:
        """Whether this process looks at held-out demonstrations at all."""
        return self.first and (self._journal is not None or self._run.training.patience > 0)

    def _due(self, seconds: float) -> bool:
        """Return whether a look is to be, or may be paid for after `seconds` of this process."""
        return self._run.training.patience > 0 or (self._journal is not None and self._journal.due(seconds))

    def _turn(self, seconds: float) -> None:
        """Look at held-out demonstrations: the page is written, and the best weights are kept."""
        if self._journal is None:
            self._error = self._look.look(self._ema.network).error
        else:
            self._error = self._journal.turn(self._step, self._held_out, self._pace.lap(seconds))
        self._looked = self._step
        self._best.offer(self._step, self._error, self._ema.network)

    def _tired(self) -> bool:
        """Return whether held-out demonstrations have not got better for as long as patience lasts."""
        patience, best = self._run.training.patience, self._best.step
        tired = bool(patience and best and self._step - best >= patience)
        return self._mean(torch.tensor(float(tired), device=self._fabric.device)) > 0

    def _one(self, settings: TrainingConfig) -> dict[str, float]:
        torch.manual_seed((self._seed << 32) + self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * group["share"] * _schedule(self._step, settings)
        with self._pace.waiting():
            batch = self._loader.take(self._step)
        parts = self._objective(batch.to(self._fabric.device))
        total = torch.stack(list(parts.values())).sum()
        self._optimizer.zero_grad()
        self._fabric.backward(total)
        norm = torch.nn.utils.clip_grad_norm_(self._trained, settings.clip)
        if not bool(torch.isfinite(norm)):
            losses = ", ".join(f"{name} {float(value.detach()):g}" for name, value in parts.items())
            raise TrainingError(
                f"training diverged at step {self._step} ({losses}): lower training.learning_rate or a loss's weight; "
                "the weights before this step are saved, --resume goes on from them"
            )
        self._optimizer.step()
        self._step += 1
        self._ema.update(self._step)
        return {name: self._mean(value.detach()) for name, value in parts.items()}

    def _draw(self, step: int) -> Batch:
        """Return this process's part of the batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        return self._train.draw(self._run.training.pairs, rng, self._fabric.global_rank, self._fabric.world_size)

    def _mean(self, value: torch.Tensor) -> float:
        """Return the mean of a value over the processes."""
        out = self._fabric.all_reduce(value) if self._fabric.world_size > 1 else value
        return float(out)  # type: ignore[arg-type]

    def _conclude(self, network: AbstractNetwork) -> None:
        network.conclude(lambda: self._features(network))

    def _finished(self, network: AbstractNetwork, step: int) -> Trained:
        """Return what a run ends with: averaged weights of a step."""
        metrics = {**self._metrics(network, _HELD_OUT_BATCHES), "steps": float(step), "seconds": self._seconds}
        return Trained(network.cpu(), self.normalizer, metrics, self._tasks, self._book)

    @torch.no_grad()
    def _metrics(self, network: AbstractNetwork, batches: int) -> dict[str, float]:
        """Return the held-out losses of averaged weights over so many batches."""
        rng = np.random.default_rng(self._seed)
        torch.manual_seed(self._seed)
        sums: dict[str, float] = {}
        objective = Objective(network).train(False)
        for _ in range(batches):
            for name, value in objective(self._held.draw(32, rng).to(self._fabric.device)).items():
                sums[f"held_out/{name}"] = sums.get(f"held_out/{name}", 0.0) + float(value) / batches
        return sums

    def _held_out(self) -> tuple[Look, dict[str, float]]:
        """Return what the averaged weights do in held-out demonstrations, and their losses by name."""
        losses = self._metrics(self._ema.network, _LOOK_BATCHES)
        return self._look.look(self._ema.network), {k.removeprefix("held_out/"): v for k, v in losses.items()}

    @torch.no_grad()
    def _features(self, network: AbstractNetwork) -> torch.Tensor:
        """Return what averaged weights make (N, F) of all frames that were trained on."""
        return torch.cat([network.encoder(inputs) for inputs in self._inputs(self._train, 1024)])

    @torch.no_grad()
    def _gate(self) -> np.ndarray | None:
        """Return the gate (N, K) over the first held-out frames in order, or None for a policy without one."""
        network, frames = self._ema.network, islice(self._inputs(self._held, 256), _GATE_BATCHES)
        gates = [network.code(inputs).get("gate") for inputs in frames]
        return None if gates[0] is None else torch.cat([g for g in gates if g is not None]).cpu().numpy()

    def _inputs(self, batches: Batches, size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the encoder's inputs of every frame, on the device."""
        for inputs in batches.all_inputs(size):
            yield {name: value.to(self._fabric.device) for name, value in inputs.items()}

    def _save(self) -> None:
        if self.first:
            save_state(self._out, self._step, self._seconds, self.network, self._ema.network, self._optimizer)


def _half(precision: str, device: torch.device) -> bool:
    """Return whether to compute in bfloat16."""
    if precision != "auto":
        return precision == "bfloat16"
    return torch.cuda.is_bf16_supported(False) if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()


def _schedule(step: int, settings: TrainingConfig) -> float:
    """Return the learning rate's share at a step: linear warm-up, then half a cosine to zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * share))
