"""A broken bag made whole again, with an exact account of what is missing."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Message
from mcap.writer import CompressionType, Writer

from smp_bringup.bag.episode import EPISODE_METADATA
from smp_bringup.bag.metadata import TopicCount, write_metadata
from smp_bringup.bag.salvage import Salvage, salvage
from smp_bringup.bag.writer import PARTIAL
from smp_bringup.errors import BagError, one_line


@dataclass(frozen=True)
class TopicAccount:
    """What became of one topic."""

    topic: str
    recovered: int
    missing: int
    """Gaps in the count that the recorder gave every message that arrived."""
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class RepairReport:
    """What a repair recovered and what it did not."""

    folder: Path
    topics: tuple[TopicAccount, ...]
    damage: tuple[str, ...]
    closed: bool
    """Whether the broken file had been closed; if not, messages after its last flush are gone uncounted."""

    @property
    def recovered(self) -> int:
        """Messages in the repaired bag."""
        return sum(topic.recovered for topic in self.topics)

    @property
    def missing(self) -> int:
        """Messages that are known to be lost."""
        return sum(topic.missing for topic in self.topics)


def repair(path: Path, out: Path | None = None) -> RepairReport:
    """Write what is readable in a bag (folder or MCAP file) as a new bag; the broken one stays as it is.

    Args:
        path: folder, also one that a killed recorder left under its temporary name, or file.
        out: folder of the repaired bag; beside the broken one if not given.

    Raises:
        BagError: there is nothing to repair, or `out` exists.
    """
    file = _mcap_file(path)
    base = path if path.is_dir() else path.with_suffix("")
    name = base.name
    target = out or base.with_name(name.removesuffix(PARTIAL) + ("" if name.endswith(PARTIAL) else "_repaired"))
    if target.exists():
        raise BagError(f"'{target}' exists already: choose another folder with --out")
    found, messages = salvage(file)
    unnamed = {m.channel_id for m in messages} - found.channels.keys()
    damage = [one_line(text) for text in found.damage]
    if unnamed:
        count = sum(m.channel_id in unnamed for m in messages)
        damage.append(f"{count} messages are on {len(unnamed)} topics whose names are lost")
        messages = [m for m in messages if m.channel_id not in unnamed]
    if not messages:
        raise BagError(f"bag '{file}': not one message can be recovered")
    topics = _account(found, messages)
    report = RepairReport(target, topics, tuple(damage), found.closed)
    _write(found, messages, report)
    return report


def _mcap_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob("*.mcap")) if path.is_dir() else []
    if len(files) != 1:
        raise BagError(f"'{path}' holds {len(files)} MCAP files: name the one to repair")
    return files[0]


def _account(found: Salvage, messages: list[Message]) -> tuple[TopicAccount, ...]:
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_topic[found.channels[message.channel_id].topic].append(message)
    rows = []
    for topic, mine in sorted(by_topic.items()):
        numbers = {m.sequence for m in mine}
        counted = len(numbers) > 1  # other recorders leave the number at zero
        missing = max(numbers) + 1 - len(numbers) if counted else 0
        times = [m.log_time for m in mine]
        rows.append(TopicAccount(topic, len(mine), missing, min(times), max(times)))
    return tuple(rows)


def _write(found: Salvage, messages: list[Message], report: RepairReport) -> None:
    episode = {"outcome": "unlabelled", **found.metadata.get(EPISODE_METADATA, {})}
    if "task" not in episode:
        episode |= {"task": report.folder.parent.name}
    episode["repaired"] = json.dumps({"missing": report.missing, "damage": report.damage, "closed": report.closed})
    report.folder.mkdir(parents=True)
    name = f"{report.folder.name}_0.mcap"
    counts: dict[int, int] = defaultdict(int)
    with (report.folder / name).open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.ZSTD)
        writer.start(profile="ros2", library="smp_bringup")
        for a in found.attachments.values():
            writer.add_attachment(a.create_time, a.log_time, a.name, a.media_type, a.data)
        ids = {}
        for channel in found.channels.values():
            schema = found.schemas[channel.schema_id]
            written = writer.register_schema(schema.name, schema.encoding, schema.data)
            ids[channel.id] = writer.register_channel(
                channel.topic, channel.message_encoding, written, channel.metadata
            )
        for m in messages:
            writer.add_message(ids[m.channel_id], m.log_time, m.data, m.publish_time, m.sequence)
            counts[m.channel_id] += 1
        writer.add_metadata(EPISODE_METADATA, episode)
        writer.finish()
    topics = [
        TopicCount(c.topic, found.schemas[c.schema_id].name, c.metadata.get("topic_type_hash", ""), counts[c.id])
        for c in found.channels.values()
    ]
    times = [m.log_time for m in messages]
    write_metadata(report.folder, name, topics, (min(times), max(times)), episode)
