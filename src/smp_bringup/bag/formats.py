"""What a file or a folder is that is no bag: people keep demonstrations in many forms, and pointers to them."""

from pathlib import Path

from smp_bringup.documents import open_regular

_CONVERT = "convert it with rosbags-convert"
_HEADS = (
    (b"#ROSBAG", f"a ROS 1 bag: {_CONVERT}"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run git lfs pull"),
    (b"/annex/objects/", "a pointer of git-annex, not the file itself: run git annex get"),
    (b"../.git/annex/objects/", "a pointer of git-annex, not the file itself: run git annex get"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, not a bag"),
    (b"PAR1", "a Parquet file: smp bag from-lerobot takes the folder of a LeRobotDataset"),
    (b"\x89MCAP", "an MCAP file whose first bytes are damaged"),
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file: unpack it first"),
    (b"\x04\x22\x4d\x18", "an LZ4 file: unpack it first"),
    (b"<!DOCTYPE", "a web page: what was downloaded is no bag"),
    (b"<html", "a web page: what was downloaded is no bag"),
)
_HEAD_BYTES = 512
_TAR_AT, _MP4_AT = 257, 4


def file_format(path: Path) -> str:
    """Return what a file is by its first bytes, with what to do about it; nothing where that is not known."""
    with open_regular(path) as stream:
        head = stream.read(_HEAD_BYTES)
    for magic, what in _HEADS:
        if head.startswith(magic):
            return what
    if head[_TAR_AT:].startswith(b"ustar"):
        return "a tar archive: unpack it first"
    if head[_MP4_AT:].startswith(b"ftyp"):
        return "a video, not a bag"
    return ""


def folder_format(path: Path) -> str:
    """Return what a folder without bags holds, with what to do about it; nothing where that is not known."""
    if (path / "meta" / "info.json").is_file():
        return f"a LeRobotDataset: smp bag from-lerobot {path}"
    for pattern, what in _CONTENTS:
        found = next(path.rglob(pattern), None)
        if found is not None:
            return f"{found.relative_to(path)}, {what}"
    return ""


_CONTENTS = (
    ("*.bag", f"a ROS 1 bag: {_CONVERT}"),
    ("*.bag.active", "a ROS 1 bag that was not closed: rosbag reindex, then " + _CONVERT),
    ("*.hdf5", "an HDF5 file, not a bag"),
    ("*.h5", "an HDF5 file, not a bag"),
    ("*.tfrecord*", "a dataset of TensorFlow, not a bag"),
    (".zgroup", "a Zarr store, not a bag"),
    ("zarr.json", "a Zarr store, not a bag"),
    ("*.parquet", "a Parquet file, not a bag"),
)
