"""Whether a policy whose weights were rounded still does what it did: in the simulator, or over recorded episodes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smp_bringup.bench.evaluate import EpisodeJob, run
from smp_bringup.errors import ModelError
from smp_bringup.replay import batch
from smp_bringup.replay.metrics import pooled, summarise
from smp_bringup.robot import Robot

LOST_POINTS = 2.0
"""So much of its success a rounded policy may lose."""
WORSE = 1.05
"""And so many times as far may its joints be from the operator's, where only recorded episodes judge."""


@dataclass(frozen=True)
class Solved:
    """The same layouts, once with each of two policies."""

    before: int
    after: int
    episodes: int

    def __str__(self) -> str:
        return f"{self.after}/{self.episodes} layouts solved, {self.before}/{self.episodes} before"


def solved(
    before: Path, after: Path, robot: Robot, tasks: Sequence[str], episodes: int, seed: int, done: Callable[[], None]
) -> Solved:
    """Run both policies on the same ordinary layouts.

    Args:
        before: checkpoint.
        after: the rounded one.
        robot: that is simulated.
        tasks: to judge on.
        episodes: of each task.
        seed: of the layouts.
        done: is called after each episode.

    Raises:
        ModelError: the rounded one loses more than `LOST_POINTS` of 100, or there is nothing to lose.
    """
    first = EpisodeJob("", robot, before, seed, 0)
    jobs = [
        replace(first, model=model, task=task, episode=k)
        for task in tasks
        for k in range(episodes)
        for model in (before, after)
    ]
    count = {before: 0, after: 0}
    for job, episode in run(jobs, 2):
        count[job.model] += episode.success
        done()
    found = Solved(count[before], count[after], len(jobs) // 2)
    if not found.before:
        raise ModelError(f"{found}: of a policy that solves none of them they say nothing; not written")
    lost = 100 * (found.before - found.after) / found.episodes
    if lost > LOST_POINTS:
        raise ModelError(f"{found}: rounding costs {lost:.1f} points, at most {LOST_POINTS:g} are allowed; not written")
    return found


def followed(
    before: Path, after: Path, robot: Robot, bags: Sequence[Path], done: Callable[[], None]
) -> tuple[float, float]:
    """Replay both policies over recorded episodes; return the error of their joints before and after [rad].

    Raises:
        ModelError: the rounded one's is more than `WORSE` times as large, or nothing is there to be compared with.
        SmpError: a bag cannot be replayed.
    """
    errors = []
    for model in (before, after):
        parts = []
        for replayed in batch.run([batch.ReplayJob(bag, model, robot) for bag in bags], 2):
            parts.append(replayed.samples)
            done()
        errors.append(summarise(pooled(parts)).get("joint_rmse", math.nan))
        if not math.isfinite(errors[-1]):
            raise ModelError(
                f"'{model}': no joint of these episodes was told what to do while the policy ran, so they judge "
                "nothing; not written: name episodes of an operator with --bags"
            )
    if errors[1] > WORSE * errors[0]:
        raise ModelError(
            f"joints are {errors[1]:.4f} rad from the operator's, {errors[0]:.4f} before: rounding may make that "
            f"{WORSE:g} times as much; not written"
        )
    return errors[0], errors[1]
