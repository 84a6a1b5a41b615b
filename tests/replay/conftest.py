"""Bags of others, small and of known content."""

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, StoragePlugin, Writer

from smp_bringup.bag.messages import JOINT_STATE, definition, joint_state_cdr, typestore

T0 = 1_700_000_000_000_000_000
COUNT = 400


class Others:
    """Writes what other recorders write: joint states of one topic, the k-th of which says k."""

    stamps = T0 + 10_000_000 * np.arange(COUNT)

    @staticmethod
    def cdr(k):
        return joint_state_cdr(T0 + k * 10_000_000, ("a", "b"), np.array([float(k), -1.0]))

    def mcap(self, path, numbers=range(COUNT), between=None, **options):
        """Write an MCAP file; `between` gets the writer after every hundredth message."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            writer = McapWriter(stream, **{"chunk_size": 4000, **options})
            writer.start(profile="ros2", library="others")
            schema = writer.register_schema(JOINT_STATE, "ros2msg", definition(JOINT_STATE)[0].encode())
            channel = writer.register_channel("/joints", "cdr", schema)
            for i, k in enumerate(numbers):
                at = T0 + k * 10_000_000
                writer.add_message(channel, at, self.cdr(k), at)
                if between is not None and i % 100 == 99:
                    between(writer, at)
            writer.finish()
        return path

    def sqlite(self, folder, numbers=range(COUNT), mode=None):
        """Write a folder with an sqlite3 file, packed where a `mode` of rosbags says so."""
        writer = Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3)
        if mode is not None:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            link = writer.add_connection("/joints", JOINT_STATE, typestore=typestore())
            for k in numbers:
                writer.write(link, int(self.stamps[k]), self.cdr(k))
        return folder

    @staticmethod
    def values(bag):
        """Return what the messages of a bag say."""
        return [int(message.position[0]) for _, _, message in bag.messages({"/joints"})]


@pytest.fixture(scope="session")
def others():
    """Return a writer of bags of others."""
    return Others()
