"""A broken bag made whole again, with an exact account of what is missing."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from smp_bringup.bag.disk import sync_folder
from smp_bringup.bag.episode import EPISODE_METADATA, REPAIRED
from smp_bringup.bag.files import BROKEN, PARTIAL, REPAIRING, Scratch, folder_files, folder_metadata
from smp_bringup.bag.formats import folder_format
from smp_bringup.bag.metadata import METADATA, TopicCount, write_metadata
from smp_bringup.bag.records import Budget, Damaged, Message, unpack_message
from smp_bringup.bag.recovered import Recovered, Topic
from smp_bringup.bag.salvage import salvage_mcap
from smp_bringup.bag.salvage_sqlite import salvage_sqlite
from smp_bringup.bag.sqlite_file import MAGIC as SQLITE_MAGIC
from smp_bringup.bag.told import Told
from smp_bringup.documents import open_regular
from smp_bringup.errors import BagError, one_line

_NAMED = 20
"""Damaged places that a report names one by one."""


@dataclass(frozen=True)
class TopicAccount:
    """What became of one topic."""

    topic: str
    recovered: int
    missing: int
    """What the bag says it had and has no more: by its summary, and by the number of every message of ours."""
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class RepairReport:
    """What a repair recovered and what it did not."""

    folder: Path
    topics: tuple[TopicAccount, ...]
    damage: tuple[str, ...]
    """Where the bag is damaged; of very many places, the first."""
    places: int
    """How many they are."""
    closed: bool
    """Whether every broken file had been closed; if not, messages after its last flush are gone uncounted."""

    @property
    def recovered(self) -> int:
        """Messages in the repaired bag."""
        return sum(topic.recovered for topic in self.topics)

    @property
    def missing(self) -> int:
        """Messages that are known to be lost."""
        return sum(topic.missing for topic in self.topics)


def repair(path: Path, out: Path | None = None, replace: bool = False) -> RepairReport:
    """Write what is readable in a bag as a new bag; no file of the broken one is changed.

    Args:
        path: folder, also one that a killed recorder left under its temporary name, or file.
        out: folder of the repaired bag; beside the broken one if not given.
        replace: whether the repaired bag takes the name of the broken one, which is kept with `.broken` behind it.

    Raises:
        BagError: there is nothing to repair, or the repaired bag cannot be written.
    """
    path = path if path.name not in ("", "..") else path.resolve()
    files, scratch = _files(path), Scratch()
    told, unusable = folder_metadata(path) if path.is_dir() else ({}, "")
    target = _target(path, out, replace)
    temporary = target.with_name(target.name + REPAIRING)
    sources = [_recovered(file, scratch) for file in files]
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        said = [text for text in (unusable, _missing_files(told, files)) if text]
        budget = Budget(sum(file.stat().st_size for file in files))
        report = _Copy(sources, target, [*said, *scratch.lost], Told.of(told).counts, budget).write(temporary)
        if replace:
            path.rename(path.with_name(path.name + BROKEN))
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise BagError(f"'{target}' cannot be written: {error.strerror}") from error
    except BagError as error:
        raise BagError(f"bag '{path}': {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def _files(path: Path) -> list[Path]:
    try:
        files = [path] if path.is_file() else folder_files(path) if path.is_dir() else []
    except (OSError, ValueError) as error:
        raise BagError(f"'{path}' cannot be read: {one_line(error)}") from error
    if any(file.is_symlink() for file in files):
        raise BagError(f"bag '{path}': links are not followed; copy the files into the folder")
    if not files:
        what = f"it holds {folder_format(path)}" if path.is_dir() and folder_format(path) else "nothing to repair"
        raise BagError(f"'{path}' holds no .mcap or .db3 file: {what}" if path.exists() else f"'{path}' does not exist")
    return files


def _target(path: Path, out: Path | None, replace: bool) -> Path:
    if replace:
        if out is not None or not path.is_dir() or path.name.endswith(PARTIAL):
            raise BagError("--replace is for the folder of a bag, without --out")
        broken = path.with_name(path.name + BROKEN)
        if broken.exists():
            raise BagError(f"'{broken}' exists already: remove it, or choose another folder with --out")
        return path
    if out is None and path.is_file() and (path.parent / METADATA).exists():
        raise BagError(f"'{path}' is a file of the bag '{path.parent}': repair that, or name a folder with --out")
    name = path.name if path.is_dir() else path.name.removesuffix(".zstd").removesuffix(".mcap").removesuffix(".db3")
    target = out or path.with_name(name.removesuffix(PARTIAL) + ("" if name.endswith(PARTIAL) else "_repaired"))
    if target.exists():
        raise BagError(f"'{target}' exists already: choose another folder with --out")
    return target


def _recovered(file: Path, scratch: Scratch) -> Recovered:
    """Return what can be had of a file, which may be nothing: another file of the bag may be whole."""
    try:
        usable = scratch.ready(file, partly=True)
        with open_regular(usable) as stream:
            sqlite = stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
        return salvage_sqlite(usable) if sqlite else salvage_mcap(usable)
    except OSError as error:
        raise BagError(f"'{file}' cannot be read: {error.strerror}") from error
    except Damaged as error:
        return Recovered({}, lambda: iter(()), (f"{file.name} {error}",), closed=False)


def _missing_files(told: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Return a sentence on the files that metadata.yaml lists and that are not there."""
    there = {file.name for file in files}
    listed = [Path(name).name for name in told.get("relative_file_paths", ())]
    missing = ", ".join(one_line(name) for name in listed if name not in there)
    return f"{METADATA} lists {missing}, which is not there" if missing else ""


@dataclass
class _Account:
    """What was copied of one topic of one file."""

    recovered: int = 0
    first_ns: int = 0
    last_ns: int = 0
    numbers: set[int] = field(default_factory=set)

    def take(self, message: Message) -> None:
        at = message.log_ns
        self.first_ns, self.last_ns = (min(self.first_ns, at), max(self.last_ns, at)) if self.recovered else (at, at)
        self.recovered += 1
        self.numbers.add(message.sequence)


class _Copy:
    """Copies what was recovered of the files of a bag into one."""

    def __init__(
        self,
        sources: Sequence[Recovered],
        target: Path,
        damage: Sequence[str],
        told: Mapping[str, int],
        budget: Budget,
    ) -> None:
        """Take what was recovered, and what is known of the whole bag: its damage, and messages per topic."""
        self._sources, self._target, self._told = sources, target, Counter(told)
        self._damage = [one_line(text) for text in (*damage, *(text for s in sources for text in s.damage))]
        self._budget = budget
        self._accounts: dict[tuple[str, int], _Account] = {}
        """By topic and file."""
        self._topics: dict[str, Topic] = {}

    def write(self, folder: Path) -> RepairReport:
        """Write the bag; raises BagError where there is nothing to write."""
        name = f"{self._target.name}_0.mcap"
        with (folder / name).open("wb") as stream:
            writer = Writer(stream, compression=CompressionType.ZSTD, enable_data_crcs=True)
            writer.start(profile="ros2", library="smp_bringup")
            for source in self._sources:
                for a in source.attachments.values():
                    writer.add_attachment(a.create_time, a.log_time, a.name, a.media_type, a.data)
            self._messages(writer)
            if not self._accounts:
                raise BagError(f"not one message can be recovered: {'; '.join(self._named()) or 'there is none'}")
            report = RepairReport(
                self._target,
                self._rows(),
                self._named(),
                len(self._damage),
                all(source.closed for source in self._sources),
            )
            metadata = self._metadata(report)
            for title, values in metadata.items():
                writer.add_metadata(title, values)
            writer.finish()
            stream.flush()
            os.fsync(stream.fileno())
        span = min(a.first_ns for a in self._accounts.values()), max(a.last_ns for a in self._accounts.values())
        counts = [
            TopicCount(row.topic, topic.type, topic.type_hash, row.recovered)
            for row in report.topics
            if (topic := self._topics.get(row.topic)) and topic.type
        ]
        write_metadata(folder, name, counts, span, metadata[EPISODE_METADATA])
        return report

    def _messages(self, writer: Writer) -> None:
        ids: dict[Topic, int] = {}
        schemas: dict[tuple[str, bytes], int] = {}
        lost: Counter[str] = Counter()
        for i, source in enumerate(self._sources):
            for message in source.messages():
                topic = source.topics.get(message.channel)
                try:
                    data = unpack_message(message.data, self._budget.spend)
                except Damaged:
                    lost["cannot be unpacked"] += 1
                    continue
                if topic is None:
                    lost["are on topics whose names are lost"] += 1
                    continue
                if topic not in ids:
                    ids[topic] = _register(writer, topic, schemas)
                    self._topics[topic.name] = topic
                writer.add_message(ids[topic], message.log_ns, data, message.publish_ns, message.sequence)
                self._accounts.setdefault((topic.name, i), _Account()).take(message)
        self._damage += [f"{count} messages {what}" for what, count in lost.items()]

    def _named(self) -> tuple[str, ...]:
        rest = len(self._damage) - _NAMED
        return (*self._damage[:_NAMED], *([f"and {rest} places more"] if rest > 0 else []))

    def _rows(self) -> tuple[TopicAccount, ...]:
        told = {name for source in self._sources for name, count in source.told.items() if count}
        return tuple(self._row(name) for name in sorted(self._topics.keys() | told | self._told.keys()))

    def _row(self, name: str) -> TopicAccount:
        missing, found = 0, [a for (topic, _), a in self._accounts.items() if topic == name]
        for i, source in enumerate(self._sources):
            account = self._accounts.get((name, i), _Account())
            gaps = max(account.numbers) + 1 - len(account.numbers) if source.numbered and account.numbers else 0
            missing += max(gaps, source.told[name] - account.recovered, 0)
        first_ns, last_ns = min((a.first_ns for a in found), default=0), max((a.last_ns for a in found), default=0)
        recovered = sum(a.recovered for a in found)
        return TopicAccount(name, recovered, max(missing, self._told[name] - recovered), first_ns, last_ns)

    def _metadata(self, report: RepairReport) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for source in self._sources:
            found |= source.metadata
        repaired = json.dumps(
            {"missing": report.missing, "damage": report.damage, "places": report.places, "closed": report.closed}
        )
        known = {"outcome": "unlabelled", "task": one_line(self._target.parent.name), **found.get(EPISODE_METADATA, {})}
        return {**found, EPISODE_METADATA: {**known, REPAIRED: repaired}}


def _register(writer: Writer, topic: Topic, schemas: dict[tuple[str, bytes], int]) -> int:
    """Return the number of a topic's channel in the new file."""
    schema = 0
    if topic.type:
        key = topic.type, topic.schema
        if key not in schemas:
            schemas[key] = writer.register_schema(topic.type, topic.schema_encoding, topic.schema)
        schema = schemas[key]
    metadata = {"offered_qos_profiles": "", "topic_type_hash": topic.type_hash}
    return int(writer.register_channel(topic.name, topic.encoding, schema, metadata))
