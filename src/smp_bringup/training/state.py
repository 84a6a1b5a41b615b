"""Everything that a resumed run needs, in one safetensors file (no pickle)."""

import json
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn, optim

from smp_bringup.errors import ModelError, OutputError, one_line
from smp_bringup.policy.networks import AbstractNetwork

FILE = "training.safetensors"
_ACTIONS = "actions"


def save_state(
    folder: Path, step: int, seconds: float, network: AbstractNetwork, ema: nn.Module, optimizer: optim.Optimizer
) -> None:
    """Write the state after `step` steps and `seconds` of training; a whole new file replaces the old one.

    Raises:
        OutputError: the disk is full, or not ours; the old file is still there.
    """
    tensors = {f"network/{k}": v.contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"ema/{k}": v.contiguous() for k, v in ema.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{k}": v.contiguous() for k, v in moments.items()}
    told = {"step": json.dumps(step), "seconds": json.dumps(seconds), _ACTIONS: network.config.actions}
    write_tensors(folder / FILE, tensors, told)


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], told: dict[str, str]) -> None:
    """Write tensors and what is told of them; a whole new file replaces the old one.

    Raises:
        OutputError: the disk is full, or not ours; the old file is still there.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(tensors, partial, metadata=told)
        partial.rename(path)
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"'{path}' cannot be written: {one_line(error)}: make room, and use --resume") from None


def load_state(folder: Path, network: AbstractNetwork, ema: nn.Module, optimizer: optim.Optimizer) -> tuple[int, float]:
    """Restore the state and return its step and seconds.

    Raises:
        ModelError: there is none, it is broken, or it belongs to another policy, also one whose actions say another
            thing: their weights have the same shapes.
    """
    path = folder / FILE
    if not path.is_file():
        raise ModelError(f"nothing to resume: '{path}' does not exist")
    parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "ema": {}, "adam": {}}
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            step, seconds = int(told["step"]), float(told["seconds"])
            for key in file.keys():  # noqa: SIM118 - not a dict
                kind, name = key.split("/", 1)
                parts[kind][name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ModelError(f"'{path}' is no training state of ours: {one_line(error)}: train without --resume") from None
    if (said := told.get(_ACTIONS, "absolute")) != network.config.actions:
        raise ModelError(
            f"'{path}' belongs to a policy of actions '{one_line(said)}', this one's are '{network.config.actions}': "
            "set policy.actions as before, or train without --resume"
        )
    try:
        network.load_state_dict(parts["network"])
        ema.load_state_dict(parts["ema"])
    except RuntimeError as error:
        raise ModelError(f"'{path}' belongs to another policy: {str(error).splitlines()[0]}") from None
    state = optimizer.state_dict()
    state["state"] = {}
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in parts["adam"].items():
        index, _, moment = name.partition("/")
        if not index.isdecimal() or int(index) >= len(trained) or tensor.shape not in ((), trained[int(index)].shape):
            raise ModelError(f"'{path}' belongs to another policy: {one_line(name)} has no parameter of its shape")
        state["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(state)
    return step, seconds
