"""Damage: what is whole is read, what is lost is named, nothing stays half-written, a repaired bag passes the check."""

import os
import random
import resource
import shlex
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from mcap.opcode import Opcode
from mcap.writer import CompressionType
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from smp_bringup.bag.messages import JOINT_STATE, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.records import HEAD, MAGIC
from smp_bringup.bag.repair import repair
from smp_bringup.bag.tree import bag_folders, left_out
from smp_bringup.errors import BagError


def records(data):
    """Yield opcode, place and end of the records of a file."""
    at = len(MAGIC)
    while at < len(data) - len(MAGIC):
        opcode, length = HEAD.unpack_from(data, at)
        yield opcode, at, at + HEAD.size + length
        at += HEAD.size + length


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": CompressionType.LZ4},
        {"compression": CompressionType.NONE},
        {"use_chunking": False},
    ],
    ids=["zstd", "lz4", "uncompressed", "loose"],
)
def test_a_damaged_head_costs_no_more_than_its_record(options, others, tmp_path):
    """Opcode, length, or both of any chunk or message: what stands behind is found again, and nothing comes twice."""
    path = others.mcap(tmp_path / "bag.mcap", **options)
    data, rng = path.read_bytes(), random.Random(0)
    wanted = Opcode.MESSAGE if "use_chunking" in options else Opcode.CHUNK
    places = [at for opcode, at, _ in records(data) if opcode == wanted]
    for at in rng.sample(places, min(12, len(places))):
        hurt = bytearray(data)
        if rng.random() < 0.3:
            hurt[at : at + HEAD.size] = b"\xff" * HEAD.size
        elif rng.random() < 0.5:
            hurt[at] ^= 0x40 << rng.randrange(2)  # a kind that nobody knows
        else:
            hurt[at + rng.randrange(HEAD.size)] ^= 1 << rng.randrange(8)
        path.write_bytes(hurt)
        report = repair(path, tmp_path / f"out{at}")
        assert report.recovered >= (399 if wanted == Opcode.MESSAGE else 400)
        assert report.damage or report.missing
        bag = open_bag(report.folder)
        values = others.values(bag)
        assert (bag.verify().messages, len(set(values))) == (report.recovered, report.recovered)


def test_a_bag_is_repaired_from_within_its_folder(others, tmp_path, monkeypatch):
    others.mcap(tmp_path / "bag" / "x.mcap")
    monkeypatch.chdir(tmp_path / "bag")
    assert repair(Path()).folder == tmp_path / "bag_repaired"


def test_messages_that_only_the_summary_counts_are_known_to_be_lost(others, tmp_path):
    path = others.mcap(tmp_path / "bag.mcap")
    data = bytearray(path.read_bytes())
    chunk = [(at, end) for opcode, at, end in records(data) if opcode == Opcode.CHUNK][3]
    data[(chunk[0] + chunk[1]) // 2] ^= 0xFF
    path.write_bytes(data)
    report = repair(path)
    assert report.recovered < 400 == report.recovered + report.missing
    assert "the chunk at byte" in report.damage[0]


def test_the_whole_beginning_of_an_uncompressed_chunk_that_was_cut_is_saved(others, tmp_path):
    path = others.mcap(tmp_path / "bag.mcap", compression=CompressionType.NONE, chunk_size=1 << 20)
    path.write_bytes(path.read_bytes()[:30_000])
    report = repair(path)
    assert 200 < report.recovered < 400
    assert others.values(open_bag(report.folder)) == list(range(report.recovered))
    assert "is cut" in report.damage[0]


def test_a_damaged_first_byte_is_named_and_repaired(others, tmp_path):
    path = others.mcap(tmp_path / "bag.mcap")
    path.write_bytes(b"\x99" + path.read_bytes()[1:])
    with pytest.raises(BagError, match="starts with 994d434150"):
        open_bag(path)
    assert repair(path).recovered == 400


def split(folder, others):
    for i in range(3):
        others.mcap(folder / f"rec_{i}.mcap", range(i * 100, i * 100 + 100))
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])


def flip(path):
    data = bytearray(path.read_bytes())
    (at, end) = next((at, end) for opcode, at, end in records(data) if opcode == Opcode.CHUNK)
    data[(at + end) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["rec_0.mcap", "rec_2.mcap"])
@pytest.mark.parametrize("hurt", [cut, flip, lambda path: path.write_bytes(b"")], ids=["cut", "flip", "empty"])
def test_the_advised_command_makes_a_split_bag_whole_under_its_name(hurt, name, others, tmp_path):
    folder = split(tmp_path / "it's #1", others)
    hurt(folder / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BagError) as caught:
        open_bag(folder).verify()
    if "Run: " in str(caught.value):
        words = shlex.split(str(caught.value).split("Run: ")[1])
        assert words == ["smp", "bag", "repair", str(folder), "--replace"]
    report = repair(folder, replace=True)
    assert (report.folder, bag_folders(tmp_path)) == (folder, [folder])
    bag = open_bag(folder)
    assert bag.verify().messages == report.recovered >= 200
    assert set(others.values(bag)) <= set(range(300))
    assert report.damage or not report.closed
    kept = tmp_path / "it's #1.broken"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert left_out(tmp_path) == [f"'{kept}' is the broken original of a repaired bag"]
    with pytest.raises(BagError, match="exists already"):
        repair(folder, replace=True)


def test_a_file_of_a_bag_is_not_repaired_into_the_bag(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    with pytest.raises(BagError, match=r"is a file of the bag .*: repair that"):
        repair(next(folder.glob("*.db3")))
    assert repair(next(folder.glob("*.db3")), tmp_path / "out").recovered == 400
    assert repair(folder).folder == tmp_path / "bag_repaired"


def test_a_repair_that_cannot_be_written_leaves_nothing_behind(others, tmp_path):
    """A limit on the size of files, as a full disk: in a process of its own, which the limit then ends with."""
    path = others.mcap(tmp_path / "bag.mcap")
    with pytest.raises(BagError, match=r"cannot be written: Not a directory"):
        repair(path, path / "inside")
    child = (
        "import resource, signal, sys; from pathlib import Path; from smp_bringup.bag.repair import repair;"
        "from smp_bringup.errors import BagError; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));\n"
        "try: repair(Path(sys.argv[1]))\n"
        "except BagError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", child, str(path)], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["bag.mcap"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_nothing_but_damage_is_one_line(tmp_path):
    (tmp_path / "bag.mcap").write_bytes(MAGIC + bytes(5000))
    with pytest.raises(BagError, match="not one message can be recovered: 5000 bytes from byte 8 on are unreadable"):
        repair(tmp_path / "bag.mcap")
    with pytest.raises(BagError, match="does not exist"):
        repair(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BagError, match="nothing to repair"):
        repair(tmp_path / "empty")


CRASH = """
import os, signal, sqlite3, sys
source, target = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2], isolation_level=None)
rows = source.execute("SELECT * FROM messages ORDER BY id").fetchall()
target.execute(f"PRAGMA journal_mode={sys.argv[3]}")
target.execute("PRAGMA cache_size=5")
for (sql,) in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"):
    target.execute(sql)
for row in source.execute("SELECT * FROM topics"):
    target.execute("INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?)", row)
def put(some):
    target.execute("BEGIN")
    target.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", some)
put(rows[:200])
target.execute("COMMIT")
target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
target.execute("PRAGMA wal_autocheckpoint=0")
put(rows[200:300])
if sys.argv[3] == "WAL":
    target.execute("COMMIT")
    put(rows[300:])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("mode", "log", "readable"), [("WAL", "-wal", 300), ("DELETE", "-journal", 200)])
def test_what_sqlite_keeps_beside_its_file_is_read_and_the_bag_stays_as_it_is(mode, log, readable, others, tmp_path):
    """A recorder killed in the middle of a transaction: what was committed is read, what was not is undone."""
    source, target = next(others.sqlite(tmp_path / "source").glob("*.db3")), tmp_path / "b#g" / "b#g_0.db3"
    target.parent.mkdir()
    done = subprocess.run([sys.executable, "-c", CRASH, source, target, mode], check=False)
    assert done.returncode == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    assert target.name + log in before
    bag = open_bag(target.parent)
    assert others.values(bag) == list(range(readable))
    assert bag.verify().messages == sum(bag.counts.values()) == readable
    assert any(f"read with its {log}" in text for text in bag.warnings)
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == before


def test_a_log_of_sqlite_that_belongs_to_another_file_is_named(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    file = next(folder.glob("*.db3"))
    head = struct.pack(">IIIIIIII", 0x377F0682, 3007000, 4096, 0, 7, 7, 0, 0)
    file.with_name(f"{file.name}-wal").write_bytes(head + (struct.pack(">II", 1, 1) + head[16:24] + bytes(4104)) * 3)
    bag = open_bag(folder)
    assert len(others.values(bag)) == 400
    assert any("the first 32 bytes" in text for text in bag.source.lacking)


def test_rows_of_sqlite_around_a_broken_page_are_saved(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    file = next(folder.glob("*.db3"))
    data = bytearray(file.read_bytes())
    page = data.index(others.cdr(200)[-100:]) // 4096 * 4096
    data[page : page + 64] = bytes(64)
    file.write_bytes(data)
    with pytest.raises(BagError, match=r"is damaged: .*Run: smp bag repair .* --replace"):
        open_bag(folder).verify()
    report = repair(folder, replace=True)
    assert 340 < report.recovered < 400  # a page holds some fifty rows
    assert "are unreadable" in report.damage[0]
    assert len(others.values(open_bag(folder))) == report.recovered
    assert (tmp_path / "bag.broken" / file.name).read_bytes() == data


def test_a_cut_sqlite_file_gives_what_stands_before_the_cut(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    cut(next(folder.glob("*.db3")))
    with pytest.raises(BagError, match="malformed"):
        open_bag(folder)
    report = repair(folder)
    assert 200 < report.recovered < 400
    assert others.values(open_bag(report.folder))[:200] == list(range(200))


def test_metadata_that_promises_more_than_there_is_is_named(others, tmp_path):
    folder = others.sqlite(tmp_path / "bag")
    with closing(sqlite3.connect(next(folder.glob("*.db3")))) as connection:
        connection.execute("DELETE FROM messages WHERE id > 300")
        connection.commit()
    assert open_bag(folder).warnings == (f"bag '{folder}': metadata.yaml says 400 messages, 300 are there",)


@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "none"])
def test_messages_packed_one_by_one_are_read_and_repaired_with_or_without_metadata(metadata, others, tmp_path):
    for plugin in StoragePlugin:
        folder, writer = tmp_path / plugin.name, Writer(tmp_path / plugin.name, version=9, storage_plugin=plugin)
        writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
        with writer:
            link = writer.add_connection("/joints", JOINT_STATE, typestore=typestore())
            for k in range(400):
                writer.write(link, int(others.stamps[k]), others.cdr(k))
        if not metadata:
            (folder / "metadata.yaml").unlink()
        assert others.values(open_bag(folder)) == list(range(400))
        assert others.values(open_bag(repair(folder).folder)) == list(range(400))


def test_packed_files_are_found_in_a_tree_and_a_cut_one_gives_its_beginning(others, tmp_path):
    others.sqlite(tmp_path / "packed", mode=CompressionMode.FILE)
    plain = others.mcap(tmp_path / "mcap" / "x.mcap", compression=CompressionType.NONE)
    data = plain.read_bytes()  # packed in several frames, as parallel compressors do
    half = len(data) // 2
    (tmp_path / "frames").mkdir()
    frames = zstandard.compress(data[:half]) + zstandard.compress(data[half:])
    (tmp_path / "frames" / "x.mcap.zstd").write_bytes(frames)
    assert bag_folders(tmp_path) == [tmp_path / name for name in ("frames", "mcap", "packed")]
    for folder in bag_folders(tmp_path):
        assert others.values(open_bag(folder)) == list(range(400))
    broken = bytearray(frames)
    broken[len(zstandard.compress(data[:half]))] ^= 0xFF
    (tmp_path / "frames" / "x.mcap.zstd").write_bytes(broken)
    with pytest.raises(BagError, match=r"cannot be unpacked: .* Run: smp bag repair"):
        open_bag(tmp_path / "frames")
    report = repair(tmp_path / "frames")
    assert 150 < report.recovered < 400
    assert "can be unpacked for" in report.damage[0]


def test_what_is_left_half_written_is_named_not_skipped_in_silence(others, tmp_path):
    others.mcap(tmp_path / "a" / "a.mcap")
    (tmp_path / "b.partial").mkdir()
    os.link(tmp_path / "a" / "a.mcap", tmp_path / "b.partial" / "b.mcap")
    assert bag_folders(tmp_path) == [tmp_path / "a"]
    assert left_out(tmp_path) == [
        f"'{tmp_path}/b.partial' is still being written, or was left half-written: smp bag repair {tmp_path}/b.partial"
    ]
    cut(shutil_copy(tmp_path / "b.partial"))
    assert bag_folders(tmp_path / "b.partial") == [tmp_path / "b.partial"]
    with pytest.raises(BagError, match=r"was not closed .* Run: smp bag repair \S+b\.partial$"):
        open_bag(tmp_path / "b.partial")


def shutil_copy(folder):
    """Return the file of a folder as one of its own, no longer linked."""
    (file,) = folder.iterdir()
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    return file
