"""What can still be read of an MCAP file that was cut or damaged, and what is known to be lost."""

import mmap
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from mcap.opcode import Opcode
from mcap.records import Attachment

from smp_bringup.bag.formats import file_format
from smp_bringup.bag.messages import deserialized, known
from smp_bringup.bag.records import (
    CHUNK_HEAD,
    HEAD,
    MAGIC,
    MAX_BYTES,
    Budget,
    Chunk,
    Damaged,
    Message,
    blocks,
    read_chunk,
    read_message,
    read_record,
    split,
    unpack,
    unpack_message,
)
from smp_bringup.bag.recovered import Recovered, Topic
from smp_bringup.bag.shapes import DAY_NS, Data, follows, next_record, record_end
from smp_bringup.documents import open_regular
from smp_bringup.sync.checks import Refusal

_OURS = "smp_bringup"
_DEFINITIONS = (Opcode.SCHEMA, Opcode.CHANNEL)
_TAKEN = (*_DEFINITIONS, Opcode.MESSAGE, Opcode.ATTACHMENT, Opcode.METADATA, Opcode.STATISTICS, Opcode.HEADER)
_KNOWN = frozenset(Opcode)
_COMPRESSIONS = (b"", b"lz4", b"zstd")
_LONGEST = 4
_TRIES = 8


@dataclass
class _Scan:
    """One way through the bytes of a damaged file; what it finds beside messages stands here."""

    data: Data
    tested: dict[tuple[int, int], Any] = field(default_factory=dict)
    """Schemas and channels by opcode and number, from where a checksum stands for them."""
    untested: dict[tuple[int, int], Any] = field(default_factory=dict)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    told: Counter[int] = field(default_factory=Counter)
    """Messages per channel, as a summary that passes its checksum says."""
    library: str = ""
    closed: bool = False
    _summary: list[tuple[int, Any]] | None = None
    """What stands behind the data section, once that has ended."""
    _days: set[int] = field(default_factory=set)
    """On which messages were logged."""
    _unknown: int = 0
    """Records of kinds that the format does not know yet, or that are the recorder's own."""
    _budget: Budget = field(init=False)
    _tried: int = 0
    """Bytes that were taken for chunks without a head: not again and again."""

    def __post_init__(self) -> None:
        self._budget = Budget(len(self.data))

    def messages(self) -> Iterator[Message]:
        """Yield every readable message in the order of the file; fills the rest of this object."""
        at = len(MAGIC)
        while at < len(self.data) and not self._over(at):
            end, chunk = record_end(self.data, at), self.data[at] == Opcode.CHUNK
            if end is None or (chunk and not self._ends_at(at, end)) or self._disguised(at):
                at = yield from self._broken(at)
            elif chunk:
                yield from self._chunk(read_chunk(self.data[at + HEAD.size : end]), at)
                at = end
            elif follows(self.data, end):
                yield from self._loose(at, end)
                at = end
            else:
                at = yield from self._beside(at, end)
        if self._unknown:
            self.damage.append(f"{self._unknown} records of unknown kinds are left out")

    def _disguised(self, at: int) -> bool:
        """Return whether what seems to be a record of an unknown kind is a chunk."""
        if self.data[at] in _KNOWN:
            return False
        chunk = self._headless(at)[0]
        return chunk is not None and self._sound(chunk)

    def _sound(self, chunk: Chunk) -> bool:
        """Return whether a chunk has a checksum and passes it."""
        try:
            return bool(chunk.crc and unpack(chunk, self._budget.spend))
        except Damaged:
            return False

    def _ends_at(self, at: int, end: int) -> bool:
        """Return whether a chunk fills its record, or another record stands behind that."""
        return record_end(self.data, at, exact=True) == end or follows(self.data, end)

    def _over(self, at: int) -> bool:
        return len(self.data) - at == len(MAGIC) and self.data[at:] == MAGIC

    def definition(self, opcode: int, number: int) -> Any:
        """Return a schema or channel, rather from where a checksum stands for it; None where there is none."""
        return self.tested.get((opcode, number)) or self.untested.get((opcode, number))

    def _broken(self, at: int) -> Generator[Message, None, int]:
        """Yield what can be had of a record whose head or end is lost; return where to go on."""
        resumed, (chunk, end) = at + 1, self._headless(at)
        if chunk is not None and (follows(self.data, end) or self._sound(chunk)):
            self.damage.append(f"the head of the chunk at byte {at} is damaged")
            yield from self._chunk(chunk, at)
            if follows(self.data, end):
                return end
            resumed = at + 1 if chunk.compression else end
        elif chunk is not None and end > len(self.data):
            resumed = yield from self._cut_chunk(chunk, at)
        found = next_record(self.data, resumed, self._days)
        end = len(self.data) if found is None else found
        self.damage.append(f"{end - at} bytes from byte {at} on are unreadable")
        return end

    def _beside(self, at: int, end: int) -> Generator[Message, None, int]:
        """Take a record behind which none begins, unless it swallowed the next one; return where to go on."""
        found = next_record(self.data, at + 1, self._days)
        if found is not None and found < end:
            self.damage.append(f"{found - at} bytes from byte {at} on are unreadable")
            return found
        yield from self._loose(at, end)
        return end

    def _headless(self, at: int) -> tuple[Chunk | None, int]:
        """Return the chunk at a place whose opcode or length is wrong, or whose end is cut off, and where it ends."""
        at += HEAD.size
        head = self.data[at : at + CHUNK_HEAD.size]
        if len(head) < CHUNK_HEAD.size:
            return None, at
        start_ns, end_ns, size, crc, name = CHUNK_HEAD.unpack(head)
        at += CHUNK_HEAD.size
        if not (start_ns <= end_ns and 0 < size <= MAX_BYTES and name <= _LONGEST):
            return None, at
        compression, at = self.data[at : at + name], at + name
        length, at = int.from_bytes(self.data[at : at + 8], "little"), at + 8
        if compression not in _COMPRESSIONS or not 0 < length <= MAX_BYTES or (name == 0 and length != size):
            return None, at
        self._tried += length
        if self._tried > _TRIES * len(self.data):
            return None, at
        return Chunk(start_ns, end_ns, size, crc, compression.decode(), self.data[at : at + length]), at + length

    def _chunk(self, chunk: Chunk, at: int) -> Iterator[Message]:
        """Yield the messages of a chunk that is all there, if its checksum agrees."""
        try:
            records = list(split(unpack(chunk, self._budget.spend)))
        except Damaged as error:
            self.damage.append(f"the chunk at byte {at} is unreadable ({error})")
            return
        for opcode, body in records:
            yield from self._take(opcode, body, at, tested=chunk.crc != 0)

    def _cut_chunk(self, chunk: Chunk, at: int) -> Generator[Message, None, int]:
        """Yield what a chunk without its end still holds, untested; return where to look for what is behind it."""
        data, count, taken = bytearray(), 0, at + HEAD.size + CHUNK_HEAD.size
        try:
            for block in blocks(chunk.compression, chunk.data):
                data += block
                self._budget.spend(len(block))
                if len(data) > chunk.size:
                    break
        except Damaged:
            pass  # what came before is whole
        try:
            for opcode, body in split(bytes(data)):
                taken += HEAD.size + len(body)
                for message in self._take(opcode, body, at):
                    count += 1
                    yield message
        except Damaged:
            pass  # the last record is cut
        self.damage.append(
            f"the chunk at byte {at} (times {chunk.start_ns} to {chunk.end_ns}) is cut: "
            f"{len(data)} of its {chunk.size} bytes, {count} messages recovered"
        )
        return at + 1 if chunk.compression else taken

    def _loose(self, at: int, end: int) -> Iterator[Message]:
        """Yield the message that stands at a place, or keep the record that does."""
        opcode, body = self.data[at], self.data[at + HEAD.size : end]
        if opcode == Opcode.DATA_END:
            self._summary = []
            told = read_record(opcode, body).data_section_crc
            if not self.damage and told not in (0, crc32(memoryview(self.data)[:at])):
                self.damage.append("the data section fails its checksum: something outside of the chunks was changed")
        elif opcode == Opcode.FOOTER:
            self.closed = True
            self._end(at, body)
        else:
            for message in self._take(opcode, body, at):
                if self._may_be(message):
                    yield message
                else:
                    self.damage.append(f"at byte {at}: what stands there is no message of its topic")

    def _may_be(self, message: Message) -> bool:
        """Return whether a message outside of a chunk, for which no checksum stands, is one of its topic."""
        channel = self.definition(Opcode.CHANNEL, message.channel)
        schema = self.definition(Opcode.SCHEMA, channel.schema_id) if channel else None
        if schema is None or not known(schema.name):
            return True
        try:
            deserialized(unpack_message(message.data), schema.name)
        except (Damaged, Refusal):
            return False
        return True

    def _take(self, opcode: int, body: bytes, at: int, tested: bool = False) -> Iterator[Message]:
        if opcode not in _TAKEN:
            self._unknown += opcode not in _KNOWN
            return
        try:
            record = read_message(body) if opcode == Opcode.MESSAGE else read_record(opcode, body)
        except Damaged as error:
            self.damage.append(f"at byte {at}: {error}")
            return
        if isinstance(record, Message):
            self._days.add(record.log_ns // DAY_NS)
            yield record
            return
        if self._summary is not None:
            self._summary.append((opcode, record))
        elif opcode in _DEFINITIONS:
            (self.tested if tested else self.untested).setdefault((opcode, record.id), record)
        elif opcode == Opcode.ATTACHMENT:
            self.attachments[record.name] = record
        elif opcode == Opcode.METADATA:
            self.metadata[record.name] = record.metadata
        elif opcode == Opcode.HEADER:
            self.library = record.library

    def _end(self, at: int, body: bytes) -> None:
        """Take what the summary says, as far as it passes its checksum."""
        footer = read_record(Opcode.FOOTER, body)
        start = footer.summary_start or at
        sound = footer.summary_crc in (0, crc32(memoryview(self.data)[start : at + HEAD.size + 16]))
        if not sound:
            self.damage.append("the summary fails its checksum")
        for opcode, record in self._summary or ():
            if opcode in _DEFINITIONS:
                (self.tested if sound and footer.summary_crc else self.untested).setdefault((opcode, record.id), record)
            elif opcode == Opcode.STATISTICS and sound:
                self.told.update(record.channel_message_counts)


def salvage_mcap(path: Path) -> Recovered:
    """Return everything readable in a damaged file; raises Damaged for one that is no MCAP file at all."""
    if not path.stat().st_size:
        raise Damaged("is empty (0 bytes): nothing was flushed before the recorder stopped")
    with open_regular(path) as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    scan, begins = _Scan(data), record_end(data, len(MAGIC)) is not None and data[len(MAGIC)] == Opcode.HEADER
    if data[: len(MAGIC)] != MAGIC:
        if not begins:
            raise Damaged(f"is {file_format(path) or f'neither MCAP nor SQLite3 (starts with {data[:8].hex()})'}")
        scan.damage.append("its first bytes are damaged")
    for _ in scan.messages():
        pass  # the second time, all topics are known
    topics = _topics(scan)
    told: Counter[str] = Counter()
    for channel, count in scan.told.items():
        told[topics[channel].name if channel in topics else f"channel {channel}"] += count
    return Recovered(
        topics,
        lambda: _Scan(data).messages(),
        tuple(scan.damage),
        scan.attachments,
        scan.metadata,
        told,
        scan.library.startswith(_OURS),
        scan.closed,
    )


def _topics(scan: _Scan) -> dict[int, Topic]:
    topics = {}
    for number in {number for opcode, number in scan.tested | scan.untested if opcode == Opcode.CHANNEL}:
        channel = scan.definition(Opcode.CHANNEL, number)
        schema = scan.definition(Opcode.SCHEMA, channel.schema_id)
        kind = (schema.name, schema.encoding, schema.data) if schema else ("", "", b"")
        type_hash = channel.metadata.get("topic_type_hash", "")
        topics[number] = Topic(channel.topic, kind[0], channel.message_encoding, kind[1], kind[2], type_hash)
    return topics


def readable(path: Path) -> tuple[int, int, int]:
    """Return how many messages stand in whole chunks of a file, the last one's log time [ns], and bytes behind its end.

    A file that was not closed has no end.

    Only heads and indexes are read, so that a large file takes no longer than a small one.
    """
    count, last_ns, size = 0, 0, path.stat().st_size
    with open_regular(path) as stream:
        position = len(MAGIC)
        while position + HEAD.size <= size:
            stream.seek(position)
            opcode, length = HEAD.unpack(stream.read(HEAD.size))
            position += HEAD.size + length
            if not opcode or position > size:
                break
            if opcode == Opcode.CHUNK and length >= CHUNK_HEAD.size:
                last_ns = max(last_ns, CHUNK_HEAD.unpack(stream.read(CHUNK_HEAD.size))[1])
            elif opcode == Opcode.MESSAGE_INDEX and length >= 6:
                count += (length - 6) // 16
            elif opcode == Opcode.FOOTER:
                stream.seek(position)
                if stream.read(len(MAGIC)) == MAGIC:
                    return count, last_ns, size - position - len(MAGIC)
    return count, last_ns, 0
