"""A trained policy as a checkpoint folder with its model card."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from smp_bringup.errors import ModelError
from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.policy import checkpoint
from smp_bringup.policy.build import trained_network
from smp_bringup.policy.engines import PRECISIONS
from smp_bringup.policy.export import export
from smp_bringup.policy.onnx_check import check_model
from smp_bringup.policy.quantized import quantized
from smp_bringup.policy.trial import blank
from smp_bringup.robot import Robot
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.trainer import Trained

_TRIED, _APART = 8, 1e-4
"""Chunks that are compared, and how far they may be apart [rad], [m]."""
_EVALUATION = "\n## Success in closed loop\n"


def save_checkpoint(trained: Trained, robot: Robot, folder: Path, card: str, eyes: str = "") -> None:
    """Export `trained`, check the export, and write the folder whole or not at all; it replaces another one.

    `card` is its README.md; `eyes` says which ones training began with, if not with its own.
    """
    config = trained.network.config
    encoder, denoisers = export(trained.network, robot)
    tensors = {name: value.half().contiguous() for name, value in trained.network.state_dict().items()}
    deployed, each = trained.network.parameter_counts()
    idle = trained.network.idle_parameters()
    counts = {"parameters": deployed, "parameters_per_expert": each, "parameters_idle": idle}
    begun = {"eyes": eyes} if eyes else {}
    files = {
        checkpoint.ENCODER: encoder,
        **{f"denoiser_{i}.onnx": denoiser for i, denoiser in enumerate(denoisers)},
        checkpoint.WEIGHTS: save(tensors),
        checkpoint.CONFIG: checkpoint.config_yaml(config).encode(),
        checkpoint.NORMALIZER: _json(trained.normalizer.to_dict()),
        checkpoint.ROBOT: _json(robot.fingerprint(config.sights, config.vectors)),
        checkpoint.METRICS: _json({**trained.metrics, **counts, **begun, "tasks": list(trained.tasks)}),
        checkpoint.CARD: card.encode(),
    }
    if config.words:
        files |= trained.phrasebook.to_files()
    write_checked(folder, files)


def export_again(folder: Path, robot: Robot, out: Path) -> float:
    """Write a checkpoint with its ONNX models made anew from its weights; all else stays.

    Args:
        folder: checkpoint.
        robot: that it was trained for.
        out: folder of the new one.

    Returns:
        The largest difference of a joint between chunks of both, of a blank observation [rad], grippers [m].

    Raises:
        ModelError: the checkpoint has no weights, is broken, or says something else once exported.
    """
    files = read_checked(folder)
    if checkpoint.WEIGHTS not in files:
        raise ModelError(f"'{folder}' was shipped without {checkpoint.WEIGHTS}: it cannot be exported; train it anew")
    _require_unrounded(folder, files)
    where = f"'{folder}/{checkpoint.WEIGHTS}'"
    network = trained_network(files[checkpoint.WEIGHTS], checkpoint.read_config(files), robot.dof, where)
    encoder, denoisers = export(network, robot)
    files |= {checkpoint.ENCODER: encoder, **{f"denoiser_{i}.onnx": model for i, model in enumerate(denoisers)}}
    apart = _apart(folder, files, robot)
    if not apart <= _APART:
        raise ModelError(f"exported anew, chunks of '{folder}' differ by {apart:.1e}, allowed {_APART:.0e}")
    write_checked(out, files)
    return apart


def export_int8(folder: Path, robot: Robot, out: Path) -> float:
    """Write a checkpoint whose experts have their large weights in 8-bit integers; arguments as of `export_again`.

    What that costs in success is for `bench.rounding` to judge.

    Returns:
        The largest difference of a joint between chunks of both, of a blank observation [rad], grippers [m].

    Raises:
        ModelError: the checkpoint is broken, or has no large weights to round.
    """
    stored = read_checked(folder)
    policy = checkpoint.read_config(stored)
    _require_unrounded(folder, stored)
    rounded = {}
    for name in (f"denoiser_{i}.onnx" for i in range(policy.denoisers)):
        if name not in stored:
            raise ModelError(f"'{folder}' lacks {name}")
        check_model(stored[name], name, robot, policy)  # before anything in it is taken for a weight
        rounded[name] = quantized(stored[name], name)
    metrics = {**checkpoint.read_metrics(stored), checkpoint.PRECISION: "int8"}
    metrics.pop("evaluation", None)  # of other models, as is that of the card
    changed = {checkpoint.METRICS: _json(metrics), checkpoint.CARD: _unjudged_card(stored).encode()}
    files = {**stored, **rounded, **changed}
    apart = _apart(folder, files, robot)
    write_checked(out, files)
    return apart


def _require_unrounded(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raise ModelError for a checkpoint whose weights were rounded before."""
    if (precision := checkpoint.read_precision(files)) != PRECISIONS[0]:
        raise ModelError(f"'{folder}' is {precision} already: export the checkpoint that it was made from")


def _apart(folder: Path, files: Mapping[str, bytes], robot: Robot) -> float:
    """Return the largest difference between chunks of a checkpoint and of one of these files."""
    before = checkpoint.load_policy(folder, robot)
    with tempfile.TemporaryDirectory() as trial:
        write_checked(Path(trial), files)
        after = checkpoint.load_policy(Path(trial), robot)
        observation = blank(robot, before.config.observation_steps, before.engine.input_length("objects"))
        one, two = (
            np.array([policy.infer(observation, seed)[0].position for seed in range(_TRIED)])
            for policy in (before, after)
        )
    return float(np.abs(one - two).max())


def model_card(run: RunConfig, data: Dataset, trained: Trained, command: str, eyes: str = "") -> str:
    """Return the README.md of a checkpoint: data, the command that trained it, time and held-out losses.

    `eyes` says which ones training began with, if not with its own.
    """
    held = {k: v for k, v in trained.metrics.items() if k.startswith("held_out/")}
    deployed, each = trained.network.parameter_counts()
    kinds = (("cameras", run.policy.cameras), ("depth cameras", run.policy.depth), ("vectors", run.policy.vectors))
    seen = "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds if names)
    seen += "; what to do, in words" if run.policy.words else ""
    seen = seen or "poses of the objects (simulation only)"
    skipped, settings = len(data.skipped), run.training
    steps, minutes = trained.metrics["steps"], trained.metrics["seconds"] / 60
    idle = trained.network.idle_parameters()
    seeing = f"\n| eyes | {eyes} |" if eyes else ""
    unread = f"; a chunk reads all of them but {idle / 1e6:.3f} M and the inactive experts" if idle else ""
    rows = "\n".join(f"| {key.removeprefix('held_out/')} | {value:.5f} |" for key, value in held.items())
    return f"""# {run.policy.kind} policy

| | |
|---|---|
| data | {len(data.starts) - 1} demonstrations, {len(data.state)} frames ({skipped} bags skipped) |
| inputs | {seen}; joint positions; nothing else |{seeing}
| command | `{command}` |
| training | {steps:.0f} steps of {2 * settings.pairs} samples, {minutes:.1f} minutes |
| parameters | {deployed / 1e6:.3f} M deployed, of which {each / 1e6:.3f} M per expert{unread} |

| held-out loss | |
|---|---|
{rows}
"""


def add_evaluation(folder: Path, report: Mapping[str, Any]) -> None:
    """Write what `smp eval` found into the metrics and the card of the checkpoint `folder`.

    Raises:
        ModelError: the folder is no whole checkpoint.
    """
    files = read_checked(folder)
    metrics = checkpoint.read_metrics(files)
    found = {key: report[key] for key in ("seed", "tasks", "all", "active_experts")}
    card = _unjudged_card(files)
    episodes = next(iter(report["tasks"].values()))["episodes"]
    rows = [
        f"| {name} | {row['successes']}/{row['episodes']} | {row['interval'][0]:.2f} - {row['interval'][1]:.2f} |"
        for name, row in {**report["tasks"], "all": report["all"]}.items()
    ]
    command = f"smp eval --policy {folder.name} --episodes {episodes} --seed {report['seed']}"
    if report["variation"] != "ordinary":
        command += f" --variation {report['variation']}"
    table = "\n".join(["| task | success | 95 % interval |", "|---|---|---|", *rows])
    active = report["active_experts"]["mean"]
    text = f"{card}{_EVALUATION}`{command}`, on layouts never trained on; {active:.2f} experts active.\n\n{table}\n"
    changed = {checkpoint.METRICS: _json({**metrics, "evaluation": found}), checkpoint.CARD: text.encode()}
    write_checked(folder, {**files, **changed})


def _unjudged_card(files: Mapping[str, bytes]) -> str:
    """Return the card of a checkpoint's files without what `smp eval` found."""
    return files.get(checkpoint.CARD, b"").decode("utf-8", "replace").split(_EVALUATION)[0]


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()
