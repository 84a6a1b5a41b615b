"""Every checksum of an MCAP file tested, and what its summary says held against what the file holds."""

import zlib
from collections import Counter
from pathlib import Path
from typing import IO, Any

from mcap.opcode import Opcode

from smp_bringup.bag.contents import Order
from smp_bringup.bag.records import (
    HEAD,
    MAGIC,
    Damaged,
    Head,
    heads,
    read_chunk,
    read_message,
    read_record,
    split,
    unpack,
)
from smp_bringup.documents import open_regular
from smp_bringup.errors import one_line

_DEFINITIONS = (Opcode.SCHEMA, Opcode.CHANNEL)


def verify_mcap(file: Path, order: Order) -> None:
    """Test every checksum of a file and look at the order of its messages; raises Damaged at the first failure."""
    with open_regular(file) as stream:
        _Walk(stream, file.stat().st_size, order).run()


class _Walk:
    """One way through a file, from its first record to its last."""

    def __init__(self, stream: IO[bytes], size: int, order: Order) -> None:
        self._stream, self._size, self._order = stream, size, order
        self._crc = zlib.crc32(MAGIC)
        self._data_end = 0
        """Where the data section ended, once it has."""
        self._defined: dict[tuple[int, int], Any] = {}
        """Schemas and channels by opcode and number."""
        self._records: dict[int, tuple[int, int]] = {}
        """Opcode and length of chunks, attachments and metadata, by where they stand."""
        self._counts: Counter[int] = Counter()

    def run(self) -> None:
        for head in heads(self._stream, self._size):
            body = head.read(self._stream)
            if head.opcode == Opcode.DATA_END:
                self._end_of_data(head, read_record(head.opcode, body).data_section_crc)
            elif head.opcode == Opcode.FOOTER:
                self._footer(head, read_record(head.opcode, body))
            elif self._data_end:
                self._summary(head.opcode, body)
            else:
                self._crc = zlib.crc32(body, zlib.crc32(HEAD.pack(head.opcode, head.length), self._crc))
                self._data(head, body)

    def _data(self, head: Head, body: bytes) -> None:
        if head.opcode in (Opcode.CHUNK, Opcode.ATTACHMENT, Opcode.METADATA):
            self._records[head.offset] = head.opcode, HEAD.size + head.length
        if head.opcode == Opcode.CHUNK:
            self._chunk(head, body)
        elif head.opcode == Opcode.MESSAGE:
            self._message(body)
        elif head.opcode in (*_DEFINITIONS, Opcode.ATTACHMENT, Opcode.METADATA, Opcode.HEADER):
            self._define(head.opcode, read_record(head.opcode, body))

    def _chunk(self, head: Head, body: bytes) -> None:
        try:
            records = [*split(unpack(read_chunk(body)))]
        except Damaged as error:
            raise Damaged(f"chunk at offset {head.offset} fails its CRC; refusing to score ({error})") from error
        for opcode, inner in records:
            if opcode == Opcode.MESSAGE:
                self._message(inner)
            elif opcode in _DEFINITIONS:
                self._define(opcode, read_record(opcode, inner))

    def _message(self, body: bytes) -> None:
        message = read_message(body)
        self._order.take(message.log_ns)
        self._counts[message.channel] += 1

    def _define(self, opcode: int, record: Any) -> None:
        if opcode in _DEFINITIONS and self._defined.setdefault((opcode, record.id), record) != record:
            raise Damaged(f"{Opcode(opcode).name.lower()} {record.id} is defined twice, each time as something else")

    def _end_of_data(self, head: Head, told: int) -> None:
        self._data_end = head.offset + HEAD.size + head.length
        if told not in (0, self._crc):
            raise Damaged("the data section fails its checksum: something outside of the chunks was changed")

    def _summary(self, opcode: int, body: bytes) -> None:
        if opcode in _DEFINITIONS:
            self._define(opcode, read_record(opcode, body))
        elif opcode == Opcode.STATISTICS:
            told = read_record(opcode, body)
            counts = {channel: n for channel, n in told.channel_message_counts.items() if n}
            if told.message_count != self._counts.total() or (counts and counts != self._counts):
                raise Damaged(
                    f"it holds {self._counts.total()} messages, its summary says {told.message_count}: "
                    "refusing to score"
                )
        elif opcode in _INDEXED:
            self._index(opcode, read_record(opcode, body))

    def _index(self, opcode: int, index: Any) -> None:
        where, length = (
            (index.chunk_start_offset, index.chunk_length)
            if opcode == Opcode.CHUNK_INDEX
            else (index.offset, index.length)
        )
        if self._records.get(where) != (_INDEXED[opcode], length):
            raise Damaged(f"its index names a {_INDEXED[opcode].name.lower()} at offset {where}, which is not there")

    def _footer(self, head: Head, footer: Any) -> None:
        start = footer.summary_start or head.offset
        if not self._data_end or not self._data_end <= start <= head.offset:
            raise Damaged("its footer points to no summary")
        self._stream.seek(start)
        crc = zlib.crc32(self._stream.read(head.offset - start + HEAD.size + 16))
        if footer.summary_crc not in (0, crc):
            raise Damaged("the summary fails its checksum")
        undefined = sorted(c for c in self._counts if (Opcode.CHANNEL, c) not in self._defined)
        if undefined:
            raise Damaged(f"messages on channels {undefined}, which are not defined")
        for (opcode, _), record in self._defined.items():
            schema = (Opcode.SCHEMA, getattr(record, "schema_id", 0))
            if opcode == Opcode.CHANNEL and schema[1] and schema not in self._defined:
                raise Damaged(f"the schema of {one_line(record.topic)} is missing")


_INDEXED = {
    Opcode.CHUNK_INDEX: Opcode.CHUNK,
    Opcode.ATTACHMENT_INDEX: Opcode.ATTACHMENT,
    Opcode.METADATA_INDEX: Opcode.METADATA,
}
