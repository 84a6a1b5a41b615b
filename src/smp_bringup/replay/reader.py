"""Reading rosbag2 bags: MCAP with every CRC checked, sqlite3 through rosbags; nothing in a bag is trusted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.reader import make_reader
from rosbags.rosbag2 import Reader, ReaderError

from smp_bringup import config
from smp_bringup.errors import BagError, one_line
from smp_bringup.record.messages import typestore
from smp_bringup.record.writer import EPISODE_METADATA, ROBOT_ATTACHMENT
from smp_bringup.robot import Robot

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Bag:
    """A bag whose topics are known; messages are read on demand."""

    path: Path
    """Folder or file, as given."""
    files: tuple[Path, ...]
    types: dict[str, str]
    """Message type per topic."""
    episode: dict[str, str] = field(default_factory=dict)
    """Task and outcome, where the bag was recorded by us."""
    robot_yaml: str | None = None

    @property
    def outcome(self) -> str:
        """ "success", "failure" or "unlabelled"."""
        return self.episode.get("outcome", "unlabelled")

    def robot(self) -> Robot:
        """Return the robot that the bag was recorded on.

        Raises:
            BagError: the bag carries no robot file.
        """
        if self.robot_yaml is None:
            raise BagError(f"bag '{self.path}' carries no robot file: name the robot with --robot")
        where = f"{self.path.name}/{ROBOT_ATTACHMENT}"
        return config.build(Robot, config.parse_yaml(self.robot_yaml, where), where)

    def require(self, topics: dict[str, str]) -> None:
        """Raise BagError naming all topics (mapped to types) that the bag lacks or has with another type."""
        missing = [f"{t} ({kind})" for t, kind in topics.items() if self.types.get(t) != kind]
        if missing:
            present = ", ".join(f"{t} ({k})" for t, k in sorted(self.types.items())) or "none"
            raise BagError(f"bag '{self.path}': missing topics: {', '.join(missing)}; present: {one_line(present)}")

    def messages(self, topics: set[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, log time [ns] and message of the wanted topics, in order of log time."""
        for file in self.files:
            reading = _mcap_messages if file.suffix == ".mcap" else _sqlite_messages
            for topic, log_ns, cdr in reading(file, self.path, topics):
                yield topic, log_ns, self._decode(topic, cdr)

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
    files = _files(path)
    for file in files:
        _check_magic(file)
    if files[0].suffix == ".mcap":
        return _open_mcap(path, files)
    return _open_sqlite(path, files)


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise BagError(f"bag '{path}' does not exist")
    files = sorted(p for p in path.iterdir() if p.suffix in {".mcap", ".db3"})
    if not files:
        raise BagError(f"bag '{path}' holds no .mcap or .db3 file")
    if any(file.is_symlink() for file in files):
        raise BagError(f"bag '{path}': links are not followed; copy the files into the folder")
    return tuple(files)


def _check_magic(file: Path) -> None:
    with file.open("rb") as stream:
        head = stream.read(16)
    if not head:
        raise BagError(f"bag '{file}' is empty (0 bytes): nothing was flushed before the recorder stopped")
    wanted = _MCAP_MAGIC if file.suffix == ".mcap" else _SQLITE_MAGIC
    if not head.startswith(wanted):
        raise BagError(f"bag '{file}' is not an MCAP or SQLite3 bag (starts with {head[:8].hex()})")
    if file.suffix == ".mcap":
        with file.open("rb") as stream:
            stream.seek(-len(_MCAP_MAGIC), 2)
            if stream.read() != _MCAP_MAGIC:
                raise BagError(f"bag '{file}' was not closed (no footer): its recorder was stopped half-way")


def _open_mcap(path: Path, files: tuple[Path, ...]) -> Bag:
    types: dict[str, str] = {}
    episode: dict[str, str] = {}
    robot_yaml = None
    for file in files:
        try:
            with file.open("rb") as stream:
                reader = make_reader(stream, validate_crcs=True)
                summary = reader.get_summary()
                if summary is None:
                    raise BagError(f"bag '{file}' has no summary: its recorder was stopped half-way")
                types |= {c.topic: summary.schemas[c.schema_id].name for c in summary.channels.values()}
                for record in reader.iter_metadata():
                    episode |= record.metadata if record.name == EPISODE_METADATA else {}
                for attachment in reader.iter_attachments():
                    if attachment.name == ROBOT_ATTACHMENT:
                        robot_yaml = attachment.data.decode("utf-8")
        except BagError:
            raise
        except Exception as error:  # foreign bytes: the libraries below raise whatever they trip over
            raise BagError(f"bag '{file}' cannot be read: {one_line(error)}") from error
    return Bag(path, files, types, episode, robot_yaml)


def _open_sqlite(path: Path, files: tuple[Path, ...]) -> Bag:
    try:
        with Reader(path if path.is_dir() else path.parent) as reader:
            types = {c.topic: c.msgtype for c in reader.connections}
    except ReaderError as error:
        raise BagError(f"bag '{path}' cannot be read: {one_line(error)}") from error
    return Bag(path, files[:1], types)


def _mcap_messages(file: Path, bag: Path, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
    try:
        with file.open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True)
            for _, channel, message in reader.iter_messages(topics=list(topics)):
                yield channel.topic, message.log_time, message.data
    except Exception as error:  # foreign bytes
        reason = one_line(error) or type(error).__name__
        raise BagError(f"bag '{file}': a chunk fails its CRC or is cut; refusing to use it ({reason})") from error


def _sqlite_messages(file: Path, bag: Path, topics: set[str]) -> Iterator[tuple[str, int, bytes]]:
    with Reader(bag if bag.is_dir() else bag.parent) as reader:
        wanted = [c for c in reader.connections if c.topic in topics]
        for connection, log_ns, data in reader.messages(connections=wanted):
            yield connection.topic, log_ns, data
