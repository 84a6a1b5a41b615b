"""Train three methods on both tasks at once and judge them: python examples/gym_aloha/compare.py camera 61 --json FILE.

Models and results that are there already are kept, so that it can be stopped and started again.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from itertools import product
from pathlib import Path
from typing import Any

from arguments import episodes_of, seed_of
from evaluate import evaluate
from world import TASKS, AlohaWorld

from smp_bringup.errors import ConfigError
from smp_bringup.lerobot.uncaught import say_errors
from smp_bringup.output import try_file
from smp_bringup.pipeline import build_policy
from smp_bringup.stats import wilson

_SAME = ("policy.encoder.feature=128", "policy.replan_s=0.32", "training.steps=3000", "training.pairs=32")
"""What every row has: the settings of config/presets/few.yaml that each kind knows."""
_MOST_LIKELY = "policy.noise=0.0"
"""The rest of that preset, for what denoises."""
ROWS = {
    "sparse": ("sparse", "policy.denoiser.width=128", _MOST_LIKELY),
    "diffusion": ("diffusion", "policy.denoiser.width=165", _MOST_LIKELY),
    "regression": ("eyes_regression", "policy.denoiser.width=189"),
}
"""By row a run of config/policies and its settings; the widths make all run as many parameters for a chunk."""


def train(row: str, track: str, seed: int, bags: Path, runs: Path) -> Path:
    """Return the model of a row, trained on the demonstrations of both tasks unless it is there."""
    policy, *settings = ROWS[row]
    run = runs / f"{track}_{row}_{seed}"
    model = run / "model"
    if not model.exists():
        changes = [word for each in (*_SAME, f"policy.track={track}", *settings) for word in ("--set", each)]
        command = ["train", "--bags", bags, "--policy", policy, "--seed", seed, "--out", run, *changes]
        subprocess.run([sys.executable, "-m", "smp_bringup.cli.main", *map(str, command)], check=True)
    return model


def table(done: list[dict[str, Any]]) -> str:
    """Return success of each row on each task, over all its training seeds."""
    lines = ["| task | method | solved, 95 % over episodes | each training seed |", "|---|---|---|---|"]
    for task, row in product(TASKS, ROWS):
        found = [report for report in done if (report["task"], report["row"]) == (task, row)]
        if found:
            solved, tried = (sum(report[key] for report in found) for key in ("successes", "episodes"))
            low, high = wilson(solved, tried)
            each = ", ".join(f"{report['successes']}/{report['episodes']}" for report in found)
            lines.append(f"| {task} | {row} | {solved}/{tried} ({low:.2f} - {high:.2f}) | {each} |")
    return "\n".join(lines)


def main() -> None:
    """Train, evaluate, and print the table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=("camera", "state"))
    parser.add_argument("evaluation_seed", type=seed_of)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=seed_of, nargs="+", default=[0, 1, 2], help="of the trainings")
    parser.add_argument("--episodes", type=episodes_of, default=50)
    parser.add_argument("--bags", type=Path, default=Path("data/gym_aloha"))
    parser.add_argument("--runs", type=Path, default=Path("runs/gym_aloha"))
    asked = parser.parse_args()
    try_file(asked.json)
    done: list[dict[str, Any]] = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json.exists() else []
    setting = {"track": asked.track, "evaluation_seed": asked.evaluation_seed, "episodes": asked.episodes}
    if any(report[key] != value for report in done for key, value in setting.items()):
        raise ConfigError(
            f"{asked.json} has results of another track, evaluation seed or number of episodes: name another"
        )
    worlds = {task: AlohaWorld(task) for task in TASKS}
    for seed, row, (task, world) in product(asked.seeds, ROWS, worlds.items()):
        if (seed, row, task) in {(report["training_seed"], report["row"], report["task"]) for report in done}:
            continue
        policy = build_policy(train(row, asked.track, seed, asked.bags, asked.runs), world.robot)
        report = evaluate(world, policy, asked.episodes, asked.evaluation_seed)
        done.append({"row": row, "training_seed": seed, **report})
        lines = ",\n".join(map(json.dumps, done))
        asked.json.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{row}, training seed {seed}, {task}: {report['successes']}/{asked.episodes}", flush=True)
    print(table(done))


if __name__ == "__main__":
    say_errors()
    main()
