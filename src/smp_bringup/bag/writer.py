"""One episode as a rosbag2 folder: an MCAP file and the metadata.yaml that rosbag2 writes.

The bag carries robot, task, sync and safety settings from its first chunk on, so nothing else
is needed to train from it. It is written under a temporary name and takes its own when it is whole.
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mcap.writer import CompressionType, Writer

from smp_bringup.bag.disk import MIB, ReservedFile, sync_folder
from smp_bringup.bag.episode import EPISODE_METADATA, OUTCOMES, attachments, instruction
from smp_bringup.bag.files import PARTIAL
from smp_bringup.bag.messages import definition
from smp_bringup.bag.metadata import TopicCount, write_metadata
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.errors import BagError
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig, load_safety


class BagWriter:
    """Writes serialised messages; `close` names the outcome, `discard` removes everything."""

    def __init__(
        self,
        folder: Path,
        robot: Robot,
        task: str,
        safety: SafetyConfig | None = None,
        storage: StorageConfig | None = None,
    ) -> None:
        """Open a new bag.

        Args:
            folder: that it will have.
            robot: that is recorded.
            task: name of one of config/tasks, or the task in words.
            safety: settings of the command core; the shipped ones, if None.
            storage: None where the episode can be made again: nothing is set aside or synced.

        Raises:
            BagError: the folder exists, was left half-written, or cannot be made.
        """
        self._folder, self._partial = folder, folder.with_name(folder.name + PARTIAL)
        if folder.exists():
            raise BagError(f"bag '{folder}' exists already: choose another folder or remove it")
        self._durable = storage is not None
        if not self._durable:
            shutil.rmtree(self._partial, ignore_errors=True)
        if self._partial.exists():
            raise BagError(f"'{self._partial}' was left half-written: smp bag repair it, or remove it")
        self._task, self._attachments = task, attachments(robot, task, safety or load_safety("default"))
        chunk = (storage or StorageConfig()).chunk_kib * 1024
        try:
            self._partial.mkdir(parents=True)
            self._file = ReservedFile(
                self._partial / self._mcap_name, round(storage.reserve_mib * MIB) if storage else 0
            )
        except OSError as error:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise BagError(f"bag '{folder}' cannot be made: {error.strerror}") from error
        self._writer = Writer(self._file, chunk_size=chunk, compression=CompressionType.ZSTD, enable_data_crcs=True)
        self._writer.start(profile="ros2", library="smp_bringup")
        self._channels: dict[str, tuple[int, str]] = {}
        self._counts: Counter[str] = Counter()
        self._first_ns, self._last_ns = 0, 0

    @property
    def _mcap_name(self) -> str:
        return f"{self._folder.name}_0.mcap"

    @property
    def folder(self) -> Path:
        """The folder that the bag will have once it is whole."""
        return self._folder

    @property
    def messages(self) -> int:
        """Messages written so far."""
        return sum(self._counts.values())

    @property
    def written_bytes(self) -> int:
        """Bytes that have gone to the disk."""
        return self._file.tell()

    @property
    def full(self) -> bool:
        """Whether the disk is full: close now."""
        return self._file.full

    def write(self, topic: str, msgtype: str, log_ns: int, cdr: bytes, sequence: int | None = None) -> None:
        """Write one message received at `log_ns`; `msgtype` is like "sensor_msgs/msg/Image".

        `sequence` counts what arrived on the topic, so that a dropped message leaves a gap.
        """
        if not self._channels:
            self._begin(log_ns)
        if topic not in self._channels:
            self._channels[topic] = (self._register(topic, msgtype), msgtype)
        number = self._counts[topic] if sequence is None else sequence
        self._writer.add_message(self._channels[topic][0], log_ns, cdr, log_ns, number)
        self._first_ns, self._last_ns = min(self._first_ns, log_ns), max(self._last_ns, log_ns)
        self._counts[topic] += 1

    def flush(self) -> None:
        """Hand everything to the system: a kill cannot take it back."""
        self._writer.flush()

    def sync(self) -> None:
        """Wait until the disk has what was flushed: a power cut cannot take it back."""
        self._file.sync()

    def close(self, success: bool | None, notes: Mapping[str, str] | None = None) -> Path:
        """Finish the bag and give it its name; `success` is None where nobody said. Returns the folder.

        Args:
            success: outcome of the episode.
            notes: more of its metadata.
        """
        if not self._channels:
            self._begin(0)
        words = {"task": self._task, "text": instruction(self._task, self._attachments)}
        episode = {**words, "outcome": OUTCOMES[success], **(notes or {})}
        self._writer.add_metadata(EPISODE_METADATA, episode)
        self._writer.finish()
        if self._durable:
            self._file.sync()
        self._file.close()
        topics = [
            TopicCount(topic, kind, definition(kind)[1], self._counts[topic])
            for topic, (_, kind) in self._channels.items()
        ]
        write_metadata(self._partial, self._mcap_name, topics, (self._first_ns, self._last_ns), episode)
        self._partial.rename(self._folder)
        if self._durable:
            sync_folder(self._folder.parent)
        return self._folder

    def abandon(self) -> Path:
        """Leave what is on the disk under its temporary name, for repair; returns that folder."""
        self._file.close()
        return self._partial

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _begin(self, log_ns: int) -> None:
        """Write what the bag carries before its first message: a bag cut short has it too."""
        self._first_ns = self._last_ns = log_ns
        for name, text in self._attachments.items():
            self._writer.add_attachment(log_ns, log_ns, name, "application/yaml", text.encode())

    def _register(self, topic: str, msgtype: str) -> int:
        text, type_hash = definition(msgtype)
        schema = self._writer.register_schema(name=msgtype, encoding="ros2msg", data=text.encode())
        metadata = {"offered_qos_profiles": "", "topic_type_hash": type_hash}
        return int(self._writer.register_channel(topic, "cdr", schema, metadata))
