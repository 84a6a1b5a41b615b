"""Damaged bags: read or refused in one line, repaired or refused in one line; never a traceback, a hang or half a bag.

What must hold of any bytes: a repair gives a bag that passes its own check, or leaves nothing behind; what is lost is
named; where a checksum stands over every byte, nothing changes unseen.

400 bags in the tests, the same in every run; `SMP_FUZZ_BAGS=10000 pytest -rP tests/fuzz/test_bags.py` tries more.
"""

import os
import random
import resource
import shutil
import time
from collections import Counter

import numpy as np
import pytest
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
COUNT = int(os.environ.get("SMP_FUZZ_BAGS", "400"))
LONGEST_S, MEMORY = 10.0, 1 << 30
"""For one damaged bag of some ten kilobytes; the machine may be busy."""


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


@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere(kind, tmp_path):
    source = KINDS[kind](tmp_path / "source")
    data, whole = source.read_bytes(), sum(1 for _ in messages())
    found, slowest = Counter(), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in range(COUNT // len(KINDS)):
        bad = damaged(data, number)
        if bad == data:
            continue
        folder, out, begun = tmp_path / "bag", tmp_path / "repaired", time.process_time()
        folder.mkdir()
        (folder / source.name).write_bytes(bad)
        count, report = read(folder), mend(folder, out)
        assert count is None or kind not in SEALED, f"damage {number}: not seen"
        if report is not None:
            assert read(out) == report.recovered, f"damage {number}: the repaired bag"
            lost = report.recovered < whole
            assert not lost or report.damage or report.missing or not report.closed, f"damage {number}: unnamed"
        slowest = max(slowest, time.process_time() - begun)
        found.update(["refused" if count is None else "read", "lost" if report is None else "repaired"])
        shutil.rmtree(folder)
        shutil.rmtree(out, ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before  # other tests were in this process, too
    print(f"{kind}: {dict(found)}, slowest {slowest:.2f} s of CPU, at most {peak >> 20} MiB")
    assert slowest < LONGEST_S
    assert peak < MEMORY
    assert found["repaired"] >= {"packed": 0.08, "packed messages": 0.4}.get(kind, 0.5) * (COUNT // len(KINDS))
