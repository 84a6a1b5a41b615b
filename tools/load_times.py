"""Measures how long a checkpoint of many experts takes to load in several source trees, in turns.

Also measures what an expert's first call takes against its later ones, back to back and as a robot makes them. All of
it is computing, so that its CPU time is counted: what else the machine does is not in it.
Run: .venv/bin/python tools/load_times.py --src OTHER_TREE/src --src src
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

LOADS, CALLS = 3, 30
ELSEWHERE = 8 << 20
"""Numbers that are read between two calls as a robot makes them: more than the caches hold."""


def make(experts: int, folder: Path) -> None:
    """Write a Di-BM of random weights and of the size that `smp bench policy` calls small."""
    from smp_bringup.bench.speed import build, write
    from smp_bringup.robot import load_robot
    from smp_bringup.training.config import load_run

    robot = load_robot("aloha")
    changes = (f"policy.dibm.experts={experts}", "policy.denoiser.width=128")
    write(build(load_run("dibm", robot, changes).policy, robot), robot, folder)


def one(folder: Path) -> dict[str, object]:
    """Return what loading and the first calls of this process take [ms]."""
    from smp_bringup.policy import trial
    from smp_bringup.policy.checkpoint import load_policy
    from smp_bringup.policy.denoising import Denoising
    from smp_bringup.robot import load_robot

    robot, loads = load_robot("aloha"), []
    for _ in range(LOADS):
        start = process_time()
        policy = load_policy(folder, robot)
        loads.append((process_time() - start) * 1e3)
    start = process_time()
    if hasattr(trial, "warm_up"):  # before there was one, loading did all
        trial.warm_up(policy, robot)
    warm_ms, config = (process_time() - start) * 1e3, policy.config
    coded = policy.encode(trial.blank(robot, config.observation_steps))
    noise, elsewhere, rng = np.zeros((config.horizon, robot.dof)), np.ones(ELSEWHERE), np.random.default_rng(0)

    def call(expert: int) -> float:
        task = Denoising(coded, np.eye(config.experts)[expert], whole=expert)
        begin = process_time()
        policy.engine.sample(task, noise, config, rng)
        return (process_time() - begin) * 1e3

    first, close, apart = [], [], []
    for expert in range(min(config.experts, 8)):
        first.append(call(expert))
        close += [call(expert) for _ in range(CALLS)]
        for _ in range(CALLS // 5):
            elsewhere += 1.0
            apart.append(call(expert))
    found = {"load_ms": min(loads), "warm_up_ms": warm_ms, "first_ms": max(first)}
    found |= {"back_to_back_ms": float(np.median(close)), "apart_ms": float(np.median(apart))}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", action="append", required=True, help="folder to import smp_bringup from; repeat")
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--model", type=Path, help="a Di-BM to load instead of one that is made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(one(asked.here)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = asked.model or Path(made, "model")
        if not asked.model:
            make(asked.experts, folder)
        for number in range(asked.rounds):
            for i, tree in enumerate(asked.src):
                words = [sys.executable, __file__, "--here", str(folder), "--src", tree]
                env = {**os.environ, "PYTHONPATH": str(Path(tree).resolve())}
                done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
                rows.append({"tree": i, "round": number, **json.loads(done.stdout)})
    for i, tree in enumerate(asked.src):
        mine = [row for row in rows if row["tree"] == i]
        keys = [name for name in mine[0] if name.endswith("_ms")]
        print(tree, {name: round(float(np.median([row[name] for row in mine])), 3) for name in keys})
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
