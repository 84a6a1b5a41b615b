"""Checkpoints as lerobot-train leaves them, as far as they are looked at before LeRobot is started."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

STAND_IN = Path(__file__).parent / "lerobot_stand_in"


def interpreter(folder):
    """Return an interpreter that finds the stand-in for LeRobot, as another environment would find LeRobot."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{STAND_IN}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o700)
    return path


def checkpoint(folder, robot, names=None, order=None, scale=1.0, fps=25, steps=1, told=False, kind="act", **features):
    """Write a checkpoint and its dataset's meta/info.json; return its folder.

    `order` says which joint each entry holds, `scale` in what multiple of our unit, `told` whether the policy is told
    in words what to do; `features` replace others.
    """
    order = list(range(robot.dof)) if order is None else list(order)
    names = [robot.joint_names[i] for i in order] if names is None else names
    model, data = folder / "pretrained_model", folder / "dataset"
    (data / "meta").mkdir(parents=True)
    model.mkdir()
    vector = {"dtype": "float32", "shape": [robot.dof], "names": names}
    info = {"fps": fps, "features": {"observation.state": vector, "action": vector}}
    (data / "meta/info.json").write_text(json.dumps(info))
    seen = {"observation.state": {"type": "STATE", "shape": [robot.dof]}}
    for camera in robot.cameras:
        size = [3, camera.observation_height, camera.observation_width]
        seen[f"observation.images.{camera.name}"] = {"type": "VISUAL", "shape": size}
    seen = {key: value for key, value in {**seen, **features}.items() if value}
    settings = {"type": kind, "n_obs_steps": steps, "input_features": seen}
    settings["output_features"] = {"action": {"type": "ACTION", "shape": [robot.dof]}}
    (model / "config.json").write_text(json.dumps(settings))
    (model / "train_config.json").write_text(json.dumps({"dataset": {"root": str(data)}}))
    home = np.array(robot.joint_array("home"))[order] * scale
    reach = {"min": home - 0.001 * scale, "max": home + 0.001 * scale}
    stats = {f"{key}.{word}": value for key in ("observation.state", "action") for word, value in reach.items()}
    packed = {name: value.astype(np.float32) for name, value in stats.items()}
    save_file(packed, model / "policy_preprocessor_step_3_normalizer_processor.safetensors")
    step = {"registry_name": "tokenizer_processor" if told else "x"}
    (model / "policy_preprocessor.json").write_text(json.dumps({"steps": [step]}))
    return model


def is_there(pid):
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while its file is read
        return False
