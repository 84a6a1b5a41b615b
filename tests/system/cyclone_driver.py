"""A camera of another middleware: CycloneDDS's own Python binding, without ROS; `pip install cyclonedds`.

Arguments: reliable|best_effort TOPIC WIDTH HEIGHT FRAMES. Settings come from CYCLONEDDS_URI.
"""

import os
import sys
import time
from dataclasses import dataclass

import numpy as np
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter, Publisher
from cyclonedds.topic import Topic
from cyclonedds.util import duration

RATE_HZ = 30


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


def main(reliability, topic, width, height, frames):
    """Publish the frames once somebody listens."""
    width, height, frames = int(width), int(height), int(frames)
    policy = Policy.Reliability.BestEffort
    if reliability == "reliable":
        policy = Policy.Reliability.Reliable(duration(milliseconds=100))
    qos = Qos(policy, Policy.Durability.Volatile, Policy.History.KeepLast(10))
    participant = DomainParticipant(int(os.environ["ROS_DOMAIN_ID"]))
    writer = DataWriter(Publisher(participant), Topic(participant, f"rt{topic}", Image), qos=qos)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, width * height * 3, dtype=np.uint8).tobytes() for _ in range(2)]
    while not writer.get_matched_subscriptions():
        time.sleep(0.05)
    time.sleep(1.0)
    start = time.monotonic()
    for k in range(frames):
        sec, nanosec = divmod(time.time_ns(), 1_000_000_000)
        writer.write(Image(Header(Time(sec, nanosec), "cyclone"), height, width, "rgb8", 0, width * 3, images[k % 2]))
        time.sleep(max(0.0, start + (k + 1) / RATE_HZ - time.monotonic()))
    time.sleep(2.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
