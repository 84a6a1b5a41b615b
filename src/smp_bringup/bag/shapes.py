"""Whether some bytes of a damaged file look like a record of MCAP, told from the lengths in them without copying."""

import re
from mmap import mmap

from mcap.opcode import Opcode

from smp_bringup.bag.records import HEAD, MAGIC, MAX_BYTES

Data = bytes | mmap

_SHAPES = {
    Opcode.HEADER: "ss",
    Opcode.FOOTER: "884",
    Opcode.SCHEMA: "2sss",
    Opcode.CHANNEL: "22sss",
    Opcode.CHUNK: "8884sb",
    Opcode.MESSAGE_INDEX: "2s",
    Opcode.CHUNK_INDEX: "8888s8s88",
    Opcode.ATTACHMENT: "88ssb4",
    Opcode.ATTACHMENT_INDEX: "88888ss",
    Opcode.STATISTICS: "8244448" + "8s",
    Opcode.METADATA: "ss",
    Opcode.METADATA_INDEX: "88s",
    Opcode.SUMMARY_OFFSET: "188",
    Opcode.DATA_END: "4",
}
"""Fields of each kind: a digit is so many bytes, s and b are what a length of 4 or 8 bytes stands before."""
_LEAST_MESSAGE = 22
DAY_NS = 86_400_000_000_000
_FEW = 4
_MAYBE = re.compile(rb"(?=[\x01-\x0f][\s\S]{3}[\x00-\x10]\x00{4})")
"""A known opcode, and a length that is not too large."""


def record_end(data: Data, at: int, exact: bool = False) -> int | None:
    """Return where the record that begins at a place ends; None where no record can be there.

    Args:
        data: of a file.
        at: place in it.
        exact: whether the record's fields must fill it; readers ignore what a later version of the format adds.
    """
    if at + HEAD.size > len(data):
        return None
    opcode, length = HEAD.unpack_from(data, at)
    end: int = at + HEAD.size + length
    if not opcode or length > MAX_BYTES or end > len(data):
        return None
    if opcode == Opcode.MESSAGE:
        return end if length >= _LEAST_MESSAGE else None
    if opcode not in _SHAPES:
        return end  # kinds of records that are not known are allowed
    rest = _rest(data, at + HEAD.size, end, _SHAPES[opcode])
    return end if rest == 0 or (rest > 0 and not exact) else None


def _rest(data: Data, at: int, end: int, shape: str) -> int:
    """Return how many bytes of a record its fields leave over; below zero where they do not fit."""
    for sign in shape:
        if sign.isdigit():
            at += int(sign)
            continue
        size = 4 if sign == "s" else 8
        if at + size > end:
            return -1
        at += size + int.from_bytes(data[at : at + size], "little")
    return end - at


def next_record(data: Data, at: int, days: set[int]) -> int | None:
    """Return where the next record begins, at a place or behind it; None where there is no more.

    A message counts if it was logged on one of `days` or beside it; others, and any where no day is known, if more
    records stand behind it.
    """
    for match in _MAYBE.finditer(data, at):
        place = match.start()
        end = record_end(data, place, exact=True)
        if end is None:
            continue
        message = data[place] == Opcode.MESSAGE
        if message and days and days.isdisjoint(_days(data, place)):
            continue
        if follows(data, end, _FEW if message and not days else 1):
            return place
    return None


def follows(data: Data, at: int, records: int = 1) -> bool:
    """Return whether a place is where a record may have ended: the end, or the beginning of others."""
    for _ in range(records):
        if 0 <= len(data) - at <= len(MAGIC):
            return True
        end = record_end(data, at)
        if end is None:
            return False
        at = end
    return True


def _days(data: Data, at: int) -> tuple[int, int, int]:
    """Return the day on which a message was logged, and those beside it."""
    log_ns = int.from_bytes(data[at + HEAD.size + 6 : at + HEAD.size + 14], "little")
    return log_ns // DAY_NS - 1, log_ns // DAY_NS, log_ns // DAY_NS + 1
