"""What belongs to a bag and is not there, or not read, is counted or named; no file keeps a reader for long."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from struct import pack

import pytest
import yaml
import zstandard
from mcap.opcode import Opcode

from smp_bringup.bag.files import folder_metadata
from smp_bringup.bag.messages import JOINT_STATE
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.records import HEAD, Budget, Damaged
from smp_bringup.bag.repair import repair
from smp_bringup.bag.tree import bag_folders, left_out
from smp_bringup.errors import BagError

INFORMATION = "rosbag2_bagfile_information"


def split_bag(folder, others, listed=("rec_0.mcap", "rec_1.mcap")):
    """Two files of 100 messages, and the metadata that rosbag2 writes of those that it lists."""
    for i in range(2):
        others.mcap(folder / f"rec_{i}.mcap", range(i * 100, i * 100 + 100))
    told = {
        "version": 9,
        "storage_identifier": "mcap",
        "relative_file_paths": list(listed),
        "message_count": 100 * len(listed),
        "topics_with_message_count": [
            {"topic_metadata": {"name": "/joints", "type": JOINT_STATE}, "message_count": 100 * len(listed)}
        ],
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({INFORMATION: told}))
    return folder


def test_a_file_beside_those_that_the_metadata_lists_is_named_and_repaired_into_the_bag(others, tmp_path):
    folder = split_bag(tmp_path / "bag", others, listed=("rec_0.mcap",))
    bag = open_bag(folder)
    assert len(others.values(bag)) == 100
    (text,) = bag.source.lacking
    assert "does not list rec_1.mcap, which is left out" in text
    assert text.endswith(f"smp bag repair {folder} --replace")
    assert open_bag(split_bag(tmp_path / "whole", others)).source.lacking == ()
    report = repair(folder)
    assert (report.recovered, report.missing, report.damage) == (200, 0, ())


def test_a_listed_file_that_is_gone_is_counted_as_lost(others, tmp_path):
    folder = split_bag(tmp_path / "bag", others)
    (folder / "rec_1.mcap").unlink()
    with pytest.raises(BagError, match=rf"names rec_1\.mcap, which is not there\. Run: smp bag repair {folder} --rep"):
        open_bag(folder)
    report = repair(folder)
    assert (report.recovered, report.missing) == (100, 100)
    assert report.damage == ("metadata.yaml lists rec_1.mcap, which is not there",)


@pytest.mark.parametrize(
    "content", [lambda whole: whole[:120], lambda whole: b"", lambda whole: bytes(4096), lambda whole: whole * 4000]
)
def test_metadata_that_is_of_no_use_leads_to_the_repair_and_costs_nothing(content, others, tmp_path):
    folder = split_bag(tmp_path / "bag", others)
    file = folder / "metadata.yaml"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(BagError, match=rf"metadata\.yaml .*Run: smp bag repair {folder} --replace"):
        open_bag(folder)
    report = repair(folder)
    assert (report.recovered, report.missing, len(report.damage)) == (200, 0, 1)
    assert "Run: " not in report.damage[0]
    assert folder_metadata(report.folder)[0]["message_count"] == 200


WRITER = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA wal_autocheckpoint=0")
db.execute("UPDATE messages SET timestamp = timestamp")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def logged(others, tmp_path):
    """A sqlite3 bag of 400 messages, all of whose pages stand in its -wal a second time."""
    file = next(others.sqlite(tmp_path / "bag").glob("*.db3"))
    subprocess.run([sys.executable, "-c", WRITER, file], check=False)
    return file, file.with_name(f"{file.name}-wal")


def flip(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        *((flip(at), "the first 32 bytes of") for at in (0, 7, 10, 16, 24)),
        (lambda data: bytes(32) + data[32:], "the first 32 bytes of"),
        (lambda data: data[:10], "is cut to 10 bytes"),
        *((flip(at), "are lost: damaged, or of an unfinished transaction") for at in (32 + 8, 32 + 24 + 100)),
    ],
)
def test_a_damaged_log_of_sqlite_is_named(hurt, said, logged, tmp_path):
    file, log = logged
    assert open_bag(file).source.lacking == ()
    assert "read with its -wal" in open_bag(file).warnings[0]
    log.write_bytes(hurt(log.read_bytes()))
    (text,) = open_bag(file).source.lacking
    assert said in text
    assert text in repair(file, tmp_path / "out").damage


def test_a_journal_of_sqlite_that_is_none_is_named(others, tmp_path):
    file = next(others.sqlite(tmp_path / "bag").glob("*.db3"))
    journal = file.with_name(f"{file.name}-journal")
    journal.write_bytes(bytes(512))
    assert open_bag(file).source.lacking == ()
    journal.write_bytes(b"?" * 512)
    assert "what it would undo is not undone" in open_bag(file).source.lacking[0]


def test_messages_of_a_topic_that_is_gone_are_named(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    with closing(sqlite3.connect(next(folder.glob("*.db3")))) as connection:
        connection.execute("UPDATE messages SET topic_id = 7 WHERE id > 300")
        connection.commit()
    with pytest.raises(BagError, match="100 messages are on topics which are not defined"):
        open_bag(folder).verify()


def test_a_view_is_not_read(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    rows = "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r)"
    with closing(sqlite3.connect(next(folder.glob("*.db3")))) as connection:
        connection.execute("ALTER TABLE messages RENAME TO m")
        columns = "id, 1 AS topic_id, id AS timestamp, x'00' AS data"
        connection.execute(f"CREATE VIEW messages AS {rows} SELECT {columns} FROM r")
        connection.commit()
    for read in (open_bag, repair):
        with pytest.raises(BagError, match="a database without the tables of rosbag2"):
            read(folder)


def test_what_looks_like_a_bag_and_is_not_read_is_named(others, tmp_path):
    root, whole = tmp_path / "root", others.mcap(tmp_path / "elsewhere" / "a.mcap").read_bytes()
    folder = split_bag(root / "bag", others)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    contents = {
        "a.mcap.zst": (zstandard.compress(whole), r"rename it to end in \.mcap\.zstd"),
        "b.mcap.lz4": (b"\x04\x22\x4d\x18", "an LZ4 file: unpack it first"),
        "c.mcap.gz": (b"\x1f\x8b", "a gzip file: unpack it first"),
        "d.mcap.active": (whole, r"still being written, or was left so: rename it to end in \.mcap"),
        "E.MCAP": (whole, r"not read under this name: rename it to end in \.mcap"),
        "f.mcap.bak": (b"?", "no bag that can be read here"),
    }
    for name, (content, _) in contents.items():
        (root / name).write_bytes(content)
    os.mkfifo(root / "g.mcap.1")
    assert bag_folders(root) == [folder]
    said = left_out(root)
    assert len(said) == len(contents) + 2
    wanted = {name: text for name, (_, text) in contents.items()} | {"linked": "a link to", "g.mcap.1": "a pipe"}
    for name, text in wanted.items():
        assert any(name in line and re.search(text, line) for line in said), name


@pytest.mark.parametrize("name", ["rec_0.mcap", "metadata.yaml"])
def test_a_pipe_is_refused_not_waited_for(name, others, tmp_path):
    folder = split_bag(tmp_path / "bag", others)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BagError):
        open_bag(folder)
    if name == "metadata.yaml":
        assert "is a pipe, not a file" in repair(folder).damage[0]
        return
    with pytest.raises(BagError, match=r"rec_0\.mcap is a pipe, not a file"):
        repair(folder)
    (folder / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"rec_0\.mcap is a pipe, not a file"):
        open_bag(folder)


def test_bytes_behind_the_end_are_called_so(others, tmp_path):
    file = others.mcap(tmp_path / "a.mcap")
    file.write_bytes(file.read_bytes() + b"hello")
    with pytest.raises(BagError, match=r"has 5 bytes behind its end\. Run: smp bag repair"):
        open_bag(file)
    assert repair(file).recovered == 400


def test_bombs_in_a_small_file_are_left_out(others, tmp_path):
    """Twelve chunks of 250 MB each: what stands before and behind them is saved, within the budget."""
    whole, packed = others.mcap(tmp_path / "a.mcap").read_bytes(), zstandard.compress(bytes(250_000_000))
    body = pack("<QQQII", 0, 0, 250_000_000, 0, 4) + b"zstd" + pack("<Q", len(packed)) + packed
    at = whole.index(HEAD.pack(Opcode.DATA_END, 4))
    (tmp_path / "a.mcap").write_bytes(whole[:at] + (HEAD.pack(Opcode.CHUNK, len(body)) + body) * 12 + whole[at:])
    report = repair(tmp_path / "a.mcap")
    assert report.recovered == 400
    assert len(report.damage) >= 12
    assert "far more than a recording does" in report.damage[11]
    with pytest.raises(Damaged):
        Budget(1).spend((1 << 30) + 1)
