"""What sqlite3 leaves out of its logs without a word.

Sources: "WAL-Mode File Format", https://sqlite.org/walformat.html; "Database File Format", section 3.
"""

from pathlib import Path
from struct import Struct, unpack

from smp_bringup.documents import open_regular

_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""With the byte order of the checksums."""
_VERSION = 3_007_000
_HEAD = Struct(">8I")
"""Magic, version, page size, sequence, two salts, two checksums."""
_SUMMED = 24
"""Bytes of the head that its checksum is of."""
_FRAME = Struct(">6I")
"""Page, size of the database after a commit or 0, two salts, two checksums."""


_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""Begins a rollback journal; zeros begin one that was done with."""


def journal_damage(journal: Path) -> list[str]:
    """Return that sqlite3 does not use a rollback journal, if so: half a transaction may stand in the file then."""
    if not journal.is_file() or not journal.stat().st_size:
        return []
    with open_regular(journal) as stream:
        sound = stream.read(len(_JOURNAL)) in (_JOURNAL, bytes(len(_JOURNAL)))
    return [] if sound else [f"the first bytes of {journal.name} are damaged: what it would undo is not undone"]


def log_damage(wal: Path, used: int) -> list[str]:
    """Return what sqlite3 does not use of a log of which it took `used` pages, in at most one sentence.

    It stops before the first damaged page, or the first of an unfinished transaction. Behind that may stand pages that
    an earlier log left, with other salts: those were used before.
    """
    if not wal.is_file() or not wal.stat().st_size:
        return []
    with open_regular(wal) as stream:
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return [f"{wal.name} is cut to {len(head)} bytes: what stood in it is lost"]
        magic, version, page, _, *salts, one, two = _HEAD.unpack(head)
        if version != _VERSION or magic not in _MAGIC or _checksum(head[:_SUMMED], _MAGIC[magic]) != (one, two):
            return [f"the first {_HEAD.size} bytes of {wal.name} are damaged: what stands in it is lost"]
        written = 0
        places = range(_HEAD.size, wal.stat().st_size - _FRAME.size + 1, _FRAME.size + page)
        for number, at in enumerate(places, 1):
            stream.seek(at)
            if list(_FRAME.unpack(stream.read(_FRAME.size))[2:4]) == salts:
                written = number
    lost = written - used
    return [f"{lost} of {written} pages in {wal.name} are lost: damaged, or of an unfinished transaction"] * (lost > 0)


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    one = two = 0
    words = unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) % (1 << 32)
        two = (two + odd + one) % (1 << 32)
    return one, two
