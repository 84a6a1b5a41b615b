"""Many demonstrations in several processes; episodes that are already there are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from smp_bringup.bag.metadata import METADATA
from smp_bringup.errors import OutputError, StoppedError, UnreachableError
from smp_bringup.processes import unordered
from smp_bringup.robot import Robot
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.sim.state_demonstration import record_state_demonstration
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.shortfall import shortfall
from smp_bringup.tasks.variation import DEFAULT


@dataclass(frozen=True)
class DemonstrationJob:
    """One demonstration to record."""

    robot: Robot
    noise: float
    """Tremor of the operator [rad]."""
    task: str = ""
    seed: int = 0
    folder: Path = Path()
    track: str = "camera"
    """Or "state"."""
    variation: str = DEFAULT


class Recorded(NamedTuple):
    """How a job went."""

    job: DemonstrationJob
    success: bool
    reason: str = ""
    """Why there is no bag of it, if there is none."""
    lacks: str = ""
    """Of one that failed: what held the arms, and how far the scene is from what the task wants."""


def jobs(task: str, episodes: int, seed: int, out: Path, like: DemonstrationJob) -> list[DemonstrationJob]:
    """Return the demonstrations of one task; every second one is perturbed with the noise of `like`."""
    return [
        replace(
            like,
            task=task,
            seed=demonstration_seed(seed, i),
            folder=out / task / f"episode_{seed}_{i:05d}",
            noise=like.noise * (i % 2),
        )
        for i in range(episodes)
    ]


def recorded(job: DemonstrationJob) -> bool:
    """Return whether the bag of a job is there already.

    Raises:
        OutputError: something else has its name.
    """
    if not job.folder.exists():
        return False
    if not (job.folder / METADATA).is_file():
        raise OutputError(f"'{job.folder}' is no bag, and a bag is to have its name: remove it")
    return True


def collect(wanted: list[DemonstrationJob], workers: int) -> Iterator[Recorded]:
    """Record what is missing, one after the other as they finish."""
    return unordered(_record, [job for job in wanted if not recorded(job)], workers)


@cache
def _world(task: str, robot: Robot, variation: str) -> World:
    return World(TASKS[task](variation), robot)


def _record(job: DemonstrationJob) -> Recorded:
    world = _world(job.task, job.robot, job.variation)
    held_s = dict[str, float]()
    try:
        if job.track == "state":
            success = record_state_demonstration(world, world.robot, job.seed, job.folder, job.noise)
        else:
            success = record_demonstration(world, world.robot, job.seed, job.folder, job.noise, held_s)
    except (UnreachableError, StoppedError) as error:
        return Recorded(job, False, str(error))
    return Recorded(job, success, lacks="" if success else _lacks(world, held_s))


def _lacks(world: World, held_s: dict[str, float]) -> str:
    """Return why an episode did not succeed, as far as it shows."""
    said = [
        f"{why} (held the arms for {held_s[why]:.1f} s)" for why in sorted(held_s, key=lambda why: -held_s[why])[:1]
    ]
    return "; ".join(filter(None, (*said, shortfall(world.task, world.model, world.data))))
