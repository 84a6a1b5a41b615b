"""Reading rosbag2 bags, ours and others': MCAP and sqlite3, split or whole, packed or not."""

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from smp_bringup import config
from smp_bringup.bag.contents import Contents, Order
from smp_bringup.bag.episode import ROBOT_ATTACHMENT
from smp_bringup.bag.files import BagFiles, find_files, repair_command
from smp_bringup.bag.marks import read_marks
from smp_bringup.bag.mcap_file import mcap_contents, mcap_messages
from smp_bringup.bag.messages import deserialized
from smp_bringup.bag.records import Damaged, unpack_message
from smp_bringup.bag.sqlite_file import sqlite_contents, sqlite_messages, verify_sqlite
from smp_bringup.bag.verify import verify_mcap
from smp_bringup.errors import BagError, one_line
from smp_bringup.robot import Robot, build_robot
from smp_bringup.sync.checks import Refusal


class _Storage(NamedTuple):
    """How files of one kind are read."""

    contents: Callable[[Path], Contents]
    messages: Callable[[Path, Mapping[str, str]], Iterator[tuple[str, int, bytes]]]
    verify: Callable[[Path, Order], None]


_STORAGES = {
    "mcap": _Storage(mcap_contents, mcap_messages, verify_mcap),
    "sqlite3": _Storage(sqlite_contents, sqlite_messages, verify_sqlite),
}


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
    """Task, outcome and verdict, where the bag was recorded by us; and what was said of it later, see `marks`."""
    attachments: Mapping[str, str] = field(default_factory=dict)
    """Robot, task, sync and safety settings by file name, where it was recorded by us."""
    warnings: tuple[str, ...] = ()
    """What is odd about the bag and yet no reason to refuse it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in order."""
        return self.source.files

    @property
    def outcome(self) -> str:
        """ "success", "failure" or "unlabelled"."""
        return self.episode.get("outcome", "unlabelled")

    @property
    def text(self) -> str:
        """What the episode shows, in words: its text, or its task; empty where neither was said."""
        return self.episode.get("text") or self.episode.get("task", "")

    def robot(self) -> Robot:
        """Return the robot that the bag was recorded on.

        Raises:
            BagError: the bag carries no robot file.
        """
        if ROBOT_ATTACHMENT not in self.attachments:
            raise BagError(f"bag '{self.path}' carries no robot file: name the robot with --robot")
        where = f"{self.path.name}/{ROBOT_ATTACHMENT}"
        return build_robot(config.parse_yaml(self.attachments[ROBOT_ATTACHMENT], where), where)

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
            with _named(self.path, file):
                self._storage.verify(file, order)
        return order

    def raw_messages(self, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, log time [ns] and serialised message of the wanted topics, in order of log time."""
        wanted = {topic: self.types[topic] for topic in topics if topic in self.types}
        merged = heapq.merge(*(self._messages(file, wanted) for file in self.files), key=lambda item: item[1])
        yield from merged

    def _messages(self, file: Path, topics: Mapping[str, str]) -> Iterator[tuple[str, int, bytes]]:
        with _named(self.path, file):
            for topic, log_ns, data in self._storage.messages(file, topics):
                yield topic, log_ns, unpack_message(data)

    @property
    def _storage(self) -> _Storage:
        return _STORAGES[self.source.storage]

    def messages(
        self, topics: set[str], refuse: Callable[[str, str], None] = lambda topic, cause: None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, log time [ns] and message of the wanted topics, in order of log time.

        Args:
            topics: that are wanted.
            refuse: gets topic and cause of each message that is none of its type; it is left out, as on the robot.
        """
        for topic, log_ns, cdr in self.raw_messages(topics):
            try:
                message = deserialized(cdr, self.types[topic])
            except Refusal as refusal:
                refuse(topic, str(refusal))
                continue
            yield topic, log_ns, message


@contextmanager
def _named(bag: Path, file: Path) -> Iterator[None]:
    """Say of what is damaged in which file it is, and what to do."""
    try:
        yield
    except Damaged as error:
        raise BagError(f"bag '{file}' is damaged: {one_line(error)}. Run: {repair_command(bag)}") from error
    except OSError as error:
        raise BagError(f"bag '{file}' cannot be read: {error.strerror}") from error


def open_bag(path: Path) -> Bag:
    """Return the bag at a folder or file.

    Raises:
        BagError: it does not exist, is empty, was not closed, or is not a bag.
    """
    source = find_files(path)
    whole = Contents()
    for file in source.files:
        with _named(path, file):
            part = _STORAGES[source.storage].contents(file)
        whole.take(part)
    if whole.ros1:
        raise BagError(f"bag '{path}' holds messages of ROS 1: convert it with rosbags-convert")
    types = whole.types
    counts = {topic: whole.kinds[topic][kind] for topic, kind in types.items()}
    differs, lacks = source.told.against(whole.kinds)
    source = replace(
        source,
        warnings=(*source.warnings, *(f"bag '{path}': {text}" for text in differs)),
        lacking=(*source.lacking, *lacks, *whole.others()),
    )
    warnings = (*source.warnings, *(f"bag '{path}': {text}" for text in source.lacking))
    episode = {**whole.episode, **read_marks(path)}
    texts = {name: data.decode("utf-8", "replace") for name, data in whole.attachments.items()}
    return Bag(path, source, types, counts, episode, texts, warnings)
