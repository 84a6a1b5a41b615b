"""Closed-loop success of a policy in lockstep, over tasks and seeds, in several processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.action.seam import DEFAULT_SEAM
from smp_bringup.bench.episodes import STAGES, Episode, condense
from smp_bringup.bench.knockout import knocked_out
from smp_bringup.config import dump
from smp_bringup.errors import InstallError
from smp_bringup.geometry import load_geometry
from smp_bringup.lerobot.deployment import signature
from smp_bringup.manifest import read_checked
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import CONFIG, NORMALIZER, is_hosted
from smp_bringup.processes import unordered
from smp_bringup.robot import Robot
from smp_bringup.safety.config import load_safety, safety_of
from smp_bringup.sim.noise import NoisySensors
from smp_bringup.sim.rollout import Timing, rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.state_track import state_rollout
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation
from smp_bringup.stats import percentiles, wilson
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.variation import DEFAULT, load_task, load_variation
from smp_bringup.words.phrasebook import EMBEDDINGS, SENTENCES

_FRAME_S = 0.4
"""Between two frames of a film [s]."""
_OTHER = 50_000
"""The control's images come from the episode so much later."""


@dataclass(frozen=True)
class EpisodeJob:
    """One episode to run."""

    task: str
    robot: Robot
    model: Path
    seed: int
    episode: int
    swap_images: bool = False
    variation: str = DEFAULT
    action_offset: float = 0.0
    """The arms stand so far [rad] beside every setpoint, in all joints but the grippers."""
    sensor_noise: float = 0.0
    """Standard deviation of the noise on what the policy is told of joints [rad] and objects [m]."""
    changes: tuple[str, ...] = ()
    """"key=value", made to the settings of the trained policy."""
    knockout: str = ""
    """How its gate is spoiled, one of `KNOCKOUTS`, if at all."""
    films: Path | None = None
    """Folder of films, if any are wanted; they change nothing in the episode."""
    seam: str = DEFAULT_SEAM
    """How chunks are joined."""
    say: str = ""
    """What a policy with words is told instead of the task's text."""


def arguments(job: EpisodeJob) -> dict[str, Any]:
    """Return what decides how the episodes of an evaluation go; the same arguments give the same episodes.

    All configuration that moves a robot counts, by its values: robot, geometry, simulation, safety settings, tasks,
    variation and policy. The code does not: most changes of it move nothing, and after one that does an evaluation
    begins anew.
    """
    return {
        "seed": job.seed,
        "swap_images": job.swap_images,
        "variation": job.variation,
        "action_offset": job.action_offset,
        "sensor_noise": job.sensor_noise,
        "changes": job.changes,
        "knockout": job.knockout,
        **({} if job.seam == DEFAULT_SEAM else {"seam": job.seam}),
        "say": job.say,
        "sha256": sha256("\0".join(_moving(job)).encode()).hexdigest(),
    }


def _moving(job: EpisodeJob) -> Iterator[str]:
    """Yield everything that moves a robot, as text."""
    if is_hosted(job.model):
        yield from signature(job.model)
    for name, content in sorted(({} if is_hosted(job.model) else read_checked(job.model)).items()):
        if name in (CONFIG, NORMALIZER, SENTENCES, EMBEDDINGS) or name.endswith(".onnx"):
            yield f"{name} {sha256(content).hexdigest()}"
    yield dump(job.robot)
    yield from (dump(load_geometry(arm)) for arm in job.robot.arms if arm.geometry)
    yield dump(load_safety(safety_of(job.robot)))
    yield dump(load_simulation(job.robot))
    yield dump(load_variation(job.variation))
    yield from (dump(load_task(name)) for name in sorted(TASKS))


def run(jobs: Sequence[EpisodeJob], workers: int) -> Iterator[tuple[EpisodeJob, Episode]]:
    """Yield the jobs with their episodes in the order they finish."""
    return unordered(_run, jobs, workers)


def summary(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Return success per task and in all with 95 % intervals, how it moved, and what the gate did."""
    chunks = np.array([e.chunks for e in episodes], dtype=np.float64)
    stages = {name: [ms for e in episodes for ms in e.stage_ms[name]] for name in STAGES}
    total = np.sum([values for values in stages.values()], axis=0)
    names = sorted({e.task for e in episodes})
    return {
        "tasks": {name: _counts([e for e in episodes if e.task == name]) for name in names},
        "all": _counts(episodes),
        "active_experts": {"mean": round(_weighted([e.active for e in episodes], chunks), 3)},
        "kept_mass": {"mean": round(_weighted([e.kept_mass for e in episodes], chunks), 4)},
        "gate": _gate(episodes, chunks),
        "latency_ms": percentiles(total.tolist()),
        "stage_ms": {name: percentiles(values) for name, values in stages.items()},
    }


def _gate(episodes: Sequence[Episode], chunks: np.ndarray) -> dict[str, Any]:
    """Return flips and total variation per step from chunk to chunk, the mean gate and its entropy [nat]."""
    steps = max(1.0, float(np.maximum(chunks - 1, 0).sum()))
    seen = [e for e in episodes if e.chunks]
    usage = np.average([e.usage for e in seen], axis=0, weights=[e.chunks for e in seen]) if seen else np.ones(1)
    return {
        "flip_rate": round(sum(e.flips for e in episodes) / steps, 4),
        "total_variation": round(sum(e.variation for e in episodes) / steps, 4),
        "usage": usage.round(4).tolist(),
        "usage_entropy": round(max(0.0, float(-np.sum(usage * np.log(np.maximum(usage, 1e-12))))), 4),
        "largest_entropy": round(float(np.log(len(usage))), 4),
    }


def _counts(episodes: Sequence[Episode]) -> dict[str, Any]:
    successes = sum(e.success for e in episodes)
    times = [e.time_s for e in episodes if e.success]
    return {
        "episodes": len(episodes),
        "successes": successes,
        "rate": round(successes / len(episodes), 4),
        "interval": [round(x, 4) for x in wilson(successes, len(episodes))],
        "median_time_s": round(float(np.median(times)), 2) if times else None,
        "faults": sum(bool(e.fault) for e in episodes),
        "collisions": {
            "arms": sum(e.arm_collisions for e in episodes),
            "table": sum(e.table_collisions for e in episodes),
            "episodes": sum(bool(e.arm_collisions or e.table_collisions) for e in episodes),
        },
        "jerk": round(float(np.sqrt(np.mean([e.jerk**2 for e in episodes]))), 1),
    }


def _weighted(values: Sequence[float], chunks: np.ndarray) -> float:
    return float(np.sum(np.array(values) * chunks) / max(1.0, float(chunks.sum())))


@cache
def _world(task: str, robot: Robot, variation: str, role: str) -> World:
    return World(TASKS[task](variation), robot)


@cache
def _policy(model: Path, robot: Robot, changes: tuple[str, ...]) -> AbstractPolicy:
    return build_policy(model, robot, changes=changes)


@cache
def _draws(world: World) -> bool:
    """Return whether there is any OpenGL: the state track runs without it, and then without films."""
    try:
        world.render(world.robot.cameras[0].name)
    except InstallError:
        return False
    return True


def _run(job: EpisodeJob) -> tuple[EpisodeJob, Episode]:
    world = _world(job.task, job.robot, job.variation, "own")
    world.set_offset(job.action_offset)
    seed, policy = evaluation_seed(job.seed, job.episode), _policy(job.model, job.robot, job.changes)
    if job.knockout:
        policy = knocked_out(policy, job.knockout)
    if job.sensor_noise:
        policy = NoisySensors(policy, world.robot, job.sensor_noise, seed)
    film_s = _FRAME_S if job.films and _draws(world) else 0.0
    if policy.config.track == "state":
        result = state_rollout(world, policy, world.robot, seed, film_s, say=job.say)
        return job, condense(result, job.episode, job.films)
    other = None
    if job.swap_images:
        other = _world(job.task, job.robot, job.variation, "other")
        other.reset(evaluation_seed(job.seed, job.episode + _OTHER))
    finished = rollout(world, policy, world.robot, seed, film_s, other, Timing(seam=job.seam), say=job.say)
    return job, condense(finished, job.episode, job.films)
