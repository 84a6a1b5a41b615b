"""Does a policy do what it is told? Closed loop, told in known words, new ones, wrong ones and none (docs/words.md).

python tools/words.py hands --model runs/words/model [--episodes 10] [--only known,other]; the words that no training
saw are in config/phrases/pairs_held_out.yaml and need the extra `words`. Episodes that are in docs/results/words.json
stay.
"""

import argparse
import copy
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.cli.show import progress
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import DeployedPolicy
from smp_bringup.processes import unordered
from smp_bringup.robot import load_robot
from smp_bringup.sim.rollout import rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.stats import wilson
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.variation import load_task
from smp_bringup.words.phrases import load_phrases

RESULTS, PAGE = Path("docs/results/words.json"), Path("docs/words.md")
PAIRS = {
    "hands": ("transfer_from_left", "transfer_from_right"),
    "blocks": ("left_block_below", "right_block_below"),
}
LEVEL = "v2"
"""Of variation: at it the layouts of the tasks of a pair are drawn alike."""
ROWS = {
    "known": "its sentence",
    "paraphrase": "a paraphrase that was trained",
    "held_out": "a paraphrase never trained",
    "other": "the other task's sentence",
    "none": "nothing (the middle of all sentences)",
}
_TABLE = re.compile(r"(<!-- table words: [^\n]*-->\n).*?(<!-- end of table -->)", re.S)


@dataclass(frozen=True)
class Job:
    """One episode: what is judged, and what is said."""

    model: Path
    task: str
    say: str
    """Nothing where it is empty."""
    episode: int
    seed: int


def sentences(row: str, task: str, other: str) -> list[str]:
    """Return what is said in a row of the table in the episodes of a task, one after the other."""
    own = load_task(task).text
    said = {"known": [own], "other": [load_task(other).text], "none": [""]}
    files = {"paraphrase": "pairs", "held_out": "pairs_held_out"}
    return said[row] if row in said else list(load_phrases(files[row])[own])


def jobs(pair: str, row: str, model: Path, episodes: int, seed: int) -> list[Job]:
    """Return the episodes of a row; the same layouts in every row."""
    told = {task: sentences(row, task, other) for task, other in (PAIRS[pair], PAIRS[pair][::-1])}
    return [Job(model, task, said[i % len(said)], i, seed) for i in range(episodes) for task, said in told.items()]


@cache
def _world(task: str) -> World:
    return World(TASKS[task](LEVEL), load_robot("aloha"))


@cache
def _policy(model: Path) -> DeployedPolicy:
    return build_policy(model, load_robot("aloha"))


def untold(policy: DeployedPolicy) -> DeployedPolicy:
    """Return a policy that hears, whatever is said, the middle of all that it knows."""
    deaf = copy.copy(policy)
    middle = np.asarray(policy.phrasebook.embeddings.mean(axis=0), dtype=np.float64)
    deaf.words_of = lambda sentence: middle  # type: ignore[method-assign]
    return deaf


def _run(job: Job) -> tuple[Job, bool]:
    world, policy = _world(job.task), _policy(job.model)
    heard = policy if job.say else untold(policy)
    seed = evaluation_seed(job.seed, job.episode)
    return job, rollout(world, heard, world.robot, seed, say=job.say).success


def measured(wanted: list[Job], row: str, workers: int) -> Iterator[dict[str, Any]]:
    """Yield how every episode of a row went, as they finish."""
    with progress() as bar:
        line = bar.add_task(row, total=len(wanted), note="")
        for job, success in unordered(_run, wanted, workers):
            bar.update(line, advance=1, note=job.task)
            yield {"task": job.task, "episode": job.episode, "say": job.say, "success": success}


def table(found: Mapping[str, Any]) -> str:
    """Return the table of the page."""
    lines = ["| asked for | told | success of each | both, 95 % interval |", "|---|---|---|---|"]
    for pair, names in PAIRS.items():
        for row, text in ROWS.items():
            episodes = found.get(pair, {}).get("rows", {}).get(row)
            if not episodes:
                continue
            each = [[e["success"] for e in episodes if e["task"] == name] for name in names]
            every = [success for one in each for success in one]
            low, high = wilson(sum(every), len(every))
            counts = ", ".join(f"{sum(one)}/{len(one)}" for one in each)
            share = f"{sum(every)}/{len(every)} ({low:.2f} - {high:.2f})"
            lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {text} | {counts} | {share} |")
    told = [f"{pair}: seed {one['seed']}, {one['date']}, {one['machine']}" for pair, one in found.items()]
    return "\n".join([*lines, "", f"*`python tools/words.py PAIR --model ...`; {'; '.join(told)}.*", ""])


def main() -> None:
    """Measure what is missing, write it, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pair", choices=PAIRS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default=",".join(ROWS), help="rows, comma-separated")
    asked = parser.parse_args()
    head = {
        "seed": asked.seed,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "training": json.loads((asked.model / "metrics.json").read_text(encoding="utf-8")),
    }
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = found.setdefault(asked.pair, {**head, "rows": {}})["rows"]
    for row in asked.only.split(","):
        done = {(one["task"], one["episode"]) for one in rows.setdefault(row, [])}
        wanted = jobs(asked.pair, row, asked.model, asked.episodes, asked.seed)
        for one in measured([job for job in wanted if (job.task, job.episode) not in done], row, asked.workers):
            rows[row].append(one)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(_TABLE.sub(lambda old: old[1] + table(found) + old[2], PAGE.read_text()), encoding="utf-8")


if __name__ == "__main__":
    main()
