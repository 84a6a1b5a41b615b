"""Cameras of a robot file, proposed from the images on a running graph and from what a user says."""

import math
import re
from collections.abc import Collection, Mapping, Sequence

from smp_bringup.camera import COMPRESSED_SUFFIX
from smp_bringup.commission.draft import DraftCamera
from smp_bringup.commission.propose import Ask, usual_rate
from smp_bringup.commission.seen import GraphSeen, HeardImage
from smp_bringup.commission.streams import rate_hz
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.names import is_free
from smp_bringup.sync.depth import DEPTH_ENCODINGS
from smp_bringup.sync.pixels import ENCODINGS

_PLAIN = {"image", "raw", "color", "colour", "rgb", "camera", "cam", "compressed", "rect", "stream"}
"""Parts of topics that do not tell one camera from another."""
_CARRIED = {"wrist", "hand", "gripper", "tool", "ee", "arm"}
"""Parts of the name of a camera that an arm carries."""
_ACTION_S, _FAST_HZ = 0.04, 20.0
"""The usual period of actions, and from which rate on frames are near enough to each other for it."""


def propose_cameras(
    told: Mapping[str, str], arms: Collection[str], seen: GraphSeen | None, ask: Ask
) -> tuple[tuple[DraftCamera, ...], list[str]]:
    """Return the cameras, and which topics of images were left out.

    Args:
        told: topics by name, instead of those that are seen.
        arms: names of the arms, one of which may carry a camera.
        seen: the graph, if it was looked at.
        ask: for what is neither told nor seen.

    Raises:
        ConfigError: an answer is not NAME=TOPIC.
    """
    left_out = list[str]()
    if not told and seen is not None:
        told, left_out = _found(seen)
    if not told:
        answer = ask("Cameras as NAME=TOPIC, comma-separated", "overview=overview/image_raw")
        told = dict(split_pair("camera", word.strip()) for word in answer.split(","))
    cameras = []
    for name, topic in told.items():
        frames = _frames(seen, topic)
        carrier = _carrier(name, arms)
        if not frames:
            notes = ("not seen: look whether topic, size and rate are these",)
            cameras.append(DraftCamera(name, topic, arm=carrier, notes=notes))
            continue
        rate = usual_rate(rate_hz(frames) or 30.0)
        cameras.append(DraftCamera(name, topic, frames[-1].width, frames[-1].height, rate, carrier))
    return tuple(cameras), left_out


def action_period_s(cameras: Sequence[DraftCamera]) -> float:
    """Return the period of a policy's actions [s]: no shorter than that of the frames, of which each action has one."""
    slowest = min(camera.rate_hz for camera in cameras)
    return _ACTION_S if slowest >= _FAST_HZ else min(math.ceil(100 / slowest) / 100, 1.0)


def split_pair(option: str, word: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE; raises ConfigError where it is something else."""
    name, sign, value = word.partition("=")
    if not (sign and name and value):
        raise ConfigError(f"--{option} takes NAME=VALUE, got '{one_line(word)}'")
    return name, value


def _found(seen: GraphSeen) -> tuple[dict[str, str], list[str]]:
    """Return the topics of colour images by a name for each, and which were left out."""
    colour, left_out = [], []
    for topic in sorted(seen.heard):
        frames = _frames(seen, topic)
        packed = topic.endswith(COMPRESSED_SUFFIX)
        if not frames or not is_free(topic) or (packed and topic.removesuffix(COMPRESSED_SUFFIX) in colour):
            continue
        if frames[-1].refusal or not (packed or frames[-1].encoding in ENCODINGS):
            depth = ", a camera with depth: shows it to a policy" if frames[-1].encoding in DEPTH_ENCODINGS else ""
            left_out.append(f"left out: {topic}, {frames[-1].encoding}: recorded: takes it as it is{depth}")
            continue
        colour.append(topic)
    names: dict[str, str] = {}
    for topic in colour:
        name = _name(topic)
        name = next(each for k in range(1, 1000) if (each := name if k == 1 else f"{name}_{k}") not in names)
        names[name] = topic
    return names, left_out


def _frames(seen: GraphSeen | None, topic: str) -> Sequence[HeardImage]:
    heard = () if seen is None else seen.heard.get(topic) or seen.heard.get(f"/{topic}", ())
    return [message for message in heard if isinstance(message, HeardImage)]


def _name(topic: str) -> str:
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", topic) if part]
    telling = [part for part in parts if part.lower() not in _PLAIN] or parts
    return re.sub(r"^[^A-Za-z]+", "", "_".join(telling))[:40] or "camera"


def _carrier(name: str, arms: Collection[str]) -> str:
    parts = set(name.lower().split("_"))
    return next((arm for arm in arms if arm in parts and parts & _CARRIED), "")
