"""Many bags in several processes; the order of the results is that of the bags."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from smp_bringup.bag.reader import Bag, open_bag
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.processes import ordered
from smp_bringup.replay.metrics import Samples, samples
from smp_bringup.replay.run import ReplayResult, ReplaySettings, replay
from smp_bringup.robot import Robot
from smp_bringup.safety.config import safety_of


@dataclass(frozen=True)
class ReplayJob:
    """One bag to replay with one model."""

    bag: Path
    model: Path
    robot: Robot | None = None
    """Where the bag is not to be believed, or carries none."""
    settings: ReplaySettings = field(default_factory=ReplaySettings)


@dataclass(frozen=True)
class Replayed:
    """What came of a job."""

    job: ReplayJob
    result: ReplayResult
    samples: Samples
    duration_s: float
    """Length of the bag [s]."""


def check_bags(jobs: Sequence[ReplayJob]) -> None:
    """Open every bag, so that one that cannot be scored is named before anything is; raises SmpError."""
    for job in jobs:
        robot_of(open_bag(job.bag), job)


def run(jobs: Sequence[ReplayJob], workers: int) -> Iterator[Replayed]:
    """Yield the results in order; the first SmpError ends it."""
    if workers == 1 or len(jobs) == 1:
        yield from map(run_one, jobs)
        return
    yield from ordered(run_one, jobs, workers)


def run_one(job: ReplayJob) -> Replayed:
    """Replay one bag."""
    bag = open_bag(job.bag)
    robot = robot_of(bag, job)
    policy = _policy(job.model, robot)
    safety = job.settings.safety or (safety_of(job.robot) if job.robot else "")
    result = replay(bag, policy, robot, dataclasses.replace(job.settings, safety=safety))
    span_s = (result.chunks[-1].stamp_ns - result.chunks[0].stamp_ns) / 1e9
    return Replayed(job, result, samples(result, robot, policy.config.replan_s), span_s)


def robot_of(bag: Bag, job: ReplayJob) -> Robot:
    """Return the robot of a job: the one that was named, or the bag's own."""
    return job.robot or bag.robot()


@cache
def _policy(model: Path, robot: Robot) -> AbstractPolicy:
    return build_policy(model, robot)
