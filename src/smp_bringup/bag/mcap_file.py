"""Reading an MCAP file in all forms that the format allows: with or without chunks, summary, statistics or schemas.

Where everything stands is seen from the heads of the records, not from the indexes, which a writer may leave out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import IO, Any

from mcap.opcode import Opcode
from mcap.records import Channel, Schema, Statistics

from smp_bringup.bag.contents import Contents
from smp_bringup.bag.episode import EPISODE_METADATA
from smp_bringup.bag.records import (
    CHUNK_HEAD,
    HEAD,
    MESSAGE_HEAD,
    Damaged,
    Head,
    Message,
    heads,
    read_chunk,
    read_message,
    read_record,
    split,
    unpack,
)
from smp_bringup.documents import open_regular

_FOREIGN = ("ros1", "protobuf", "flatbuffer", "cbor", "msgpack", "json")
"""Encodings of messages that MCAP names beside cdr."""


@dataclass
class _Layout:
    """Where everything stands in a file."""

    stream: IO[bytes]
    size: int
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    """Messages per channel."""
    places: list[tuple[int, int, Head]] = field(default_factory=list)
    """First log time [ns], channel (-1: any) and head of every chunk, and of every message outside of one."""
    contents: Contents = field(default_factory=Contents)
    statistics: Statistics | None = None

    def read(self) -> None:
        """Fill this from the file; look into chunks only where the summary leaves something out."""
        for head in heads(self.stream, self.size):
            if head.opcode in _READERS:
                _READERS[head.opcode](self, head)
        if self._complete() and self.statistics is not None:
            self.counts = Counter(self.statistics.channel_message_counts)
        else:
            self._look_into_chunks()

    def _complete(self) -> bool:
        told = self.statistics
        named = all(c.schema_id == 0 or c.schema_id in self.schemas for c in self.channels.values())
        if told is None or not named or told.channel_count != len(self.channels):
            return False
        return bool(sum(told.channel_message_counts.values()) == told.message_count)

    def _look_into_chunks(self) -> None:
        for _, _, head in self.places:
            if head.opcode != Opcode.CHUNK:
                continue
            for opcode, body in split(unpack(read_chunk(head.read(self.stream)))):
                if opcode == Opcode.MESSAGE:
                    self.counts[read_message(body).channel] += 1
                elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                    self.take(opcode, read_record(opcode, body))

    def take(self, opcode: int, record: Any) -> None:
        """Take a record of the mcap library."""
        if opcode == Opcode.SCHEMA:
            self.schemas[record.id] = record
        elif opcode == Opcode.CHANNEL:
            self.channels[record.id] = record
        elif opcode == Opcode.STATISTICS:
            self.statistics = record
        elif opcode == Opcode.ATTACHMENT:
            self.contents.attachments[record.name] = record.data
        elif opcode == Opcode.METADATA and record.name == EPISODE_METADATA:
            self.contents.episode |= record.metadata
        elif opcode == Opcode.HEADER:
            self.contents.ros1 = record.profile == "ros1"

    def messages_at(self, head: Head) -> Iterator[Message]:
        """Yield the messages of a chunk, or the one message that stands there."""
        body = head.read(self.stream)
        if head.opcode == Opcode.MESSAGE:
            yield read_message(body)
            return
        for opcode, inner in split(unpack(read_chunk(body))):
            if opcode == Opcode.MESSAGE:
                yield read_message(inner)


def _record(layout: _Layout, head: Head) -> None:
    layout.take(head.opcode, read_record(head.opcode, head.read(layout.stream)))


def _chunk(layout: _Layout, head: Head) -> None:
    layout.places.append((_peek(layout, head, CHUNK_HEAD)[0], -1, head))


def _message(layout: _Layout, head: Head) -> None:
    channel, _, log_ns, _ = _peek(layout, head, MESSAGE_HEAD)
    layout.places.append((log_ns, channel, head))
    layout.counts[channel] += 1


def _peek(layout: _Layout, head: Head, form: Any) -> tuple[int, ...]:
    """Return the first fields of a record; the stream stands behind its head."""
    if head.length < form.size:
        raise Damaged(f"the record at byte {head.offset} has {head.length} bytes")
    layout.stream.seek(head.offset + HEAD.size)
    return tuple(form.unpack(layout.stream.read(form.size)))


_READERS = {
    Opcode.HEADER: _record,
    Opcode.SCHEMA: _record,
    Opcode.CHANNEL: _record,
    Opcode.STATISTICS: _record,
    Opcode.ATTACHMENT: _record,
    Opcode.METADATA: _record,
    Opcode.CHUNK: _chunk,
    Opcode.MESSAGE: _message,
}


def mcap_contents(file: Path) -> Contents:
    """Return topics, episode and attachments of a file; raises Damaged."""
    with open_regular(file) as stream:
        layout = _Layout(stream, file.stat().st_size)
        layout.read()
    found = layout.contents
    for channel in layout.channels.values():
        if channel.schema_id in layout.schemas:  # 0: a channel without a schema, whose messages only its writer knows
            found.add(channel.topic, _kind(channel, layout.schemas), layout.counts[channel.id])
    encodings = {channel.message_encoding for channel in layout.channels.values()}
    found.ros1 |= encodings == {"ros1"}
    return found


def _kind(channel: Channel, schemas: Mapping[int, Schema]) -> str:
    """Return the type of a channel's messages; in another encoding than that of ROS 2 they are of another one."""
    name, encoding = schemas[channel.schema_id].name, channel.message_encoding
    return f"{name} ({encoding})" if encoding in _FOREIGN else str(name)


def mcap_messages(file: Path, topics: Mapping[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, log time and serialised message of topics (by type) in the order of log time; raises Damaged."""
    with open_regular(file) as stream:
        layout = _Layout(stream, file.stat().st_size)
        layout.read()
        wanted = {
            channel.id: channel.topic
            for channel in layout.channels.values()
            if channel.schema_id in layout.schemas and topics.get(channel.topic) == _kind(channel, layout.schemas)
        }
        number = count()
        waiting: list[tuple[int, int, Message]] = []
        for start_ns, channel, head in sorted(layout.places, key=lambda place: place[0]):
            if channel >= 0 and channel not in wanted:
                continue
            while waiting and waiting[0][0] <= start_ns:
                message = heappop(waiting)[2]
                yield wanted[message.channel], message.log_ns, message.data
            for message in layout.messages_at(head):
                if message.channel in wanted:
                    heappush(waiting, (message.log_ns, next(number), message))
        while waiting:
            message = heappop(waiting)[2]
            yield wanted[message.channel], message.log_ns, message.data
