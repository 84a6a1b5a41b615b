"""What is no bag is named for what it is, and bags are read wherever they lie."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from mcap.writer import Writer as McapWriter

from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.repair import repair
from smp_bringup.bag.tree import bag_folders, left_out
from smp_bringup.errors import BagError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FORMATS = {
    "ROS 1": (b"#ROSBAG V2.0\n\x45\x00\x00\x00op=\x03", "is a ROS 1 bag: convert it with rosbags-convert"),
    "Git LFS": (POINTER, "is a pointer of Git LFS, not the file itself: run git lfs pull"),
    "git-annex": (b"/annex/objects/SHA256E-s42--ab.mcap\n", "is a pointer of git-annex"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "is an HDF5 file"),
    "Parquet": (b"PAR1" + bytes(40), "is a Parquet file"),
    "ZIP": (b"PK\x03\x04" + bytes(40), "is a ZIP archive: unpack it first"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "is a gzip file: unpack it first"),
    "tar": (bytes(257) + b"ustar\x0000" + bytes(100), "is a tar archive: unpack it first"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "is a web page"),
    "video": (b"\x00\x00\x00\x20ftypisom" + bytes(40), "is a video"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("file", ["x.mcap", "x.db3", "x.mcap.zstd"])
def test_a_file_of_another_format_is_named(name, file, tmp_path):
    data, message = FORMATS[name]
    (tmp_path / file).write_bytes(data)
    for given in (tmp_path, tmp_path / file):
        with pytest.raises(BagError) as caught:
            open_bag(given)
        assert message in str(caught.value)
    with pytest.raises(BagError) as caught:
        repair(tmp_path)
    assert message in str(caught.value)


def test_a_metadata_file_that_is_a_pointer_is_named(others, tmp_path):
    others.mcap(tmp_path / "x.mcap")
    (tmp_path / "metadata.yaml").write_bytes(POINTER)
    with pytest.raises(BagError, match=r"metadata.yaml cannot be used: it is a pointer of Git LFS"):
        open_bag(tmp_path)


FOLDERS = {
    "meta/info.json": (json.dumps({"codebase_version": "v3.0"}).encode(), "a LeRobotDataset: smp bag from-lerobot"),
    "day/run.bag": (b"#ROSBAG V2.0\n", "day/run.bag, a ROS 1 bag"),
    "episode_0.hdf5": (b"\x89HDF\r\n\x1a\n", "episode_0.hdf5, an HDF5 file"),
    "data/x.parquet": (b"PAR1", "data/x.parquet, a Parquet file"),
    "x-00000-of-00001.tfrecord-0": (b"", "x-00000-of-00001.tfrecord-0, a dataset of TensorFlow"),
    "replay.zarr/.zgroup": (b"{}", "replay.zarr/.zgroup, a Zarr store"),
}


@pytest.mark.parametrize("file", FOLDERS)
def test_a_folder_of_another_format_is_named(file, tmp_path):
    data, message = FOLDERS[file]
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(data)
    for ask in (open_bag, bag_folders):
        with pytest.raises(BagError) as caught:
            ask(tmp_path)
        assert f"it holds {message}" in str(caught.value)


def test_a_ros_1_bag_beside_bags_is_named(others, tmp_path):
    others.mcap(tmp_path / "a" / "a.mcap")
    (tmp_path / "old.bag").write_bytes(FORMATS["ROS 1"][0])
    assert bag_folders(tmp_path) == [tmp_path / "a"]
    assert left_out(tmp_path) == [f"'{tmp_path}/old.bag' is a ROS 1 bag: convert it with rosbags-convert"]


def test_an_mcap_file_of_ros_1_messages_is_named(tmp_path):
    with (tmp_path / "x.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start(profile="ros1", library="mcap convert")
        schema = writer.register_schema("sensor_msgs/JointState", "ros1msg", b"Header header")
        writer.add_message(writer.register_channel("/joints", "ros1", schema), 1, b"\x00", 1)
        writer.finish()
    with pytest.raises(BagError, match="holds messages of ROS 1: convert it with rosbags-convert"):
        open_bag(tmp_path)


def test_a_bag_of_which_only_the_metadata_is_left_is_named(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    next(folder.glob("*.db3")).unlink()
    assert bag_folders(tmp_path) == [folder]
    with pytest.raises(BagError, match=r"metadata\.yaml names bag\.db3, which is not there"):
        open_bag(folder)


@pytest.mark.parametrize(
    "name",
    ["a #1", "was? ja", "50% off", "Übung é 日本", "[set]", 'it\'s "odd"', "-rf", "tab\tand\nline", "²", "nul\udcff"],
)
def test_bags_are_read_and_repaired_wherever_they_lie(name, others, tmp_path):
    for storage in ("sqlite3", "mcap"):
        folder = tmp_path / name / storage
        folder.parent.mkdir(exist_ok=True)
        if storage == "mcap":
            others.mcap(folder / f"{name}_0.mcap", range(200))
            others.mcap(folder / f"{name}_1.mcap", range(200, 400))
        else:  # the library that writes it cannot write there
            shutil.move(others.sqlite(tmp_path / "bag"), folder)
        bag = open_bag(folder)
        assert (bag.verify().messages, others.values(bag)) == (400, list(range(400)))
        report = repair(folder)
        assert others.values(open_bag(report.folder)) == list(range(400))
    assert len(bag_folders(tmp_path)) == 4


def test_an_error_is_one_line_whatever_the_path(tmp_path):
    folder = tmp_path / "a\nb\udcff"
    folder.mkdir()
    (folder / "x.mcap").write_bytes(b"no bag at all")
    command = [sys.executable, "-m", "smp_bringup.cli.main", "bag"]
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    for words in (("check", folder), ("repair", folder)):
        done = subprocess.run([*command, *words], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stdout + done.stderr
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
        assert "a\\nb\\udcff" in done.stdout + done.stderr
