"""Checkpoints spoiled on purpose, to see whether replay notices: noise on weights, swapped arms, a wrong normaliser."""

import fnmatch
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from smp_bringup.manifest import read_checked, write_checked
from smp_bringup.policy.checkpoint import ENCODER, NORMALIZER
from smp_bringup.robot import Robot

_MIN_WEIGHTS = 64
"""Smaller tensors are shapes and constants, not weights."""


def noisy(source: Path, target: Path, scale: float, seed: int) -> Path:
    """Return `target`, a copy of a checkpoint with Gaussian noise on every weight tensor.

    Args:
        source: folder of the checkpoint.
        target: new folder.
        scale: noise as a share of each tensor's own spread.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)

    def shake(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype.kind == "f" and values.size >= _MIN_WEIGHTS:
                noise = rng.normal(size=values.shape) * values.std() * scale
                tensor.CopyFrom(numpy_helper.from_array((values + noise).astype(values.dtype), tensor.name))

    return _changed(source, target, "*.onnx", shake)


def swapped_arms(source: Path, target: Path, robot: Robot) -> Path:
    """Return `target`, a copy of a checkpoint whose output has the arms in the opposite order."""
    order = np.concatenate([np.arange(robot.dof)[robot.arm_slices[arm.name]] for arm in reversed(robot.arms)])

    def swap(model: onnx.ModelProto) -> None:
        for output, axis in (("reference", 2), ("basis", 1)):
            for node in model.graph.node:
                node.output[:] = [f"{name}_kept" if name == output else name for name in node.output]
                node.input[:] = [f"{name}_kept" if name == output else name for name in node.input]
            index = f"{output}_order"
            model.graph.initializer.append(numpy_helper.from_array(order.astype(np.int64), index))
            model.graph.node.append(helper.make_node("Gather", [f"{output}_kept", index], [output], axis=axis))

    return _changed(source, target, ENCODER, swap)


def wrong_normalizer(source: Path, target: Path, shift: float) -> Path:
    """Return `target`, a copy of a checkpoint whose normaliser is off by `shift` of its own scale."""
    files = read_checked(source)
    data = json.loads(files[NORMALIZER])
    data["center"] = [c + shift * s for c, s in zip(data["center"], data["half_range"], strict=True)]
    write_checked(target, {**files, NORMALIZER: json.dumps(data).encode()})
    return target


def _changed(source: Path, target: Path, pattern: str, change: Callable[[onnx.ModelProto], None]) -> Path:
    files = read_checked(source)
    for name in sorted(fnmatch.filter(files, pattern)):
        model = onnx.load_model_from_string(files[name])
        change(model)
        files[name] = model.SerializeToString()
    write_checked(target, files)
    return target
