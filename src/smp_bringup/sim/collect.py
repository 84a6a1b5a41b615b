"""Many demonstrations in several processes; episodes that are already there are kept."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from smp_bringup.robot import load_robot
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.sim.state_demonstration import record_state_demonstration
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS


@dataclass(frozen=True)
class Job:
    """One demonstration to record."""

    task: str
    robot: str
    seed: int
    folder: Path
    noise: float
    track: str
    """"camera" or "state"."""


def jobs(task: str, robot: str, episodes: int, seed: int, out: Path, noise: float, track: str) -> list[Job]:
    """Return the demonstrations of one task; every second one is perturbed with `noise` [rad]."""
    return [
        Job(task, robot, demonstration_seed(seed, i), out / task / f"episode_{seed}_{i:05d}", noise * (i % 2), track)
        for i in range(episodes)
    ]


def collect(wanted: list[Job], workers: int) -> Iterator[tuple[Job, bool]]:
    """Record what is missing and yield each finished job with its success."""
    missing = [job for job in wanted if not job.folder.exists()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(max(1, min(workers, len(missing) or 1))) as pool:
        yield from pool.imap_unordered(_record, missing, chunksize=4)


@cache
def _world(task: str, robot: str) -> World:
    return World(TASKS[task](), load_robot(robot))


def _record(job: Job) -> tuple[Job, bool]:
    world = _world(job.task, job.robot)
    record = record_state_demonstration if job.track == "state" else record_demonstration
    return job, record(world, world.robot, job.seed, job.folder, job.noise)
