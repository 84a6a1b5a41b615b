"""One episode as a rosbag2 folder: an MCAP file and the metadata.yaml that rosbag2 writes.

The bag carries the robot file, the task's name and, where it has one, its file, so nothing
else is needed to train from it. It is written under a temporary name and takes its own when it is whole.
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import yaml
from mcap.writer import CompressionType, Writer

from smp_bringup.errors import BagError, UnknownNameError
from smp_bringup.paths import named_config
from smp_bringup.record.messages import definition

ROBOT_ATTACHMENT = "robot.yaml"
TASK_ATTACHMENT = "task.yaml"
EPISODE_METADATA = "episode"
_CHUNK_BYTES = 1 << 20


class BagWriter:
    """Writes serialised messages; `close` names the outcome, `discard` removes everything."""

    def __init__(self, folder: Path, robot_yaml: str, task: str) -> None:
        """Open a new bag.

        Raises:
            BagError: the folder exists.
        """
        if folder.exists():
            raise BagError(f"bag '{folder}' exists already: choose another folder or remove it")
        self._folder, self._partial = folder, folder.with_name(folder.name + ".partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._robot_yaml, self._task, self._task_yaml = robot_yaml, task, _described(task)
        self._file = (self._partial / self._mcap_name).open("wb")
        self._writer = Writer(self._file, chunk_size=_CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="smp_bringup")
        self._channels: dict[str, tuple[int, str]] = {}
        self._counts: Counter[str] = Counter()
        self._first_ns, self._last_ns = 0, 0

    @property
    def _mcap_name(self) -> str:
        return f"{self._folder.name}_0.mcap"

    @property
    def messages(self) -> int:
        """Messages written so far."""
        return sum(self._counts.values())

    def write(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Write one message received at `log_ns`; `msgtype` is like "sensor_msgs/msg/Image"."""
        if topic not in self._channels:
            self._channels[topic] = (self._register(topic, msgtype), msgtype)
        self._writer.add_message(self._channels[topic][0], log_ns, cdr, log_ns, self._counts[topic])
        self._first_ns = log_ns if self.messages == 0 else min(self._first_ns, log_ns)
        self._last_ns = max(self._last_ns, log_ns)
        self._counts[topic] += 1

    def close(self, success: bool | None) -> Path:
        """Finish the bag and give it its name; `success` is None where nobody said. Returns the folder."""
        outcome = {True: "success", False: "failure", None: "unlabelled"}[success]
        episode = {"task": self._task, "outcome": outcome}
        self._writer.add_attachment(
            self._first_ns, self._last_ns, ROBOT_ATTACHMENT, "application/yaml", self._robot_yaml.encode()
        )
        if self._task_yaml:
            self._writer.add_attachment(
                self._first_ns, self._last_ns, TASK_ATTACHMENT, "application/yaml", self._task_yaml.encode()
            )
        self._writer.add_metadata(EPISODE_METADATA, episode)
        self._writer.finish()
        self._file.close()
        metadata = yaml.safe_dump(self._metadata(episode), sort_keys=False)
        (self._partial / "metadata.yaml").write_text(metadata, encoding="utf-8")
        self._partial.rename(self._folder)
        return self._folder

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _register(self, topic: str, msgtype: str) -> int:
        text, type_hash = definition(msgtype)
        schema = self._writer.register_schema(name=msgtype, encoding="ros2msg", data=text.encode())
        metadata = {"offered_qos_profiles": "", "topic_type_hash": type_hash}
        return int(self._writer.register_channel(topic, "cdr", schema, metadata))

    def _metadata(self, episode: Mapping[str, str]) -> dict[str, object]:
        """Return metadata.yaml in the form of rosbag2, version 9."""
        topics = [
            {
                "topic_metadata": {
                    "name": topic,
                    "type": msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": [],
                    "type_description_hash": definition(msgtype)[1],
                },
                "message_count": self._counts[topic],
            }
            for topic, (_, msgtype) in self._channels.items()
        ]
        duration = {"nanoseconds": self._last_ns - self._first_ns}
        start = {"nanoseconds_since_epoch": self._first_ns}
        file = {
            "path": self._mcap_name,
            "starting_time": start,
            "duration": duration,
            "message_count": self.messages,
        }
        information = {
            "version": 9,
            "storage_identifier": "mcap",
            "duration": dict(duration),
            "starting_time": dict(start),
            "message_count": self.messages,
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [self._mcap_name],
            "files": [{**file, "starting_time": dict(start), "duration": dict(duration)}],
            "custom_data": dict(episode),
            "ros_distro": "kilted",
        }
        return {"rosbag2_bagfile_information": information}


def _described(task: str) -> str:
    """Return the file of a task in config/tasks, or nothing where it has none (a task that only its name describes)."""
    try:
        return named_config("tasks", task).read_text(encoding="utf-8")
    except UnknownNameError:
        return ""
