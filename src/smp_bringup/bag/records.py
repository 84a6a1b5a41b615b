"""The records of an MCAP file: heads, chunks, messages; nothing in them is trusted, and what is wrong is Damaged."""

import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from struct import Struct
from typing import IO, Any, NamedTuple

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)

MAGIC = b"\x89MCAP0\r\n"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_BYTES = 1 << 28
"""No record, packed or unpacked, may be larger: a small file must not fill the memory."""
HEAD = Struct("<BQ")
"""Opcode and length of a record."""
CHUNK_HEAD = Struct("<QQQII")
"""First and last log time, size and checksum of what is in a chunk, length of its compression's name."""
MESSAGE_HEAD = Struct("<HIQQ")
_LATEST_NS = (1 << 63) - 1
"""Log times are kept in as many bits by rosbag2 and numpy."""
_LENGTH, _CRC = Struct("<Q"), Struct("<I")
_BLOCK = 1 << 14
_LEAST_BUDGET, _MAX_RATIO = 1 << 30, 1000
"""Bytes, and times the size of a bag: no recording unpacks to more."""
_KINDS = {
    Opcode.HEADER: Header,
    Opcode.FOOTER: Footer,
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.CHUNK_INDEX: ChunkIndex,
    Opcode.ATTACHMENT: Attachment,
    Opcode.ATTACHMENT_INDEX: AttachmentIndex,
    Opcode.STATISTICS: Statistics,
    Opcode.METADATA: Metadata,
    Opcode.METADATA_INDEX: MetadataIndex,
    Opcode.DATA_END: DataEnd,
}


class Damaged(ValueError):
    """What stands in a file is not what was written; the text says where and why."""


class Head(NamedTuple):
    """A record that has not been read yet."""

    opcode: int
    offset: int
    length: int
    """Of its content [bytes]."""

    def read(self, stream: IO[bytes]) -> bytes:
        """Return the content; raises Damaged for more than may be read at once."""
        if self.length > MAX_BYTES:
            raise Damaged(f"the record at byte {self.offset} has {self.length} bytes")
        stream.seek(self.offset + HEAD.size)
        return stream.read(self.length)


class Message(NamedTuple):
    """A message; its channel says its topic."""

    channel: int
    sequence: int
    log_ns: int
    publish_ns: int
    data: bytes


class Chunk(NamedTuple):
    """Records, packed."""

    start_ns: int
    end_ns: int
    size: int
    """Unpacked [bytes]."""
    crc: int
    """Of what is unpacked; 0 where the writer did not say."""
    compression: str
    data: bytes


def heads(stream: IO[bytes], size: int) -> Iterator[Head]:
    """Yield every record of a closed file up to its footer; the caller may move the stream in between."""
    at = len(MAGIC)
    while at + HEAD.size <= size:
        stream.seek(at)
        opcode, length = HEAD.unpack(stream.read(HEAD.size))
        end = at + HEAD.size + length
        if not opcode or end > size:
            break
        yield Head(opcode, at, length)
        if opcode == Opcode.FOOTER and end + len(MAGIC) == size:
            return
        at = end
    raise Damaged(f"no record begins at byte {at}")


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and content of the records in a chunk."""
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise Damaged("its last record is cut")
        opcode, length = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        if not opcode or end > len(data):
            raise Damaged(f"no record begins at its byte {at}")
        yield opcode, data[at + HEAD.size : end]
        at = end


def read_record(opcode: int, body: bytes) -> Any:
    """Return a record of the mcap library; one that has a checksum is tested."""
    stream = _Whole(BytesIO(body))
    try:
        record = _KINDS[Opcode(opcode)].read(stream)
    except (EndOfFile, ValueError) as error:
        raise Damaged(f"a record of {len(body)} bytes is no {Opcode(opcode).name.lower()}") from error
    if isinstance(record, Attachment):
        at = stream.count - _CRC.size
        if _CRC.unpack_from(body, at)[0] not in (0, zlib.crc32(body[:at])):
            raise Damaged(f"the attachment '{record.name}' fails its checksum")
    return record


class _Whole(ReadDataStream):  # type: ignore[misc]  # the library has no types
    """Gives as many bytes as asked for, or none."""

    def read(self, length: int) -> bytes:
        data: bytes = super().read(min(length, MAX_BYTES))
        if len(data) != length:
            raise EndOfFile()
        return data


def read_message(body: bytes) -> Message:
    """Return a message."""
    if len(body) < MESSAGE_HEAD.size:
        raise Damaged(f"a message of {len(body)} bytes")
    channel, sequence, log_ns, publish_ns = MESSAGE_HEAD.unpack_from(body)
    if log_ns > _LATEST_NS:
        raise Damaged(f"a message was logged at {log_ns} ns")
    return Message(channel, sequence, log_ns, publish_ns, body[MESSAGE_HEAD.size :])


def read_chunk(body: bytes) -> Chunk:
    """Return a chunk; one that is cut has less data than it says, and is refused when it is unpacked."""
    if len(body) < CHUNK_HEAD.size:
        raise Damaged(f"a chunk of {len(body)} bytes")
    start_ns, end_ns, size, crc, name = CHUNK_HEAD.unpack_from(body)
    at = CHUNK_HEAD.size + name
    if at + _LENGTH.size > len(body):
        raise Damaged("its head is cut")
    length = _LENGTH.unpack_from(body, at)[0]
    compression = body[CHUNK_HEAD.size : at].decode("ascii", "replace")
    at += _LENGTH.size
    return Chunk(start_ns, end_ns, size, crc, compression, body[at : at + length])


class Budget:
    """What may be unpacked of a bag in all; beyond it a file is a bomb that would keep a repair busy for long."""

    def __init__(self, size: int) -> None:
        """Take the size of the bag [bytes]."""
        self._left = max(_LEAST_BUDGET, _MAX_RATIO * size)

    def spend(self, count: int) -> None:
        """Note so many unpacked bytes; raises Damaged beyond the budget."""
        self._left -= count
        if self._left < 0:
            raise Damaged("the bag unpacks to far more than a recording does: no more of it is unpacked")


_NO_BUDGET: Callable[[int], None] = lambda count: None  # noqa: E731


def unpack(chunk: Chunk, spend: Callable[[int], None] = _NO_BUDGET) -> bytes:
    """Return the records in a chunk, its size and checksum tested; `spend` gets the size of each piece."""
    if chunk.size > MAX_BYTES:
        raise Damaged(f"{chunk.size} bytes unpacked")
    data = _joined(blocks(chunk.compression, chunk.data), chunk.size, spend)
    if len(data) != chunk.size:
        raise Damaged(f"{len(data)} bytes unpacked instead of {chunk.size}")
    if chunk.crc not in (0, zlib.crc32(data)):
        raise Damaged("its checksum fails")
    return data


def unpack_message(data: bytes, spend: Callable[[int], None] = _NO_BUDGET) -> bytes:
    """Return a message; some recorders pack each by itself, and no serialised message begins like a packed one."""
    if not data.startswith(ZSTD_MAGIC):
        return data
    try:
        message = _joined(_zstd(data), MAX_BYTES, spend)
    except zstandard.ZstdError as error:
        raise Damaged(f"a message cannot be unpacked ({error})") from error
    if len(message) > MAX_BYTES:
        raise Damaged(f"a message unpacks to more than {MAX_BYTES} bytes")
    return message


def _joined(pieces: Iterator[bytes], limit: int, spend: Callable[[int], None]) -> bytes:
    """Return pieces in one, no more of them than it takes to see that they are more than `limit` bytes."""
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        spend(len(piece))
        if size > limit:
            break
    return b"".join(found)


def blocks(compression: str, data: bytes) -> Iterator[bytes]:
    """Yield the unpacked data of a chunk piece by piece, each of a bounded size; of one that is cut, what is whole."""
    if compression not in _UNPACKERS:
        raise Damaged(f"its compression '{compression}' is not known")
    try:
        yield from _UNPACKERS[compression](data)
    except (zstandard.ZstdError, RuntimeError) as error:
        raise Damaged(f"it cannot be unpacked ({error})") from error


def _zstd(data: bytes) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        while block := reader.read1(_BLOCK):
            yield block


def _lz4(data: bytes) -> Iterator[bytes]:
    unpacker = lz4.frame.LZ4FrameDecompressor()
    while not unpacker.eof and (block := unpacker.decompress(data, max_length=_BLOCK)):
        yield block
        data = b""


_UNPACKERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {"": lambda data: iter((data,)), "zstd": _zstd, "lz4": _lz4}
