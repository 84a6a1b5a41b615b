"""A camera as a stock driver publishes it: nothing of ours, no Fast DDS profile; see its --help."""

import argparse
import array
import io
import math
import time

import numpy as np
import rclpy
from PIL import Image as Picture
from rclpy.duration import Duration
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

BYTES = {"rgb8": 3, "bgra8": 4, "mono8": 1, "yuv422_yuy2": 2, "bayer_rggb8": 1, "16UC1": 2}


def pixels(width, height, count, k):
    """Return an image that differs from the one before it; noise on purpose: it packs badly."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, count), dtype=np.uint8)
    image[0, 0] = k % 256
    return image


def raw(width, height, encoding, k):
    step = width * BYTES[encoding]
    data = array.array("B", pixels(width, height, BYTES[encoding], k).tobytes())
    return Image(width=width, height=height, encoding=encoding, step=step, data=data)


def packed(width, height, form, k):
    out = io.BytesIO()
    Picture.fromarray(pixels(width // 8, height // 8, 3, k)).resize((width, height)).save(out, form)
    return CompressedImage(format=form, data=array.array("B", out.getvalue()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument("--reliability", choices=("reliable", "best_effort"), default="best_effort")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rate", type=float, default=30.0, help="[Hz]")
    parser.add_argument("--trigger", action="store_true", help="frames at whole periods, as of one trigger for all")
    parser.add_argument("--form", default="rgb8", help="an encoding, jpeg or png")
    parser.add_argument("--frames", type=int, default=0, help="0: until it is told to stop")
    parser.add_argument("--info", default="", help="topic of its calibration")
    said = parser.parse_args()

    rclpy.init()
    node = rclpy.create_node(f"driver{said.topic.replace('/', '_')}")
    make, kind = (packed, CompressedImage) if said.form in ("jpeg", "png") else (raw, Image)
    profile = qos_profile_sensor_data if said.reliability == "best_effort" else 10
    publisher = node.create_publisher(kind, said.topic, profile)
    info = node.create_publisher(CameraInfo, said.info, profile) if said.info else None
    messages = [make(*said.size, said.form, k) for k in range(8)]
    while publisher.get_subscription_count() == 0:
        rclpy.spin_once(node, timeout_sec=0.05)
    if said.frames:  # the other side has found us as well
        time.sleep(1.0)
    start, k = time.monotonic(), 0
    if said.trigger:
        start = math.ceil(start * said.rate) / said.rate
        time.sleep(start - time.monotonic())
    while rclpy.ok() and (k < said.frames or not said.frames):
        message = messages[k % len(messages)]
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        if info is not None:
            info.publish(CameraInfo(header=message.header, width=said.size[0], height=said.size[1]))
        k += 1
        time.sleep(max(0.0, start + k / said.rate - time.monotonic()))
    if rclpy.ok():  # else a signal ended it
        publisher.wait_for_all_acked(Duration(seconds=2))  # what was lost may be asked for


if __name__ == "__main__":
    main()
