"""Runs episodes with all, half, a quarter and one of a policy's experts in memory: what waits, how long, what changes.

Run: .venv/bin/python tools/expert_budget.py MODEL
"""

import argparse
import json
from pathlib import Path

import numpy as np

from smp_bringup.policy.base import STALL
from smp_bringup.policy.checkpoint import find_model, load_policy, trained_tasks
from smp_bringup.policy.trial import warm_up
from smp_bringup.robot import load_robot
from smp_bringup.sim.rollout import rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

SHARES = {"all": 0.0, "half": 1 / 2, "quarter": 1 / 4, "one": 1e-9}


def waits(episodes: list[list[tuple[int, ...]]], guesses: list[list[list[int]]], room: int, ahead: bool) -> list[int]:
    """Return how many chunks wait, and how many experts are brought in, where so many stay that were used last.

    Args:
        episodes: experts that each chunk runs.
        guesses: those that it does not run, heaviest first; with `ahead` the first of them is brought in beforehand.
        room: experts that stay.
        ahead: see `guesses`.
    """
    held: list[int] = []
    waited = brought = 0
    for chunks, others in zip(episodes, guesses, strict=True):
        for active, rest in zip(chunks, others, strict=True):
            missing = [i for i in active if i not in held]
            waited, brought = waited + bool(missing), brought + len(missing)
            held = [*active, *(i for i in held if i not in active)][:room]
            if ahead and len(active) < room:
                brought += rest[0] not in held
                held = [*active, rest[0], *(i for i in held if i not in (*active, rest[0]))][:room]
    return [waited, brought]


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--tasks", type=int, default=4, help="so many of those that it was trained for")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    folder, robot = find_model(asked.model), load_robot("aloha")
    experts = load_policy(folder, robot).config.experts
    sizes = [2e-6 * (folder / f"denoiser_{i}.onnx").stat().st_size for i in range(experts)]
    rows, chunks = {}, {}
    for name, share in SHARES.items():
        budget = share and 1.01 * max(share * sum(sizes), *sizes)  # sizes differ by some bytes
        policy = load_policy(folder, robot, experts_mb=budget)
        warm_up(policy, robot)
        seed, tasks = evaluation_seed(0, 1), trained_tasks(folder)[: asked.tasks]
        episodes = [rollout(World(TASKS[task](), robot), policy, robot, seed).gates for task in tasks]
        gates = [gate for episode in episodes for gate in episode]
        stalls = [gate.stage_ms[STALL] for gate in gates if STALL in gate.stage_ms]
        chunks[name] = [gate.weight.tobytes() for gate in gates]
        rows[name] = {"experts_mb": round(budget, 2), "chunks": len(gates), "stalled": len(stalls)}
        rows[name] |= {"stall_ms": round(float(np.median(stalls)), 2) if stalls else 0.0}
        rows[name] |= {"same_episodes": chunks[name] == chunks["all"]}
        print(name, rows[name], flush=True)
    active = [[gate.active for gate in episode] for episode in episodes]
    order = [[[int(i) for i in np.argsort(-gate.weight) if i not in gate.active] for gate in e] for e in episodes]
    for room in dict.fromkeys((len(sizes) // 2, max(1, len(sizes) // 4), 1)):
        found = {word: waits(active, order, room, ahead) for word, ahead in (("on demand", False), ("ahead", True))}
        rows[f"waited, brought with room for {room}"] = found
        print(room, found)
    if asked.json:
        asked.json.write_text(json.dumps({"model": asked.model, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
