"""Does replay predict success? Rank correlation over checkpoints of different quality.

`python -m smp_bringup.bench.predict --bags DIR --out FILE` spoils a checkpoint by more and more noise on its
weights, replays every copy over the bags, runs it in closed loop, and correlates each figure with success.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smp_bringup.bag.tree import bag_folders
from smp_bringup.bench import evaluate, spoil
from smp_bringup.output import write_text
from smp_bringup.paths import FLAGSHIP
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.replay.batch import ReplayJob, run
from smp_bringup.replay.metrics import pooled, summarise
from smp_bringup.replay.run import ReplaySettings
from smp_bringup.robot import load_robot
from smp_bringup.stats import wilson
from smp_bringup.tasks import GROUPS
from smp_bringup.types import FloatArray

FIGURES = (
    "joint_rmse",
    "joint_mean",
    "joint_p50",
    "joint_p99",
    "joint_rmse/step_00",
    "joint_rmse/step_15",
    "gripper_rmse",
    "gripper_timing_s_mean",
    "gripper_missed",
    "gripper_spurious",
    "seam_rad_p50",
    "seam_rad_p99",
    "velocity_ratio_p99",
    "acceleration_ratio_p99",
    "jerk_ratio_p99",
    "limited_rad_p99",
    "interventions",
    "active_experts_mean",
    "gate_flip_mean",
    "kept_mass_mean",
)
_DRAWS = 2000


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Return the rank correlation of two series (N,); NaN where one of them is constant."""
    first, second = _ranks(x), _ranks(y)
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman_interval(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the rank correlation over the checkpoints."""
    draws = np.random.default_rng(0).integers(0, len(x), (_DRAWS, len(x)))
    values = np.array([spearman(x[draw], y[draw]) for draw in draws])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def measure(model: Path, bags: Sequence[Path], episodes: int, workers: int) -> dict[str, object]:
    """Return figures of replay and success in closed loop of one checkpoint."""
    replays = [ReplayJob(bag, model, settings=ReplaySettings(seam="latest")) for bag in bags]
    figures = summarise(pooled(r.samples for r in run(replays, workers)))
    robot = load_robot("aloha")
    jobs = [evaluate.EpisodeJob(task, robot, model, 0, i) for task in GROUPS["all"] for i in range(episodes)]
    successes = sum(episode.success for _, episode in evaluate.run(jobs, workers))
    return {
        "success": successes / len(jobs),
        "interval": wilson(successes, len(jobs)),
        "episodes": len(jobs),
        "figures": {name: figures.get(name, float("nan")) for name in FIGURES},
    }


def correlations(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Return the rank correlation of every figure with success, and its interval."""
    success = np.array([row["success"] for row in rows], dtype=np.float64)
    out: dict[str, dict[str, object]] = {}
    for name in FIGURES:
        values = np.array([row["figures"][name] for row in rows], dtype=np.float64)  # type: ignore[index]
        rho = spearman(values, success)
        out[name] = {"rho": rho, "interval": spearman_interval(values, success) if np.isfinite(rho) else None}
    return out


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks (N,), equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])


def main() -> None:
    """Measure and write the result, checkpoint by checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bags", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[FLAGSHIP, "diffusion_aloha"])
    parser.add_argument("--scales", nargs="+", type=float, default=[0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
    parser.add_argument("--episodes", type=int, default=5, help="per task and checkpoint")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    bags, rows = bag_folders(options.bags), []
    for name in options.models:
        for k, scale in enumerate(options.scales):
            with tempfile.TemporaryDirectory() as folder:
                model = spoil.noisy(find_model(name), Path(folder) / "model", scale, seed=k)
                row = {"model": name, "noise": scale, **measure(model, bags, options.episodes, options.workers)}
            rows.append(row)
            print(f"{name} noise {scale:g}: success {row['success']:.2f}", flush=True)
            result = {"bags": len(bags), "checkpoints": rows, "correlations": correlations(rows)}
            write_text(options.out, json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
