"""Studies: which policies are trained and how they are judged (config/studies/*.yaml).

Nothing is done twice: a trained model is found again by what it was trained on and how, an evaluated
episode by its arguments, so that a study goes on where it was interrupted, and studies share models.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from smp_bringup import config
from smp_bringup.bench.episodes import Episode, EpisodeFile
from smp_bringup.bench.evaluate import EpisodeJob, arguments, run, summary
from smp_bringup.bench.knockout import KNOCKOUTS
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.manifest import read_checked
from smp_bringup.paths import named_config
from smp_bringup.policy.checkpoint import WEIGHTS, deployed_settings, find_model, read_metrics, trained_settings
from smp_bringup.processes import unordered
from smp_bringup.robot import load_robot
from smp_bringup.tasks import GROUPS, expanded
from smp_bringup.training.config import load_run
from smp_bringup.training.dataset import bag_signature
from smp_bringup.training.job import Training, TrainingJob, demonstrations
from smp_bringup.training.preset import load_preset
from smp_bringup.training.trainer import use_threads

ROBOT = "aloha"


@dataclass(frozen=True)
class Row:
    """One line of a table: a policy, and what is different about it."""

    policy: str = ""
    """Run in config/policies that is trained."""
    model: str = ""
    """Or a shipped model, or a checkpoint folder, as it is."""
    preset: str = ""
    """Settings made to it, as of `smp train --preset`."""
    set: tuple[str, ...] = ()
    """Changes to the run after those, as of `smp train --set`."""
    start: str = ""
    """Row whose models training goes on from."""
    only_router: bool = False
    eyes: str = ""
    """Shipped model, or a checkpoint folder, whose cameras' networks are kept, as of `smp train --eyes`."""
    train_tasks: tuple[str, ...] = ()
    """What it is trained on, tasks or groups of them; all that there are demonstrations of if there are none."""
    limit: int | None = None
    """Demonstrations of each task."""
    tasks: tuple[str, ...] = ()
    """What it is judged on, tasks or groups of them; the eight of benchmark v1 if there are none."""
    deploy: tuple[str, ...] = ()
    """Changes to the trained policy's settings, as of `smp eval --set`."""
    variation: str = "wide"
    action_offset: float = field(default=0.0, metadata=spec(ge=0, le=0.5, unit="rad"))
    sensor_noise: float = field(default=0.0, metadata=spec(ge=0, le=0.5))
    knockout: str = field(default="", metadata=spec(choices=("", *KNOCKOUTS)))
    """How the gate is spoiled, if at all."""

    def __post_init__(self) -> None:
        if bool(self.policy) is bool(self.model):
            raise ConfigError("a row names a policy to train, or a model as it is: one of the two")
        trained = ("preset", "set", "start", "only_router", "eyes", "train_tasks", "limit")
        if self.model and (found := [name for name in trained if getattr(self, name)]):
            raise ConfigError(f"'{found[0]}' is of a training, model '{self.model}' is taken as it is: remove it")

    @property
    def changes(self) -> tuple[str, ...]:
        """All changes to the run."""
        return (*load_preset(self.preset).set, *self.set)


@dataclass(frozen=True)
class Study:
    """A table: every row is trained with every seed, and every model judged on the same layouts."""

    text: str
    rows: dict[str, Row]
    seeds: tuple[int, ...] = field(default=(0, 1, 2), metadata=spec(ge=0))
    """Of training."""
    episodes: int = field(default=50, metadata=spec(ge=1))
    """Per task and training seed."""
    evaluation_seed: int = field(default=9, metadata=spec(ge=0))

    def __post_init__(self) -> None:
        for key in ("rows", "seeds"):
            if not getattr(self, key):
                raise ConfigError(f"{key}: none is listed, so nothing would be compared")
        if twice := [seed for seed in self.seeds if self.seeds.count(seed) > 1]:
            raise ConfigError(f"seed {twice[0]} is listed twice: it would count as two trainings")
        for name, row in self.rows.items():
            if row.start and row.start not in self.rows:
                raise ConfigError(f"row '{name}' starts from '{row.start}', which is no row")
            if row.start and self.rows[row.start].start:
                raise ConfigError(f"row '{name}' starts from '{row.start}', which starts from another row itself")


@dataclass(frozen=True)
class Cell:
    """One row with one training seed."""

    row: str
    seed: int
    job: TrainingJob | None
    """None of a model that is taken as it is."""
    model: Path


def load_study(name: str) -> Study:
    """Return the study `name` (in config/studies, or a path to a YAML file)."""
    return config.load(Study, named_config("studies", name))


def cells(study: Study, bags: Path, out: Path) -> list[Cell]:
    """Return what is to be trained, seed by seed, rows that others start from first; equal trainings share a model."""

    def cell(name: str, seed: int) -> Cell:
        row = study.rows[name]
        if row.model:
            return Cell(name, seed, None, find_model(row.model))
        start = cell(row.start, seed).model if row.start else None
        eyes = find_model(row.eyes) if row.eyes else None
        wanted = expanded(row.train_tasks)
        told = bags, row.policy, row.changes, wanted, row.limit, seed, start, eyes
        job = TrainingJob(*told, only_router=row.only_router)
        return Cell(name, seed, job, out / "models" / _key(job) / "model")

    order = sorted(study.rows, key=lambda name: bool(study.rows[name].start))
    return [  # a study cut short has whole seeds
        cell(name, seed)
        for seed in study.seeds
        for name in order
        if not study.rows[name].model or seed == study.seeds[0]
    ]


def _key(job: TrainingJob) -> str:
    """Return a folder name that tells trainings apart: all that shapes the weights, and the bags as they are now."""
    run = load_run(job.policy, load_robot(ROBOT), job.changes)
    start = job.start and job.start.parent.name
    eyes = [sha256(read_checked(job.eyes).get(WEIGHTS, b"")).hexdigest()] if job.eyes else []
    parts = [trained_settings(run.policy), asdict(run.training), job.tasks, job.limit, job.seed, start, job.only_router]
    text = json.dumps([parts, *eyes, [bag_signature(bag) for bag in demonstrations(job)]], sort_keys=True)
    return f"{Path(job.policy).stem}-{sha256(text.encode()).hexdigest()[:10]}"


def train(wanted: Sequence[Cell], workers: int) -> Iterator[Path]:
    """Train what is missing, in several processes of one thread; yield the models as they are exported."""
    missing = {cell.model: cell.job for cell in wanted if cell.job is not None and not cell.model.exists()}
    for later in (False, True):
        jobs = [(job, model) for model, job in missing.items() if (job.start is not None) is later]
        for job, _ in jobs:
            Training(job)  # reads the bags into the cache: processes of a pool may start none that would
        yield from unordered(_train, jobs, workers)


def _train(job: tuple[TrainingJob, Path]) -> Path:
    use_threads(1)
    training, model = Training(job[0]), job[1]
    folder = model.parent / "run"
    trainer = training.trainer(folder)
    if trainer.saved:
        trainer.resume()
    training.save(trainer.train(lambda step, losses: None), model)
    shutil.rmtree(folder)
    return model


class Evaluation:
    """The episodes of all cells of a study."""

    def __init__(self, study: Study, wanted: Sequence[Cell], out: Path) -> None:
        """Find what was evaluated before."""
        self._study, robot = study, load_robot(ROBOT)
        self._files: dict[EpisodeJob, EpisodeFile] = {}
        self._jobs: dict[Cell, list[EpisodeJob]] = {}
        for cell in wanted:
            row = study.rows[cell.row]
            trained = deployed_settings(load_run(row.policy, robot, row.changes).policy) if row.policy else ()
            first = EpisodeJob(
                "",
                robot,
                cell.model,
                study.evaluation_seed,
                0,
                variation=row.variation,
                action_offset=row.action_offset,
                sensor_noise=row.sensor_noise,
                changes=(*trained, *row.deploy),
                knockout=row.knockout,
            )
            name = (row.model and cell.model.name) or cell.model.parent.name
            file = EpisodeFile(out / "episodes", name, arguments(first), resume=True)
            names = expanded(row.tasks) or GROUPS["all"]
            self._jobs[cell] = [replace(first, task=t, episode=i) for t in names for i in range(study.episodes)]
            self._files |= dict.fromkeys(self._jobs[cell], file)
        self.missing = [job for job, file in self._files.items() if (job.task, job.episode) not in file.done]

    def run(self, workers: int) -> Iterator[Episode]:
        """Run the missing episodes, and yield them as they finish."""
        for job, episode in run(self.missing, workers):
            self._files[job].append(episode)
            yield episode

    def report(self) -> dict[str, Any]:
        """Return per row the summary over all seeds, the rate of each seed, and the parameters."""
        return {"text": self._study.text, "rows": {name: self._row(name) for name in self._study.rows}}

    def _row(self, name: str) -> dict[str, Any]:
        row = self._study.rows[name]
        mine = {cell: self._episodes(jobs) for cell, jobs in self._jobs.items() if cell.row == name}
        every = summary([episode for episodes in mine.values() for episode in episodes])
        metrics = [read_metrics(read_checked(cell.model)) for cell in mine]
        total, each = metrics[0]["parameters"], metrics[0]["parameters_per_expert"]
        inactive = len(every["gate"]["usage"]) - every["active_experts"]["mean"]
        # checkpoints without a mixed mean head may be older than the key
        read = round(total - each * inactive - metrics[0].get("parameters_idle", 0))
        return {
            **{key: list(v) if isinstance(v, tuple) else v for key, v in vars(row).items()},
            "evaluation": {"seed": self._study.evaluation_seed, "episodes": self._study.episodes},
            "training_seeds": {cell.seed: summary(episodes)["all"]["rate"] for cell, episodes in mine.items()},
            "training_minutes": [round(m["seconds"] / 60, 1) for m in metrics if "seconds" in m],
            "parameters": {"total": total, "active": read},
            **every,
        }

    def _episodes(self, jobs: Sequence[EpisodeJob]) -> list[Episode]:
        return [self._files[job].done[job.task, job.episode] for job in jobs]
