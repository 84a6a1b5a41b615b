"""A checkpoint of LeRobot, and what must be known of it beside: its interpreter, and what its numbers are called."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, ModelError, one_line
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import ImportMapping, load_mapping
from smp_bringup.mapping.joints import entry_names
from smp_bringup.paths import HOSTED

PYTHON_VARIABLE = "SMP_LEROBOT_PYTHON"
SETTINGS = "config.json"
_TRAINED_ON = "train_config.json"
_PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
_READS_TASK = "tokenizer_processor"
"""Step of LeRobot's that makes tokens of the task in words."""


@dataclass(frozen=True)
class Deployment:
    """A policy of LeRobot as a YAML file may say it; relative paths are meant from the file."""

    checkpoint: str
    """Folder pretrained_model of a checkpoint."""
    python: str = ""
    """Interpreter of LeRobot's environment; empty: `SMP_LEROBOT_PYTHON`, or our own where LeRobot is in it."""
    dataset: str = ""
    """Folder of the dataset that it was trained on; empty: where lerobot-train found it."""
    mapping: str = ""
    """Mapping in config/imports, or a path, where its names or units are not the robot file's."""
    task: str = ""
    """In words, for policies that are told: what they are told as long as nobody says anything."""
    replan_s: float = field(default=0.16, metadata=spec(gt=0, le=10, unit="s"))
    """A new chunk is computed so long after the last one."""
    rate_hz: float = field(default=0.0, metadata=spec(ge=0, le=1000, unit="Hz"))
    """Frames a second of the dataset; 0: as the dataset says."""
    state_names: tuple[str, ...] = ()
    """What the entries of observation.state are called; empty: as the dataset says."""
    action_names: tuple[str, ...] = ()
    """What the entries of action are called; empty: as the dataset says."""


@dataclass(frozen=True)
class Found:
    """A deployment with everything looked up."""

    checkpoint: Path
    python: str
    mapping: ImportMapping | None
    settings: dict[str, Any]
    """config.json of the checkpoint."""
    rate_hz: float
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    told: Deployment
    is_told: bool
    """Whether the policy reads what to do in words."""


def find(model: Path) -> Found:
    """Return what `lerobot:PATH` names: a folder pretrained_model, or the YAML file of a `Deployment`.

    Raises:
        ConfigError: the file is no such thing, or does not say what must be known.
        ModelError: there is no checkpoint, or it wants code that is not LeRobot's.
    """
    path = Path(str(model).removeprefix(HOSTED))
    told = _read(path) if path.is_file() else Deployment(str(path))
    checkpoint = Path(told.checkpoint)
    if not (checkpoint / SETTINGS).is_file():
        raise ModelError(
            f"'{checkpoint}' has no {SETTINGS}: name the folder pretrained_model of a checkpoint of lerobot-train, "
            "or a YAML file that does (docs/lerobot.md)"
        )
    steps = _steps(checkpoint)
    told = _completed(told, checkpoint)
    return Found(
        checkpoint,
        _python(told),
        load_mapping(told.mapping) if told.mapping else None,
        _json(checkpoint / SETTINGS),
        told.rate_hz,
        told.state_names,
        told.action_names,
        told,
        any(step.get("registry_name") == _READS_TASK for step in steps),
    )


def signature(model: Path) -> Iterator[str]:
    """Yield what changes when another policy, or the same with other settings, would run."""
    found = find(model)
    yield config.dump(found.told)
    yield config.dump(found.mapping) if found.mapping else ""
    for file in sorted(found.checkpoint.iterdir()):
        if file.suffix in (".json", ".safetensors") and file.name != _TRAINED_ON:
            yield f"{file.name} {sha256(file.read_bytes()).hexdigest()}"


def _read(path: Path) -> Deployment:
    """Return what a file says, its paths as seen from here."""
    said = config.build(Deployment, config.read_yaml(path), path.name)
    changes: dict[str, Any] = {}
    for name in ("checkpoint", "python", "dataset", "mapping"):
        value = Path(getattr(said, name)).expanduser()
        if getattr(said, name) and (path.parent / value).exists():
            changes[name] = str(path.parent / value)
    return replace(said, **changes)


def _completed(told: Deployment, checkpoint: Path) -> Deployment:
    """Return a deployment with rate and names as the dataset says, where it does not say them itself."""
    if told.rate_hz and told.state_names and told.action_names:
        return told
    root = Path(told.dataset or _dataset(checkpoint))
    if not (root / layout.INFO).is_file():
        raise ConfigError(
            f"'{checkpoint}' does not say what its numbers are called, and its dataset is not at '{one_line(root)}': "
            "write a YAML file with checkpoint: and dataset:, or rate_hz:, state_names: and action_names: "
            "(docs/lerobot.md), and name it: lerobot:FILE"
        )
    info = _json(root / layout.INFO)
    features = info.get("features")
    if not isinstance(features, dict) or not isinstance(info.get("fps"), int | float):
        raise ConfigError(f"'{root / layout.INFO}' has no features and fps: it is no dataset of LeRobot")
    names: dict[str, Any] = {}
    for name, key in (("state_names", layout.STATE), ("action_names", layout.ACTION)):
        if not isinstance(features.get(key), dict):
            raise ConfigError(f"dataset '{root}' has no {key}, which a policy sees or says here")
        names[name] = getattr(told, name) or tuple(entry_names(key, features[key]))
    return replace(told, rate_hz=told.rate_hz or float(info["fps"]), **names)


def _dataset(checkpoint: Path) -> str:
    """Return where lerobot-train found the dataset, if it says so."""
    if not (checkpoint / _TRAINED_ON).is_file():
        return ""
    said = _json(checkpoint / _TRAINED_ON).get("dataset")
    root = said.get("root") if isinstance(said, dict) else None
    return root if isinstance(root, str) else ""


def _python(told: Deployment) -> str:
    """Return the interpreter; raises ConfigError where none is named and LeRobot is not installed here."""
    named = told.python or os.environ.get(PYTHON_VARIABLE, "")
    if named:
        return str(Path(named).expanduser())
    if importlib.util.find_spec("lerobot") is None:
        raise ConfigError(
            "LeRobot is not installed in this environment: name the interpreter of its own, "
            f"{PYTHON_VARIABLE}=/path/to/lerobot/bin/python, or python: in a YAML file (docs/lerobot.md)"
        )
    return sys.executable


def _steps(checkpoint: Path) -> list[dict[str, Any]]:
    """Return the steps of both processors.

    Raises:
        ModelError: one names a class by its import path: LeRobot would import whatever it says.
    """
    found = []
    for name in _PROCESSORS:
        steps = _json(checkpoint / name).get("steps") if (checkpoint / name).is_file() else []
        for step in steps if isinstance(steps, list) else []:
            if not isinstance(step, dict):
                continue
            found.append(step)
            named = step.get("class")
            if named is not None and not str(named).startswith("lerobot."):
                raise ModelError(
                    f"'{checkpoint / name}' would import {one_line(named)[:100]}: only steps that LeRobot or an "
                    "installed plugin registers are run"
                )
    return found


def _json(path: Path) -> dict[str, Any]:
    return config.parse_json(path.read_bytes(), str(path))
