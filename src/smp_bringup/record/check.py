"""The verdict of the recorder on a bag that lies on the disk already."""

from collections.abc import Sequence
from pathlib import Path

from smp_bringup.bag.episode import IMPORTED, ROBOT_ATTACHMENT
from smp_bringup.bag.metadata import METADATA
from smp_bringup.bag.reader import Bag
from smp_bringup.record.config import QualityConfig
from smp_bringup.record.history import lengths_s
from smp_bringup.record.quality import Quality, judge
from smp_bringup.record.tracks import Tracks
from smp_bringup.robot import Robot

DROPPED = "dropped"


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
    dropped = {
        key.removeprefix(DROPPED): int(count)
        for key, count in bag.episode.items()
        if key.startswith(f"{DROPPED}/") and count.isdigit()
    }
    return judge(tracks, bounds, _others_s(bag.path), dropped)


def _others_s(path: Path) -> Sequence[float]:
    """Return the lengths of the bags beside a bag [s]."""
    return lengths_s(path.parent, leave_out=path / METADATA) if path.is_dir() else ()
