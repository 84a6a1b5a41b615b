"""Measures one chunk of shipped models in several source trees, in turns: what a change of the engines is worth.

Run: .venv/bin/python tools/chunk_times.py --src OTHER_TREE/src --src src MODEL ...
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def one(model: str, chunks: int) -> dict[str, object]:
    """Return the times of one model's chunks in this process [ms]."""
    from time import perf_counter

    from smp_bringup.policy.checkpoint import find_model, load_policy
    from smp_bringup.policy.trial import blank
    from smp_bringup.robot import load_robot

    robot = load_robot("aloha")
    policy = load_policy(find_model(model), robot)
    observation = blank(robot, policy.config.observation_steps, policy.engine.input_length("objects"))
    prefix = observation.position.repeat(5, axis=0) + 0.01  # committed actions, as the default seam has them
    total, stages = [], []
    for seed in range(chunks):
        start = perf_counter()
        _, gate = policy.infer(observation, seed, prefix)
        total.append((perf_counter() - start) * 1e3)
        stages.append(gate.stage_ms)
    quick, middle, late = np.percentile(total, [10, 50, 99])
    medians = {name: round(float(np.median([stage[name] for stage in stages])), 3) for name in stages[0]}
    return {"p10_ms": round(quick, 3), "p50_ms": round(middle, 3), "p99_ms": round(late, 3), "stage_ms": medians}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--src", action="append", required=True, help="folder to import smp_bringup from; repeat")
    parser.add_argument("--chunks", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(one(asked.models[0], asked.chunks)))
        return
    rows = []
    for number in range(asked.rounds):
        for model in asked.models:
            for i, tree in enumerate(asked.src):
                words = [sys.executable, __file__, "--here", "--src", tree, "--chunks", str(asked.chunks), model]
                env = {**os.environ, "PYTHONPATH": str(Path(tree).resolve())}
                done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
                rows.append({"model": model, "tree": i, "round": number, **json.loads(done.stdout)})
    for model in asked.models:
        found = [
            [row["p50_ms"] for row in rows if (row["model"], row["tree"]) == (model, i)] for i in range(len(asked.src))
        ]
        middle = [float(np.median(values)) for values in found]
        print(model, "p50 [ms]", [round(value, 3) for value in middle], "ratio", round(middle[-1] / middle[0], 3))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
