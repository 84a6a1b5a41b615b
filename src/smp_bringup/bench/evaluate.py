"""Closed-loop success of a policy in lockstep, over tasks and seeds, in several processes."""

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from smp_bringup.bench.stats import percentiles, wilson
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.robot import load_robot
from smp_bringup.sim.rollout import EpisodeResult, rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

_OTHER = 50_000
"""The control's images come from the episode so much later."""


@dataclass(frozen=True)
class Job:
    """One episode to run."""

    task: str
    robot: str
    model: Path
    seed: int
    episode: int
    swap_images: bool
    film_s: float = 0.0


def run(jobs: Sequence[Job], workers: int) -> Iterator[EpisodeResult]:
    """Yield the results in the order they finish."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(max(1, min(workers, len(jobs)))) as pool:
        yield from pool.imap_unordered(_run, jobs)


def summary(results: Sequence[EpisodeResult]) -> dict[str, object]:
    """Return episodes, successes and 95 % interval per task and in all, and what the gate did."""
    tasks = {}
    for name in sorted({r.task for r in results}):
        tasks[name] = _counts([r for r in results if r.task == name])
    gates = [gate for r in results for gate in r.gates]
    stages = {name: percentiles([g.stage_ms[name] for g in gates]) for name in ("encode", "denoise", "decode")}
    return {
        "tasks": tasks,
        "all": _counts(results),
        "active_experts": {"mean": round(float(np.mean([len(g.active) for g in gates])), 3)},
        "kept_mass": {"mean": round(float(np.mean([g.kept_mass for g in gates])), 4)},
        "stage_ms": stages,
    }


def _counts(results: Sequence[EpisodeResult]) -> dict[str, object]:
    successes = sum(r.success for r in results)
    times = [r.time_s for r in results if r.success]
    return {
        "episodes": len(results),
        "successes": successes,
        "rate": round(successes / len(results), 4),
        "interval": [round(x, 4) for x in wilson(successes, len(results))],
        "median_time_s": round(float(np.median(times)), 2) if times else None,
        "faults": sum(bool(r.fault) for r in results),
    }


@cache
def _world(task: str, robot: str, role: str) -> World:
    return World(TASKS[task](), load_robot(robot))


@cache
def _policy(model: Path, robot: str) -> AbstractPolicy:
    return build_policy(model, load_robot(robot))


def _run(job: Job) -> EpisodeResult:
    world = _world(job.task, job.robot, "own")
    seed = evaluation_seed(job.seed, job.episode)
    other = None
    if job.swap_images:
        other = _world(job.task, job.robot, "other")
        other.reset(evaluation_seed(job.seed, job.episode + _OTHER))
    return rollout(world, _policy(job.model, job.robot), world.robot, seed, job.film_s, other)
