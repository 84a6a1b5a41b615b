"""The verdict of the recorder on a bag that lies on the disk already."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smp_bringup.bag.episode import FILMED, IMPORTED, PICTURES, REPAIRED, ROBOT_ATTACHMENT
from smp_bringup.bag.metadata import METADATA
from smp_bringup.bag.reader import Bag
from smp_bringup.documents import parse_json, shown
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.record.config import QualityConfig
from smp_bringup.record.history import lengths_s
from smp_bringup.record.quality import Quality, judge
from smp_bringup.record.tracks import Tracks
from smp_bringup.robot import Robot

DROPPED = "dropped"
_REPEATED_SHARE, _REPEATED = 0.6, 12
"""A codec may show every second frame of a slow motion like the one before (LeRobot's AV1 does), or half a second."""
_COUNT = re.compile("[0-9]{1,12}")


def judge_bag(bag: Bag, robot: Robot, bounds: QualityConfig) -> Quality:
    """Return the verdict on a bag beside the other bags of its folder; raises BagError for unreadable ones."""
    tracks = Tracks(robot)
    for topic, log_ns, cdr in bag.raw_messages(set(bag.types)):
        tracks.take(topic, bag.types[topic], log_ns, cdr)
    imported = IMPORTED in bag.episode
    if imported:
        tracks.take_rates_as_found()
    if imported or ROBOT_ATTACHMENT not in bag.attachments:
        tracks.do_without_commands()
    if bag.episode.get(PICTURES) == FILMED:
        bounds = _as_filmed(bounds)
    return judge(tracks, bounds, _others_s(bag.path), _dropped(bag), _lacking(bag))


def _as_filmed(bounds: QualityConfig) -> QualityConfig:
    """Return bounds that warn of equal frames as before, and reject only for more than a codec makes equal."""
    (equal, most), (share, most_share) = bounds.frozen_frames, bounds.duplicate_share
    return replace(
        bounds,
        frozen_frames=(equal, max(most, _REPEATED)),
        duplicate_share=(share, max(most_share, _REPEATED_SHARE)),
    )


def _dropped(bag: Bag) -> dict[str, int]:
    """Return how many messages of each topic the recorder could not keep; raises BagError where that is no number."""
    told = {key.removeprefix(DROPPED): text for key, text in bag.episode.items() if key.startswith(f"{DROPPED}/")}
    for topic, text in told.items():
        if not _COUNT.fullmatch(text):
            raise BagError(
                f"bag '{bag.path}' says that '{shown(text)}' messages of {shown(topic)} were dropped: no number"
            )
    return {topic: int(text) for topic, text in told.items()}


def _lacking(bag: Bag) -> list[str]:
    """Return what is known to be missing in a bag, a sentence each."""
    said = list(bag.source.lacking)
    if REPAIRED in bag.episode:
        lost = _lost(bag.episode[REPAIRED])
        said += [f"repaired: {lost}"] if lost else []
    return said


def _lost(repaired: str) -> str:
    """Return what a repair could not save, as its note in the bag says."""
    try:
        told = parse_json(repaired, REPAIRED)
        missing, places = told["missing"], told.get("places", len(told["damage"]))
        return f"{missing:d} messages known to be lost, {places:d} damaged places" if missing or places else ""
    except (ConfigError, KeyError, TypeError, ValueError):
        return "it does not say what was lost"


def _others_s(path: Path) -> Sequence[float]:
    """Return the lengths of the bags beside a bag [s]."""
    return lengths_s(path.parent, leave_out=path / METADATA) if path.is_dir() else ()
