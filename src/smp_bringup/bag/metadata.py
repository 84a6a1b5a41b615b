"""metadata.yaml in the form of rosbag2, version 9."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

METADATA = "metadata.yaml"
INFORMATION = "rosbag2_bagfile_information"


class TopicCount(NamedTuple):
    """One topic of a bag."""

    name: str
    type: str
    type_hash: str
    messages: int


def write_metadata(
    folder: Path, mcap: str, topics: Sequence[TopicCount], span_ns: tuple[int, int], custom: Mapping[str, str]
) -> None:
    """Write the metadata of a bag of one MCAP file; `span_ns` is first and last log time."""
    count = sum(topic.messages for topic in topics)
    times: dict[str, Any] = {
        "duration": {"nanoseconds": span_ns[1] - span_ns[0]},
        "starting_time": {"nanoseconds_since_epoch": span_ns[0]},
        "message_count": count,
    }
    information = {
        "version": 9,
        "storage_identifier": "mcap",
        **times,
        "topics_with_message_count": [_topic(topic) for topic in topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [mcap],
        "files": [{"path": mcap, **{key: dict(v) if isinstance(v, dict) else v for key, v in times.items()}}],
        "custom_data": dict(custom),
        "ros_distro": "kilted",
    }
    (folder / METADATA).write_text(yaml.safe_dump({INFORMATION: information}, sort_keys=False), encoding="utf-8")


def _topic(topic: TopicCount) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": "cdr",
            "offered_qos_profiles": [],
            "type_description_hash": topic.type_hash,
        },
        "message_count": topic.messages,
    }
