"""Reading rosbag2 bags, ours and others': MCAP and sqlite3, split or whole, packed or not."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from smp_bringup import config
from smp_bringup.bag.episode import ROBOT_ATTACHMENT
from smp_bringup.bag.files import BagFiles, find_files
from smp_bringup.bag.messages import typestore
from smp_bringup.bag.storage import (
    Contents,
    Order,
    mcap_contents,
    mcap_messages,
    sqlite_contents,
    sqlite_messages,
    verify_mcap,
    verify_sqlite,
)
from smp_bringup.errors import BagError, one_line
from smp_bringup.robot import Robot

_MAX_MESSAGE = 1 << 28


@dataclass(frozen=True)
class Bag:
    """A bag whose topics are known; messages are read on demand."""

    path: Path
    """Folder or file, as given."""
    source: BagFiles
    types: Mapping[str, str]
    """Message type per topic."""
    counts: Mapping[str, int]
    """Messages per topic."""
    episode: Mapping[str, str] = field(default_factory=dict)
    """Task, outcome and verdict, where the bag was recorded by us."""
    attachments: Mapping[str, str] = field(default_factory=dict)
    """Robot, task, sync and safety settings by file name, where it was recorded by us."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in order."""
        return self.source.files

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the bag and yet no reason to refuse it."""
        return self.source.warnings

    @property
    def outcome(self) -> str:
        """ "success", "failure" or "unlabelled"."""
        return self.episode.get("outcome", "unlabelled")

    def robot(self) -> Robot:
        """Return the robot that the bag was recorded on.

        Raises:
            BagError: the bag carries no robot file.
        """
        if ROBOT_ATTACHMENT not in self.attachments:
            raise BagError(f"bag '{self.path}' carries no robot file: name the robot with --robot")
        where = f"{self.path.name}/{ROBOT_ATTACHMENT}"
        return config.build(Robot, config.parse_yaml(self.attachments[ROBOT_ATTACHMENT], where), where)

    def require(self, topics: Mapping[str, str]) -> None:
        """Raise BagError naming all topics (mapped to types) that the bag lacks, has empty, or with another type."""
        missing = [
            f"{topic} ({kind}{', no messages' if self.types.get(topic) == kind else ''})"
            for topic, kind in topics.items()
            if self.types.get(topic) != kind or not self.counts.get(topic)
        ]
        if missing:
            present = ", ".join(f"{t} ({k})" for t, k in sorted(self.types.items())) or "none"
            raise BagError(f"bag '{self.path}': missing topics: {', '.join(missing)}; present: {one_line(present)}")

    def verify(self) -> Order:
        """Test every checksum before anything is made of the bag; return how its log times are ordered.

        Raises:
            BagError: a checksum fails or a file is cut.
        """
        order = Order()
        for file in self.files:
            (verify_mcap if self.source.storage == "mcap" else verify_sqlite)(file, order)
        return order

    def raw_messages(self, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, log time [ns] and serialised message of the wanted topics, in order of log time."""
        reading = mcap_messages if self.source.storage == "mcap" else sqlite_messages
        merged = heapq.merge(*(reading(file, topics) for file in self.files), key=lambda item: item[1])
        for topic, log_ns, cdr in merged:
            yield topic, log_ns, self._unpacked(cdr) if self.source.packed_messages else cdr

    def messages(self, topics: set[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, log time [ns] and message of the wanted topics, in order of log time."""
        for topic, log_ns, cdr in self.raw_messages(topics):
            yield topic, log_ns, self._decode(topic, cdr)

    def _unpacked(self, cdr: bytes) -> bytes:
        try:
            with zstandard.ZstdDecompressor().stream_reader(cdr) as reader:
                return bytes(reader.read(_MAX_MESSAGE))
        except zstandard.ZstdError as error:
            raise BagError(f"bag '{self.path}': a message cannot be unpacked: {one_line(error)}") from error

    def _decode(self, topic: str, cdr: bytes) -> Any:
        try:
            return typestore().deserialize_cdr(cdr, self.types[topic])
        except Exception as error:  # foreign bytes
            kind = self.types[topic]
            raise BagError(f"bag '{self.path}': a message on {topic} is no {kind}: {one_line(error)}") from error


def open_bag(path: Path) -> Bag:
    """Return the bag at a folder or file.

    Raises:
        BagError: it does not exist, is empty, was not closed, or is not a bag.
    """
    source = find_files(path)
    whole = Contents()
    for file in source.files:
        part = (mcap_contents if source.storage == "mcap" else sqlite_contents)(file)
        whole.types |= part.types
        whole.counts.update(part.counts)
        whole.episode |= part.episode
        whole.attachments |= part.attachments
    texts = {name: data.decode("utf-8", "replace") for name, data in whole.attachments.items()}
    return Bag(path, source, whole.types, whole.counts, whole.episode, texts)
