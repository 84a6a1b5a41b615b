"""One training run from bags to a checkpoint, as `smp train` and the studies ask for it."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.tree import bag_folders
from smp_bringup.errors import BagError, ConfigError, SmpError, one_line
from smp_bringup.page.parts import Command
from smp_bringup.paths import share
from smp_bringup.policy.checkpoint import called
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.record.stops import STOPPED
from smp_bringup.robot import Robot
from smp_bringup.training.config import load_run
from smp_bringup.training.dataset import OTHER_ROBOT, Dataset, first_of_each, load_dataset
from smp_bringup.training.eyes import eyes_of, looked_at
from smp_bringup.training.journal import About
from smp_bringup.training.save import model_card, save_checkpoint
from smp_bringup.training.start import Start, from_scratch
from smp_bringup.training.told import book_of, wanted_phrases
from smp_bringup.training.trainer import Trained, Trainer
from smp_bringup.training.transfer import start_from

_EVALUATED = "aloha"
"""The robot that `smp eval` takes unless it is told otherwise."""
_FILE = "ROBOT.yaml"
"""What stands for a robot file of whose name bags say nothing."""


@dataclass(frozen=True)
class TrainingJob:
    """What is trained, on what."""

    bags: Path
    policy: str
    """Run in config/policies, or a path to a YAML file."""
    changes: tuple[str, ...] = ()
    """"section.key=value", made to the run."""
    tasks: tuple[str, ...] = ()
    """Folders of `bags` that are taken; all if there are none."""
    limit: int | None = None
    """Demonstrations of each folder."""
    seed: int = 0
    start: Path | None = None
    """Checkpoint to go on from."""
    eyes: Path | None = None
    """Checkpoint whose cameras' networks are kept, or weights of a network of timm, see `training.eyes`."""
    tune_eyes: bool = False
    """Whether they are trained on instead."""
    only_router: bool = False
    rejected: bool = False
    """Whether bags that the recorder rejected are taken too."""
    corrections: float = 1.0
    """How often what an operator did where a policy had begun is drawn, a demonstration being drawn once."""

    def __post_init__(self) -> None:
        if self.only_router and self.start is None:
            raise ConfigError("--only-router trains the router of a trained policy: name its checkpoint with --start")
        if self.eyes is not None and self.start is not None:
            raise ConfigError("--start goes on with the eyes of its own checkpoint: leave --eyes out")
        if self.tune_eyes and self.eyes is None:
            raise ConfigError("--tune-eyes trains on what --eyes names: name it")

    def command(self) -> str:
        """Return the command that runs this."""
        parts = [f"smp train --bags {self.bags} --policy {self.policy} --seed {self.seed}"]
        parts += [f"--set {change}" for change in self.changes]
        parts += [f"--tasks {','.join(self.tasks)}"] * bool(self.tasks) + [f"--limit {self.limit}"] * bool(self.limit)
        for option, model in (("--start", self.start), ("--eyes", self.eyes)):
            parts += [f"{option} {called(model)}"] if model else []
        parts += ["--tune-eyes"] * self.tune_eyes + ["--only-router"] * self.only_router
        parts += ["--rejected"] * self.rejected + [f"--corrections {self.corrections:g}"] * (self.corrections != 1)
        return " ".join(parts)


class Training:
    """A job with its demonstrations read."""

    def __init__(self, job: TrainingJob, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read the run and the bags; `progress` gets how many were read, and of how many.

        What does not fit the robot of the bags is refused before they are read.
        """
        self._job = job
        found, self.left_out = _selected(job)
        """Why bags were not even read: they were rejected, or are of a stop."""
        self._robot = _first_robot(found)
        self.run = load_run(job.policy, self._robot, job.changes)
        self._start: Start | None = None
        if job.start is not None:
            self.run, self._start = start_from(job.start, self.run, self._robot, job.only_router)
        self._eyes = eyes_of(job.eyes, self.run, self._robot, job.tune_eyes) if job.eyes else None
        if self._eyes is not None:
            self.run = self._eyes.used_by(self.run)
        elif job.start is None and self.run.policy.track == "camera" and self.run.policy.encoder.pretrained:
            raise ConfigError(
                f"encoder.backbone {self.run.policy.encoder.backbone} was trained on photographs: name its weights, "
                "--eyes model.safetensors"
            )
        phrases = wanted_phrases(self.run)
        self.data: Dataset = load_dataset(found, self._robot, self.run.policy, job.bags.parent / "cache", progress)
        _require_most(self.data, self._robot)
        self._book = book_of(self.data, self.run, phrases)

    def trainer(
        self,
        out: Path,
        about: About | None = None,
        looking: Callable[[int, int], None] = lambda done, total: None,
    ) -> Trainer:
        """Return what trains.

        Args:
            out: where its state is kept.
            about: what the page of the training says; None: there is none.
            looking: gets at how many frames eyes that are kept have looked, and of how many.
        """
        start, data = self._start, self.data
        if self._eyes is not None:
            torch.manual_seed(self._job.seed)
            start = from_scratch(self.run.policy, data, self._robot, self._book)
            self._eyes.open_in(start.network.encoder)
            if not self._eyes.tuned:
                data = looked_at(data, start.network.encoder, start.normalizer.senses, looking)
        told = self._job.corrections, about, self._book
        return Trainer(self.run, data, self._robot, self._job.seed, out, start, *told)

    def about(self, told: Sequence[tuple[str, str]], model: Path) -> About:
        """Return what the page of this training says; `told` are facts of the run, `model` is what is exported."""
        named, bags = shlex.quote(str(model)), shlex.quote(str(self._job.bags))
        steps = [
            Command(
                f"smp replay {bags} --model {named} --criteria default --report out/replay",
                "Before any arm moves: what the policy would have done in bags, best in ones it was not trained on. "
                "Success in a simulator is no substitute for it.",
            ),
            Command(f"smp up --model {named}", "If the criteria pass, with a hand at the stop (docs/your_robot.md):"),
        ]
        if self._robot.simulation:
            of_it = f"In the simulator, if the bags are of it{_file_of(self._robot)}:"
            steps.append(Command(f"smp eval --policy {named}{_flag(self._robot)}", of_it))
        data = f"{len(self.data.starts) - 1} demonstrations, {len(self.data.state)} frames"
        return About(
            f"smp train: {Path(self._job.policy).stem}", [*told, ("data", data), ("inputs", self.sight)], steps
        )

    def save(self, trained: Trained, folder: Path) -> None:
        """Export the policy as the checkpoint `folder`, checked against PyTorch."""
        eyes = f"{self._eyes.source}; {'tuned' if self._eyes.tuned else 'kept'}" if self._eyes else ""
        card = model_card(self.run, self.data, trained, self._job.command(), eyes)
        save_checkpoint(trained, self._robot, folder, card, eyes)

    @property
    def sight(self) -> str:
        """What the policy sees of the robot beside its joints, and what it does not."""
        heard = f"; is told one of {len(self._book.wordings)} sentences" if self.run.policy.words else ""
        return sight(self.run.policy, self._robot) + heard

    def next_step(self, model: Path) -> str:
        """Return what to do with the exported `model`: try it in the simulator, or where there is none, by replay."""
        named, robot = shlex.quote(str(model)), self._robot
        if robot.simulation:
            return f"next: smp eval --policy {named}{_flag(robot)}{_file_of(robot)}"
        replay = f"smp replay {shlex.quote(str(self._job.bags))} --model {named} --criteria default"
        return (
            f"next, before any arm follows it: {replay} --report out/replay; "
            f"then model: {model.resolve()} in the robot file"
        )


def _flag(robot: Robot) -> str:
    """Return how commands name a robot: one of config/robots by its name, any other by a file that bags do not know."""
    if robot.name == _EVALUATED:
        return ""
    return f" --robot {robot.name}" if _ships(robot) else f" --robot {_FILE}"


def _file_of(robot: Robot) -> str:
    """Return which file is meant where a robot is named by one."""
    return "" if robot.name == _EVALUATED or _ships(robot) else f" ({_FILE}: the robot file of {one_line(robot.name)})"


def _ships(robot: Robot) -> bool:
    return (share("config", "robots") / f"{robot.name}.yaml").is_file()


def sight(policy: PolicyConfig, robot: Robot) -> str:
    """Return in words what a policy sees of a robot beside its joints, and what there is that it does not see."""
    if policy.track == "state":
        return "sees the poses of the objects"
    colour, depth = ([c.name for c in robot.cameras if bool(c.depth) is told] for told in (False, True))
    kinds = (
        ("cameras", policy.cameras, colour),
        ("depth", policy.depth, depth),
        ("vectors", policy.vectors, [vector.name for vector in robot.vectors]),
    )
    seen = [f"{key} {', '.join(names)}" for key, names, _ in kinds if names]
    left = [(key, [name for name in known if name not in names]) for key, names, known in kinds]
    unseen = [f"policy.{key}: {', '.join(names)}" for key, names in left if names]
    return f"sees {'; '.join(seen)}" + (f" (not seen: {'; '.join(unseen)})" if unseen else "")


def _first_robot(folders: Sequence[Path]) -> Robot:
    """Return the robot of the first bag that can be read; raises what is wrong with the first if none can."""
    wrong = []
    for folder in folders:
        try:
            return open_bag(folder).robot()
        except SmpError as error:
            wrong.append(error)
    raise wrong[0]


def _require_most(data: Dataset, robot: Robot) -> None:
    """Raise BagError where more bags are of one other robot than of this one: the first bag was the odd one."""
    others = Counter(reason.partition(OTHER_ROBOT)[2] for reason in data.skipped if OTHER_ROBOT in reason)
    unlike, count = others.most_common(1)[0] if others else ("", 0)
    if count > len(data.starts) - 1:
        raise BagError(
            f"{len(data.starts) - 1} bags are of the first robot that was read, '{robot.name}', {count} of "
            f"another{unlike}: keep the bags of one robot in a folder, or name theirs with --tasks"
        )


def demonstrations(job: TrainingJob) -> list[Path]:
    """Return the bags of a job.

    Raises:
        BagError: a task has no folder, or there is no bag at all that may be taken.
    """
    return _selected(job)[0]


def _selected(job: TrainingJob) -> tuple[list[Path], list[str]]:
    """Return the bags of a job, and why others are left out."""
    taken, left_out = [], []
    for folder in _of_tasks(job):
        why = _why_not(folder, job.rejected)
        if why:
            left_out.append(f"bag '{folder}' {why}")
        else:
            taken.append(folder)
    if not taken:
        raise BagError(f"none of {len(left_out)} bags may be trained on; the first: {left_out[0]}")
    return first_of_each(taken, job.limit), left_out


def _of_tasks(job: TrainingJob) -> Sequence[Path]:
    found = bag_folders(job.bags)
    if not job.tasks:
        return found
    known = {folder.parent.name for folder in found}
    for name in job.tasks:
        if name not in known:
            raise BagError(f"'{job.bags}' has no folder '{name}' of demonstrations; it has {', '.join(sorted(known))}")
    return [folder for folder in found if folder.parent.name in job.tasks]


def _why_not(folder: Path, rejected: bool) -> str:
    """Return why a bag is not even read; nothing where it is, or where that will say what is wrong with it.

    Args:
        folder: of the bag.
        rejected: whether what the recorder rejected is taken.
    """
    try:
        episode = open_bag(folder).episode
    except SmpError:
        return ""
    if STOPPED in episode:
        return "is what the black box kept of a stop, no demonstration"
    if episode.get("quality") == "reject" and not rejected:
        reasons = one_line(episode.get("reasons", ""))
        return f"was rejected when it was recorded ({reasons}); --rejected takes it"
    return ""
