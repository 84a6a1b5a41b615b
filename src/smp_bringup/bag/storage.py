"""The files of a bag: MCAP with every checksum tested, sqlite3 through rosbags; nothing in them is trusted."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from struct import unpack_from
from typing import IO

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Chunk, ChunkIndex
from mcap.stream_reader import get_chunk_data_stream
from mcap.summary import Summary
from rosbags.rosbag2 import Reader

from smp_bringup.bag.episode import EPISODE_METADATA
from smp_bringup.errors import BagError, one_line

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_RECORD = 1 << 28
"""No record, packed or unpacked, may be larger [bytes]: a small file must not fill the memory."""
_HEAD = 9
_EPOCH_NS = 3_600_000_000_000
"""A step of the log time larger than this begins another epoch."""


@dataclass
class Contents:
    """What a file says about itself."""

    types: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """Messages per topic."""
    episode: dict[str, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Order:
    """How far the log times of a bag are from rising evenly."""

    messages: int = 0
    backwards: int = 0
    """Messages logged before the one that stands before them in the file."""
    epochs: int = 1
    last_ns: int | None = None

    def take(self, log_ns: int) -> None:
        """Take the next log time in the order of the file."""
        if self.last_ns is not None:
            self.backwards += log_ns < self.last_ns
            self.epochs += abs(log_ns - self.last_ns) > _EPOCH_NS
        self.messages, self.last_ns = self.messages + 1, log_ns


def mcap_contents(file: Path) -> Contents:
    """Return topics, episode and attachments of an MCAP file; raises BagError for one that cannot be read."""
    try:
        with file.open("rb") as stream:
            reader = SeekingReader(stream, validate_crcs=True, record_size_limit=_MAX_RECORD)
            summary = reader.get_summary()
            if summary is None:
                raise BagError(f"bag '{file}' has no summary: run smp bag repair on it")
            found = Contents()
            for channel in summary.channels.values():
                found.types[channel.topic] = summary.schemas[channel.schema_id].name
                if summary.statistics is not None:
                    found.counts[channel.topic] += summary.statistics.channel_message_counts.get(channel.id, 0)
            for record in reader.iter_metadata():
                found.episode |= record.metadata if record.name == EPISODE_METADATA else {}
            for attachment in reader.iter_attachments():
                found.attachments[attachment.name] = attachment.data
            return found
    except BagError:
        raise
    except Exception as error:  # foreign bytes: the libraries below raise whatever they trip over
        reason = one_line(error) or type(error).__name__
        raise BagError(f"bag '{file}' cannot be read: {reason}; smp bag repair saves what is whole") from error


def mcap_messages(file: Path, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, log time and serialised message in the order of log time."""
    try:
        with file.open("rb") as stream:
            reader = SeekingReader(stream, validate_crcs=True, record_size_limit=_MAX_RECORD)
            for _, channel, message in reader.iter_messages(topics=list(topics)):
                yield channel.topic, message.log_time, message.data
    except Exception as error:  # foreign bytes
        reason = one_line(error) or type(error).__name__
        raise BagError(f"bag '{file}': a chunk fails its CRC or is cut; refusing to use it ({reason})") from error


def verify_mcap(file: Path, order: Order) -> None:
    """Test every checksum of a file and look at the order of its messages; raises BagError at the first failure."""
    try:
        with file.open("rb") as stream:
            summary = SeekingReader(stream, validate_crcs=True, record_size_limit=_MAX_RECORD).get_summary()
            assert summary is not None
            for index in sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset):
                for log_ns in _chunk_times(stream, index, file):
                    order.take(log_ns)
            if not summary.chunk_indexes:
                _verify_loose(stream, order)
            _verify_count(summary, order, file)
    except BagError:
        raise
    except Exception as error:  # foreign bytes
        reason = one_line(error) or type(error).__name__
        raise BagError(f"bag '{file}' cannot be read: {reason}; smp bag repair saves what is whole") from error


def _chunk_times(stream: IO[bytes], index: ChunkIndex, file: Path) -> Iterator[int]:
    at = index.chunk_start_offset
    try:
        if not max(index.uncompressed_size, index.chunk_length) <= _MAX_RECORD:
            raise ValueError(f"{index.uncompressed_size} bytes unpacked")
        stream.seek(at)
        head = stream.read(_HEAD)
        length = unpack_from("<Q", head, 1)[0]
        if head[0] != Opcode.CHUNK or length + _HEAD != index.chunk_length:
            raise ValueError("no chunk there")
        chunk = Chunk.read(ReadDataStream(BytesIO(stream.read(length))))
        if chunk.uncompressed_size != index.uncompressed_size:
            raise ValueError("its size is not the one in the index")
        inner, size = get_chunk_data_stream(chunk, validate_crc=True)
        data = inner.read(size)
    except Exception as error:  # foreign bytes
        reason = one_line(error) or type(error).__name__
        raise BagError(f"bag '{file}': chunk at offset {at} fails its CRC; refusing to score ({reason})") from error
    position = 0
    while position < len(data):
        opcode, length = unpack_from("<BQ", data, position)
        if opcode == Opcode.MESSAGE:
            yield unpack_from("<Q", data, position + _HEAD + 6)[0]
        position += _HEAD + length


def _verify_loose(stream: IO[bytes], order: Order) -> None:
    """Read a file without chunks."""
    stream.seek(0)
    reader = SeekingReader(stream, validate_crcs=True, record_size_limit=_MAX_RECORD)
    for _, _, message in reader.iter_messages(log_time_order=False):
        order.take(message.log_time)


def _verify_count(summary: Summary, order: Order, file: Path) -> None:
    told = summary.statistics.message_count if summary.statistics is not None else None
    if told is not None and told > order.messages:
        raise BagError(f"bag '{file}' holds {order.messages} messages, its summary says {told}: refusing to score")


def sqlite_contents(file: Path) -> Contents:
    """Return the topics of a sqlite3 file; raises BagError for one that cannot be read."""
    with _sqlite(file) as reader:
        found = Contents()
        for connection in reader.connections:
            found.types[connection.topic] = connection.msgtype
            found.counts[connection.topic] += connection.msgcount
        return found


def sqlite_messages(file: Path, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, log time and serialised message in the order of log time."""
    with _sqlite(file) as reader:
        wanted = [c for c in reader.connections if c.topic in topics]
        for connection, log_ns, data in reader.messages(connections=wanted) if wanted else ():
            if len(data) > _MAX_RECORD:
                raise BagError(f"bag '{file}': a message of {len(data)} bytes on {connection.topic}")
            yield connection.topic, log_ns, data


def verify_sqlite(file: Path, order: Order) -> None:
    """Look at the order of a file's messages."""
    try:
        uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            for (log_ns,) in connection.execute("SELECT timestamp FROM messages ORDER BY id"):
                order.take(log_ns)
    except sqlite3.Error as error:
        raise BagError(f"bag '{file}' cannot be read: {one_line(error)}") from error


@contextmanager
def _sqlite(file: Path) -> Iterator[Reader]:
    """Open a sqlite3 file with rosbags; whatever it raises becomes a BagError."""
    try:
        with Reader(file) as reader:
            yield reader
    except BagError:
        raise
    except Exception as error:  # foreign bytes
        raise BagError(f"bag '{file}' cannot be read: {one_line(error) or type(error).__name__}") from error
