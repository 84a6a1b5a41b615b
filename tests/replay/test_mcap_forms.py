"""All that the MCAP format allows is read; what a checksum stands for cannot change unseen."""

import struct

import pytest
from mcap.opcode import Opcode
from mcap.writer import CompressionType, IndexType

from smp_bringup.bag.messages import JOINT_STATE
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.records import HEAD, MAGIC
from smp_bringup.bag.repair import repair
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError

BARE = {
    "index_types": IndexType.NONE,
    "use_statistics": False,
    "repeat_channels": False,
    "repeat_schemas": False,
    "use_summary_offsets": False,
}
FORMS = {
    "zstd": {},
    "lz4": {"compression": CompressionType.LZ4},
    "uncompressed": {"compression": CompressionType.NONE},
    "without chunks": {"use_chunking": False},
    "without checksums": {"enable_crcs": False},
    "with a checksum of the data": {"enable_data_crcs": True},
    "without statistics": {"use_statistics": False},
    "without repeated schemas": {"repeat_schemas": False},
    "without repeated channels": {"repeat_channels": False},
    "without indexes": {"index_types": IndexType.NONE},
    "without a summary": BARE,
    "without a summary and chunks": {**BARE, "use_chunking": False},
}


def attach(writer, at):
    """Put between the messages what may stand there."""
    writer.add_attachment(at, at, f"notes_{at}", "text/plain", b"calibration " * 50)
    writer.add_metadata(f"about_{at}", {"operator": "nobody"})


@pytest.mark.parametrize("between", [None, attach], ids=["plain", "attachments"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_tested_and_repaired(form, between, others, tmp_path):
    path = others.mcap(tmp_path / "bag.mcap", between=between, **FORMS[form])
    bag = open_bag(path)
    assert (bag.types, bag.counts, bag.verify().messages) == ({"/joints": JOINT_STATE}, {"/joints": 400}, 400)
    assert others.values(bag) == list(range(400))
    report = repair(path)
    assert (report.recovered, report.missing, report.damage, report.closed) == (400, 0, (), True)
    again = open_bag(report.folder)
    assert (again.verify().messages, others.values(again)) == (400, list(range(400)))
    assert len(again.attachments) == len(bag.attachments) == (4 if between else 0)


def test_a_channel_without_a_schema_is_left_out_and_kept_by_repair(others, tmp_path):
    def notes(writer, at):
        writer.add_message(writer.register_channel("/notes", "json", 0, {}), at, b"{}", at)

    path = others.mcap(tmp_path / "bag.mcap", between=notes)
    bag = open_bag(path)
    assert bag.types == {"/joints": JOINT_STATE}
    assert (bag.verify().messages, others.values(bag)) == (404, list(range(400)))
    assert repair(path).recovered == 404


def test_records_and_fields_of_later_versions_are_ignored(others, tmp_path):
    """Private records, and fields at the end of known ones; nothing points behind them in a file without a summary."""
    data = others.mcap(tmp_path / "bag.mcap", **BARE, use_chunking=False).read_bytes()
    out, at, kinds = bytearray(MAGIC), len(MAGIC), []
    while data[at] != Opcode.FOOTER:
        opcode, length = HEAD.unpack_from(data, at)
        body, at = data[at + HEAD.size : at + HEAD.size + length], at + HEAD.size + length
        more = b"" if opcode == Opcode.MESSAGE else b"later"
        kinds.append(0x80 - len(kinds) % 2)
        out += HEAD.pack(opcode, length + len(more)) + body + more + HEAD.pack(kinds[-1], 3) + b"own"
    (tmp_path / "bag.mcap").write_bytes(out + data[at:])
    bag = open_bag(tmp_path / "bag.mcap")
    assert (bag.verify().messages, others.values(bag)) == (400, list(range(400)))
    report = repair(tmp_path / "bag.mcap")
    assert (report.recovered, report.damage) == (400, (f"{len(kinds)} records of unknown kinds are left out",))


def test_messages_come_in_the_order_of_their_log_time(others, tmp_path):
    mixed = [k ^ 7 for k in range(400)]
    for name, options in (("chunks", {}), ("loose", {"use_chunking": False})):
        bag = open_bag(others.mcap(tmp_path / f"{name}.mcap", mixed, **options))
        assert others.values(bag) == list(range(400))
        assert bag.verify().backwards > 100


@pytest.fixture
def ours(others, robot, tmp_path):
    """A bag of ours, as the bytes of its file and the places of its records."""
    writer = BagWriter(tmp_path / "bag", robot, "lift_tray")
    for k in range(400):
        writer.write("/joints", JOINT_STATE, int(others.stamps[k]), others.cdr(k))
        if k % 100 == 99:
            writer.flush()
    (file,) = writer.close(True).glob("*.mcap")
    data, at, places = file.read_bytes(), len(MAGIC), []
    while at < len(data) - len(MAGIC):
        opcode, length = HEAD.unpack_from(data, at)
        places.append((Opcode(opcode), at, length))
        at += HEAD.size + length
    return file, data, places


def test_no_byte_of_a_bag_of_ours_can_change_unseen(ours):
    """In every kind of record, attachments, names, indexes and the summary included."""
    file, data, places = ours
    tried = set()
    for opcode, at, length in places:
        for place in {at, at + 1, at + HEAD.size, at + HEAD.size + length // 2, at + HEAD.size + length - 1}:
            changed = bytearray(data)
            changed[place] ^= 0x10
            file.write_bytes(changed)
            with pytest.raises(BagError) as caught:
                open_bag(file.parent).verify()
            assert "\n" not in str(caught.value)
            tried.add(opcode)
    assert {Opcode.ATTACHMENT, Opcode.METADATA, Opcode.CHUNK, Opcode.STATISTICS, Opcode.CHANNEL, Opcode.FOOTER} <= tried


def test_a_joint_limit_cannot_change_in_the_robot_file(ours):
    """Attachments are tested when a bag is opened: whoever only asks for the robot is told too."""
    file, data, _ = ours
    at = data.index(b"max: ")
    file.write_bytes(data[: at + 5] + b"9" + data[at + 6 :])
    with pytest.raises(
        BagError, match=r"the attachment 'robot\.yaml' fails its checksum. Run: smp bag repair .* --replace"
    ):
        open_bag(file.parent).robot()


def test_a_summary_that_counts_other_messages_is_refused(others, tmp_path):
    path = others.mcap(tmp_path / "bag.mcap", enable_crcs=False)
    data = path.read_bytes()
    at = data.index(struct.pack("<BQQ", Opcode.STATISTICS, 56, 400))
    path.write_bytes(data[: at + 9] + struct.pack("<Q", 300) + data[at + 17 :])
    with pytest.raises(BagError, match="it holds 400 messages, its summary says 300"):
        open_bag(path).verify()
