"""Damages small bags in every region and reads and repairs what is left; the same damage for the same numbers.

`python tests/replay/damaged_bags.py 2000` tries so many of each kind and prints one line a kind; the tests try a few.
What must hold of any bytes: they are read or refused in one line; a repair gives a bag that passes its own check, or
refuses in one line and leaves nothing behind; a file with a checksum over all of it never changes unseen; and it is
over in bounded time.
"""

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, definition, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.repair import repair
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import SmpError
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.robot import load_robot

T0 = 1_700_000_000_000_000_000
ROBOT = load_robot("aloha")
BOUNDS = load_recording("default").quality
MOST_S = 10.0
"""One damaged bag of some ten kilobytes; the machine may be busy."""


def messages():
    """Yield topic, type, log time and message of half a second."""
    rng = np.random.default_rng(0)
    for k in range(50):
        at = T0 + k * 10_000_000
        for arm in ROBOT.arms:
            names = tuple(joint.name for joint in arm.joints)
            for topic in (arm.state_topic, arm.leader_topic):
                yield topic, JOINT_STATE, at, joint_state_cdr(at, names, rng.normal(size=len(names)))
        if k % 20 == 0:
            image = rng.integers(0, 255, (8, 8, 3), np.uint8)
            yield ROBOT.cameras[0].topic, IMAGE, at, image_cdr(at, "overview", image)


def ours(folder):
    """Write the bag as our recorder does."""
    writer = BagWriter(folder, ROBOT, "lift_tray")
    for i, (topic, kind, at, cdr) in enumerate(messages()):
        writer.write(topic, kind, at, cdr)
        if i % 80 == 79:
            writer.flush()
    return next(writer.close(True).glob("*.mcap"))


def mcap(**options):
    """Return what writes the bag as another recorder of MCAP does."""

    def write(folder):
        folder.mkdir()
        with (folder / "other.mcap").open("wb") as stream:
            writer, channels = McapWriter(stream, **{"chunk_size": 20_000, **options}), {}
            writer.start("ros2", "other")
            for topic, kind, at, cdr in messages():
                if topic not in channels:
                    schema = writer.register_schema(kind, "ros2msg", definition(kind)[0].encode())
                    channels[topic] = writer.register_channel(topic, "cdr", schema)
                writer.add_message(channels[topic], at, cdr, at)
            writer.finish()
        return folder / "other.mcap"

    return write


def rosbag2(plugin, mode=None):
    """Return what writes the bag as rosbag2 does."""

    def write(folder):
        writer, links = Writer(folder, version=9, storage_plugin=plugin), {}
        if mode is not None:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            for topic, kind, at, cdr in messages():
                if topic not in links:
                    links[topic] = writer.add_connection(topic, kind, typestore=typestore())
                writer.write(links[topic], at, cdr)
        return next(f for f in folder.iterdir() if f.suffix != ".yaml")

    return write


KINDS = {
    "ours": ours,
    "zstd": mcap(),
    "lz4": mcap(compression=CompressionType.LZ4),
    "uncompressed": mcap(compression=CompressionType.NONE),
    "loose": mcap(use_chunking=False, enable_data_crcs=True),
    "sqlite3": rosbag2(StoragePlugin.SQLITE3),
    "packed": rosbag2(StoragePlugin.MCAP, CompressionMode.FILE),
    "packed messages": rosbag2(StoragePlugin.MCAP, CompressionMode.MESSAGE),
}
SEALED = ("ours", "loose")
"""With a checksum over every byte."""


def damaged(data, number):
    """Return a damaged copy of some bytes; the places of successive numbers go through all of them."""
    rng, out = random.Random(number), bytearray(data)
    at = round(number * 0.6180339887 * len(out)) % len(out)  # even over the file, however many are tried
    kind = ("flip", "burst", "zeros", "cut", "insert", "delete", "repeat", "flip the head")[number % 8]
    if kind == "flip":
        out[at] ^= 1 << rng.randrange(8)
    elif kind == "burst":
        end = min(len(out), at + rng.randrange(1, 200))
        out[at:end] = rng.randbytes(end - at)
    elif kind == "zeros":
        end = min(len(out), at + rng.randrange(1, 5000))
        out[at:end] = bytes(end - at)
    elif kind == "cut":
        del out[at:]
    elif kind == "insert":
        out[at:at] = rng.randbytes(rng.randrange(1, 50))
    elif kind == "delete":
        del out[at : at + rng.randrange(1, 500)]
    elif kind == "repeat":
        out[at:at] = out[max(0, at - rng.randrange(1, 3000)) : at]
    else:
        out[rng.randrange(100)] ^= 1 << rng.randrange(8)
    return bytes(out)


def read(path):
    """Return the messages of a bag that is read, tested and judged; None where it is refused in one line."""
    try:
        bag = open_bag(path)
        count = bag.verify().messages
        judge_bag(bag, ROBOT, BOUNDS)
    except SmpError as error:
        one_line(error)
        return None
    return count


def one_line(error):
    assert "\n" not in str(error)


def mend(folder, out):
    """Return the report on a repair; None where it is refused in one line and leaves nothing behind."""
    try:
        return repair(folder, out)
    except SmpError as error:
        one_line(error)
        assert not out.exists()
        return None
    finally:
        assert not list(out.parent.glob("*.repairing"))


def sweep(kind, numbers, work):
    """Try damage by number; return how many were read, refused, repaired and lost, and the slowest time [s]."""
    source = KINDS[kind](work / "source")
    data, whole = source.read_bytes(), sum(1 for _ in messages())
    found, slowest = Counter(), 0.0
    for number in numbers:
        bad = damaged(data, number)
        if bad == data:
            continue
        folder, out, begun = work / "bag", work / "repaired", time.monotonic()
        folder.mkdir()
        (folder / source.name).write_bytes(bad)
        count, report = read(folder), mend(folder, out)
        assert count is None or kind not in SEALED, f"{kind}, damage {number}: not seen"
        if report is not None:
            assert read(out) == report.recovered, f"{kind}, damage {number}: the repaired bag"
            lost = report.recovered < whole
            assert not lost or report.damage or report.missing or not report.closed, f"{kind}, damage {number}: unnamed"
        slowest = max(slowest, time.monotonic() - begun)
        found.update(["refused" if count is None else "read", "lost" if report is None else "repaired"])
        shutil.rmtree(folder)
        shutil.rmtree(out, ignore_errors=True)
    assert slowest < MOST_S
    return found, slowest


if __name__ == "__main__":
    for name in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            result, longest = sweep(name, range(int(sys.argv[1])), Path(folder))
            print(f"{name}: {dict(result)}, slowest {longest:.2f} s", flush=True)
