"""What can still be read of an MCAP file that was cut or damaged: whole chunks, the whole blocks of a cut one."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from struct import unpack_from

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Message, MessageIndex, Metadata, Schema
from mcap.stream_reader import get_chunk_data_stream

from smp_bringup.errors import BagError

MAGIC = b"\x89MCAP0\r\n"
_HEAD = 9
"""Opcode and length of a record [bytes]."""
_CHUNK_HEAD = 8 + 8 + 8 + 4 + 4
"""Of a chunk, up to the name of its compression [bytes]."""
_MAX_BYTES = 1 << 28
"""Nothing larger is unpacked: a few hostile bytes must not fill the memory."""
_COMPRESSIONS = (b"\x04\x00\x00\x00zstd", b"\x03\x00\x00\x00lz4")


@dataclass
class Salvage:
    """What was found in a damaged file, and where it was unreadable."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    """One sentence for each unreadable stretch."""
    indexed_lost: int = 0
    """Messages that the index after an unreadable chunk counts."""
    closed: bool = False
    """Whether the file has its footer."""

    def messages(self, data: bytes) -> Iterator[Message]:
        """Yield every readable message of a file's bytes in its order; fills the rest of this object."""
        position, bad_chunk = len(MAGIC), False
        while position < len(data):
            opcode, body, end = _record(data, position)
            if body is None:
                if data[position:] == MAGIC:
                    return
                if opcode == Opcode.CHUNK:
                    yield from self._cut_chunk(data[position + _HEAD :], position)
                position = self._resume(data, position)
                continue
            if opcode == Opcode.CHUNK:
                found = self._chunk(body, position)
                bad_chunk = found is None
                yield from found or ()
            elif opcode == Opcode.MESSAGE_INDEX and bad_chunk:
                self.indexed_lost += len(MessageIndex.read(_stream(body)).records)
            else:
                yield from self._loose(opcode, body)
            position = end

    def _chunk(self, body: bytes, position: int) -> list[Message] | None:
        """Return the messages of a whole chunk, or None where its checksum fails."""
        try:
            chunk = Chunk.read(_stream(body))
            if chunk.uncompressed_size > _MAX_BYTES:
                raise ValueError(f"{chunk.uncompressed_size} bytes unpacked")
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            return list(self._inner(stream.read(length)))
        except Exception as error:  # foreign bytes: the libraries below raise whatever they trip over
            self.damage.append(f"the chunk at byte {position} is unreadable ({error})")
            return None

    def _cut_chunk(self, rest: bytes, position: int) -> Iterator[Message]:
        """Yield what a chunk without its end still holds; its checksum cannot be tested."""
        if len(rest) < _CHUNK_HEAD:
            return
        start_ns, end_ns, size = unpack_from("<QQQ", rest)
        name_length = unpack_from("<I", rest, _CHUNK_HEAD - 4)[0]
        at = _CHUNK_HEAD + name_length
        if rest[_CHUNK_HEAD:at] != b"zstd" or size > _MAX_BYTES:
            return
        try:
            data = zstandard.ZstdDecompressor().decompressobj().decompress(rest[at + 8 :])
        except zstandard.ZstdError:
            data = b""
        found = list(self._inner(data))
        self.damage.append(
            f"the chunk at byte {position} (times {start_ns} to {end_ns}) is cut: "
            f"{len(data)} of its {size} bytes, {len(found)} messages recovered"
        )
        yield from found

    def _inner(self, data: bytes) -> Iterator[Message]:
        position = 0
        while position < len(data):
            opcode, body, position = _record(data, position)
            if body is None:
                return
            yield from self._loose(opcode, body)

    def _loose(self, opcode: int, body: bytes) -> Iterator[Message]:
        stream = _stream(body)
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            self.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = Channel.read(stream)
            self.channels[channel.id] = channel
        elif opcode == Opcode.ATTACHMENT:
            stored = unpack_from("<I", body, len(body) - 4)[0]
            attachment = Attachment.read(stream)
            if stored in (0, zlib.crc32(body[:-4])):
                self.attachments[attachment.name] = attachment
            else:
                self.damage.append(f"the attachment '{attachment.name}' fails its checksum")
        elif opcode == Opcode.METADATA:
            record = Metadata.read(stream)
            self.metadata[record.name] = record.metadata
        elif opcode == Opcode.FOOTER:
            self.closed = True
        elif opcode == Opcode.MESSAGE:
            yield Message.read(stream, len(body))

    def _resume(self, data: bytes, position: int) -> int:
        """Return where the next chunk begins, or the end of the file."""
        places = []
        for name in _COMPRESSIONS:
            at = data.find(name, position + _HEAD + _CHUNK_HEAD)
            while at >= 0:
                start = at - (_CHUNK_HEAD - 4) - _HEAD
                opcode, body, _ = _record(data, start)
                if opcode == Opcode.CHUNK and body is not None:
                    places.append(start)
                    break
                at = data.find(name, at + 1)
        resumed = min(places, default=len(data))
        self.damage.append(f"{resumed - position} bytes from byte {position} on are unreadable")
        return resumed


def salvage(path: Path) -> tuple[Salvage, list[Message]]:
    """Return everything readable in a damaged file.

    Raises:
        BagError: it is no MCAP file at all.
    """
    data = path.read_bytes()
    if not data:
        raise BagError(f"bag '{path}' is empty (0 bytes): nothing was flushed before the recorder stopped")
    if not data.startswith(MAGIC):
        raise BagError(f"bag '{path}' is not an MCAP bag (starts with {data[:8].hex()}): nothing to repair")
    found = Salvage()
    return found, list(found.messages(data))


def _record(data: bytes, position: int) -> tuple[int, bytes | None, int]:
    """Return opcode, content and end of the record at a place; no content where it does not fit."""
    if position + _HEAD > len(data):
        return 0, None, len(data)
    opcode, length = unpack_from("<BQ", data, position)
    end = position + _HEAD + length
    if not 0 < opcode <= Opcode.DATA_END or end > len(data):
        return opcode, None, len(data)
    return opcode, data[position + _HEAD : end], end


def _stream(body: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))


def readable(path: Path) -> tuple[int, int]:
    """Return how many messages stand in whole chunks of a file that was not closed, and the last one's log time [ns].

    Only heads and indexes are read, so that a large file takes no longer than a small one.
    """
    count, last_ns, size = 0, 0, path.stat().st_size
    with path.open("rb") as stream:
        position = len(MAGIC)
        while position + _HEAD <= size:
            stream.seek(position)
            opcode, length = unpack_from("<BQ", stream.read(_HEAD))
            position += _HEAD + length
            if not 0 < opcode <= Opcode.DATA_END or position > size:
                break
            if opcode == Opcode.CHUNK and length >= _CHUNK_HEAD:
                last_ns = max(last_ns, unpack_from("<Q", stream.read(16), 8)[0])
            elif opcode == Opcode.MESSAGE_INDEX:
                count += (length - 6) // 16
    return count, last_ns
