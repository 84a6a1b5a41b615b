"""Camera latencies from a bag, and the robot file that says them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from smp_bringup import config, wire
from smp_bringup.bag.aligned import camera_topics, follower_trajectory
from smp_bringup.bag.reader import Bag
from smp_bringup.documents import read_bytes
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.output import write_text
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.sync.latency import LatencyEstimate, estimate, image_motion
from smp_bringup.types import FloatArray


def camera_latencies(bag: Bag, robot: Robot) -> dict[str, LatencyEstimate]:
    """Return the latency of every camera of a bag; of depth cameras, whose noise hides the motion, none.

    Raises:
        BagError: a camera or an arm is missing, or nothing can be told.
    """
    joint_ns, joints = follower_trajectory(bag, robot)
    arms = []
    for part in robot.arm_slices.values():
        turning = joints[:, part][:, robot.turning[part]]
        if turning.size:  # a hand with a driver of its own has none
            arms.append(turning)
    cameras = {topic: camera.name for topic, camera in camera_topics(bag, robot).items() if not camera.depth}
    return {name: _one(bag, topic, joint_ns, arms) for topic, name in cameras.items()}


def _one(bag: Bag, topic: str, joint_ns: np.ndarray, arms: Sequence[FloatArray]) -> LatencyEstimate:
    stamps, motion, last = [], [], None
    for _, _, message in bag.messages({topic}):
        try:
            frame = wire.frame(message)
        except Refusal as refusal:
            raise BagError(f"bag '{bag.path}': {topic}: {refusal}") from None
        if last is not None:
            motion.append(image_motion(last, frame.image))
        stamps.append(frame.stamp_ns)
        last = frame.image
    try:
        return estimate(np.array(stamps), np.array(motion), joint_ns, arms)
    except BagError as error:
        raise BagError(f"bag '{bag.path}': {topic}: {error}") from None


def with_latencies(text: str, latencies: dict[str, float], where: str) -> str:
    """Return the text of a robot file with the latency [s] of each camera set; comments and layout stay.

    Raises:
        ConfigError: a camera is written in a way that this cannot change.
    """
    lines, latencies = text.splitlines(), {name: round(value, 3) for name, value in latencies.items()}
    for name, value in latencies.items():
        index = next(
            (i for i, line in enumerate(lines) if re.search(rf"name:\s*{re.escape(name)}\s*(,|$)", line)), None
        )
        if index is None:
            raise ConfigError(f"{where}: no line names camera '{name}'")
        lines[index] = _set(lines[index], value)
    out = "\n".join(lines) + "\n"
    before, after = (config.build(Robot, config.parse_yaml(t, where), where) for t in (text, out))
    wanted = replace(
        before,
        cameras=tuple(replace(c, latency_s=latencies.get(c.name, c.latency_s)) for c in before.cameras),
    )
    if after != wanted:
        raise ConfigError(f"{where}: cameras must stand on one line each, {{name: ..., topic: ...}}; edit it by hand")
    return out


def _set(line: str, value: float) -> str:
    if "latency_s:" in line:
        return re.sub(r"latency_s:\s*[^,}\s]+", f"latency_s: {value:.3f}", line)
    return re.sub(r"\}(\s*(#.*)?)$", rf", latency_s: {value:.3f}}}\1", line)


def write_robot(source: Path, out: Path, latencies: dict[str, float]) -> None:
    """Write the robot file `source` with the latencies to `out`, whole or not at all."""
    text = with_latencies(read_bytes(source).decode("utf-8"), latencies, source.name)
    write_text(out, text)
