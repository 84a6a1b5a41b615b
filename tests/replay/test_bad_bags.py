"""Bags that are broken, foreign or odd: read, or refused in one line that says what to do."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import yaml
import zstandard
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from smp_bringup.bag.messages import JOINT_STATE, definition, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError
from smp_bringup.robot import load_robot

HERE = Path(__file__).parent
BAG = HERE / "bags" / "two_seconds"
MCAP = "two_seconds_0.mcap"
T0 = 1_700_000_000_000_000_000


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(BAG, tmp_path / "bag")


def test_our_bag_is_verified_and_its_order_known():
    order = open_bag(BAG).verify()
    assert (order.messages, order.backwards, order.epochs) == (953, 0, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is empty \(0 bytes\): nothing was flushed before the recorder stopped"),
        (b"\x00\x01\x02\x03" * 50, r"is not an MCAP or SQLite3 bag \(starts with 0001020300010203\)"),
    ],
)
def test_bytes_that_are_no_bag_are_named(copy, data, message):
    (copy / MCAP).write_bytes(data)
    with pytest.raises(BagError, match=message):
        open_bag(copy)


def test_a_truncated_bag_says_what_is_readable_and_how_to_repair_it(copy):
    data = (copy / MCAP).read_bytes()
    (copy / MCAP).write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(BagError, match=r"was not closed \(no footer\)\. \d+ messages.*Run: smp bag repair"):
        open_bag(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"storage_identifier": "rocksdb"}, r"storage 'rocksdb' is not supported, only mcap, sqlite3"),
        ({"storage_identifier": "sqlite3"}, r"metadata.yaml says sqlite3, its files are mcap"),
        ({"relative_file_paths": ["../../etc/passwd"]}, r"leaves the bag's folder"),
        ({"relative_file_paths": ["/etc/passwd"]}, r"leaves the bag's folder"),
        ({"relative_file_paths": ["missing_0.mcap"]}, r"names missing_0.mcap, which is not there"),
        ({"relative_file_paths": 3}, r"is not a list of names"),
        ({"relative_file_paths": [""]}, r"leaves the bag's folder"),
        ({"relative_file_paths": ["a\0b"]}, r"metadata.yaml names a\\x00b, which is not there"),
        ({"storage_identifier": ["mcap"]}, r"storage '\['mcap'\]' is not supported"),
        ({"compression_mode": 7}, r"compression '' is not supported"),
        ({"compression_mode": "FILE", "compression_format": "lz77"}, r"compression 'lz77' is not supported"),
    ],
)
def test_metadata_that_lies_is_refused(copy, change, message):
    path = copy / "metadata.yaml"
    told = yaml.safe_load(path.read_text())
    told["rosbag2_bagfile_information"] |= change
    path.write_text(yaml.safe_dump(told))
    with pytest.raises(BagError, match=message) as caught:
        open_bag(copy)
    assert "\n" not in str(caught.value)


def test_links_out_of_the_folder_are_not_followed(copy, tmp_path):
    (copy / MCAP).rename(tmp_path / "elsewhere.mcap")
    (copy / MCAP).symlink_to(tmp_path / "elsewhere.mcap")
    with pytest.raises(BagError, match="links are not followed"):
        open_bag(copy)


def test_without_metadata_the_file_is_read_with_a_warning(copy):
    (copy / "metadata.yaml").unlink()
    bag = open_bag(copy)
    assert "metadata.yaml missing" in bag.warnings[0]
    assert bag.verify().messages == 953


def written(folder, storage, mode=None):
    """Write a bag of joint states with another library."""
    writer = Writer(folder, version=9, storage_plugin=storage)
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        link = writer.add_connection("/joints", JOINT_STATE, typestore=typestore())
        for k in range(100):
            at = T0 + k * 10_000_000
            writer.write(link, at, joint_state_cdr(at, ("a",), np.array([float(k)])))
    return folder


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
@pytest.mark.parametrize("mode", [None, CompressionMode.FILE, CompressionMode.MESSAGE], ids=str)
@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "none"])
def test_bags_of_another_library_are_read(tmp_path, storage, mode, metadata):
    folder = written(tmp_path / "bag", storage, mode)
    if mode is CompressionMode.FILE:
        assert list(folder.glob("*.zstd"))
    if not metadata:
        (folder / "metadata.yaml").unlink()
    bag = open_bag(folder)
    assert bag.verify().messages == 100
    values = [message.position[0] for _, _, message in bag.messages({"/joints"})]
    assert values == list(range(100))


def part(path, numbers):
    """Write one file of a split bag."""
    with path.open("wb") as stream:
        writer = McapWriter(stream, compression=CompressionType.ZSTD)
        writer.start(profile="ros2", library="test")
        schema = writer.register_schema(JOINT_STATE, "ros2msg", definition(JOINT_STATE)[0].encode())
        channel = writer.register_channel("/joints", "cdr", schema)
        for k in numbers:
            at = T0 + k * 10_000_000
            writer.add_message(channel, at, joint_state_cdr(at, ("a",), np.array([float(k)])), at)
        writer.finish()


def test_a_split_bag_is_read_in_the_order_of_its_numbers(tmp_path):
    for i in range(12):
        part(tmp_path / f"split_{i}.mcap", range(i * 10, i * 10 + 10))
    bag = open_bag(tmp_path)
    assert bag.warnings == (f"bag '{tmp_path}': metadata.yaml missing, found 12 files, read in order",)
    order = bag.verify()
    assert (order.messages, order.backwards) == (120, 0)
    assert [m.position[0] for _, _, m in bag.messages({"/joints"})] == list(range(120))
    assert bag.counts == {"/joints": 120}


def test_messages_out_of_order_and_two_epochs_are_counted_not_hidden(tmp_path):
    part(tmp_path / "odd.mcap", [0, 1, 5, 4, 2, 10**9])
    order = open_bag(tmp_path / "odd.mcap").verify()
    assert (order.messages, order.backwards, order.epochs) == (6, 2, 2)


def test_a_file_that_unpacks_to_a_bomb_is_refused(tmp_path):
    (tmp_path / "bomb.mcap.zstd").write_bytes(zstandard.compress(bytes(1 << 28)))
    with pytest.raises(BagError, match="unpacks to more than"):
        open_bag(tmp_path)


def test_a_database_that_is_no_bag_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db3")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(BagError, match="cannot be read"):
        open_bag(tmp_path)


def test_other_joints_and_empty_topics_are_named(tmp_path):
    from smp_bringup.bag.aligned import aligned_sets
    from smp_bringup.bag.writer import BagWriter

    robot = load_robot(str(HERE / "robot.yaml"))
    text = (HERE / "robot.yaml").read_text().replace("left_waist", "left_hip")
    other = tmp_path / "robot.yaml"
    other.write_text(text)
    writer = BagWriter(tmp_path / "bag", load_robot(str(other)), "x")
    for bag_topic, kind in open_bag(BAG).types.items():
        for topic, at, cdr in open_bag(BAG).raw_messages({bag_topic}):
            writer.write(topic, kind, at, cdr)
    bag = open_bag(writer.close(True))
    with pytest.raises(BagError, match=r"bag has joints \['left_waist'.*model expects \['left_hip'"):
        list(aligned_sets(bag, bag.robot()))
    assert list(aligned_sets(bag, robot))
