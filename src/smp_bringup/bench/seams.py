"""Seams compared under injected delays of inference: success, jump of the setpoint, jerk and pause."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.processes import unordered
from smp_bringup.robot import Robot
from smp_bringup.sim.rollout import EpisodeResult, Timing, rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.stats import percentiles, wilson
from smp_bringup.tasks import TASKS

SYNCHRONOUS = "synchronous"
"""The arms wait for inference: what the seams are there to avoid."""


@dataclass(frozen=True)
class SeamJob:
    """One episode to run."""

    seam: str
    """One of `action.seam.SEAMS`, or `SYNCHRONOUS`."""
    delay_s: float
    task: str
    robot: Robot
    model: Path
    seed: int
    episode: int


def run(jobs: Sequence[SeamJob], workers: int) -> Iterator[tuple[SeamJob, EpisodeResult]]:
    """Yield jobs with their results in the order they finish."""
    return unordered(_run, jobs, workers)


def summary(results: Sequence[EpisodeResult]) -> dict[str, object]:
    """Return what the episodes of one seam at one delay had in common."""
    successes = sum(r.success for r in results)
    return {
        "episodes": len(results),
        "successes": successes,
        "interval": [round(x, 4) for x in wilson(successes, len(results))],
        "faults": sum(bool(r.fault) for r in results),
        "seam_jump_mrad": percentiles([1e3 * jump for r in results for jump in r.seam_jumps]),
        "jerk_rms": round(float(np.sqrt(np.mean([r.jerk**2 for r in results]))), 2),
        "pause_s_per_minute": round(60 * sum(r.pause_s for r in results) / sum(r.time_s for r in results), 3),
    }


@cache
def _world(task: str, robot: Robot) -> World:
    return World(TASKS[task](), robot)


@cache
def _policy(model: Path, robot: Robot) -> AbstractPolicy:
    return build_policy(model, robot)


def _run(job: SeamJob) -> tuple[SeamJob, EpisodeResult]:
    world, policy = _world(job.task, job.robot), _policy(job.model, job.robot)
    synchronous = job.seam == SYNCHRONOUS
    timing = Timing(job.delay_s, "latest" if synchronous else job.seam, synchronous)
    return job, rollout(world, policy, world.robot, evaluation_seed(job.seed, job.episode), timing=timing)
