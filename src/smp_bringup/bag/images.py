"""Camera images on their way into a bag: as they came, or as JPEG where the robot file says so."""

import io
from typing import Any

import numpy as np
from PIL import Image

from smp_bringup.bag.messages import COMPRESSED, IMAGE, deserialized, header, typestore
from smp_bringup.camera import COMPRESSED_SUFFIX
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import Refusal, decode_image
from smp_bringup.types import ImageArray

_WHITE_MM = 4000
JPEG = "rgb8; jpeg compressed bgr8"
"""Format of a sensor_msgs/CompressedImage of ours."""


class Encoder:
    """Turns messages of cameras into what the robot file wants recorded; all others pass."""

    def __init__(self, robot: Robot) -> None:
        self._quality = {c.topic: c.jpeg_quality for c in robot.cameras if c.recording == "jpeg"}

    def encode(self, topic: str, msgtype: str, cdr: bytes) -> tuple[str, str, bytes]:
        """Return topic, type and serialised message to record; an image that cannot be read passes as it is."""
        if topic not in self._quality or msgtype != IMAGE:
            return topic, msgtype, cdr
        try:
            message = deserialized(cdr, msgtype)
            image = decode_image(message.encoding, message.height, message.width, message.step, message.data)
        except Refusal:  # which the verdict counts
            return topic, msgtype, cdr
        return topic + COMPRESSED_SUFFIX, COMPRESSED, _packed_cdr(message.header, jpeg(image, self._quality[topic]))


def jpeg_cdr(stamp_ns: int, frame_id: str, image: ImageArray, quality: int) -> bytes:
    """Return a serialised sensor_msgs/CompressedImage of an RGB image (H, W, 3)."""
    return _packed_cdr(header(stamp_ns, frame_id), jpeg(image, quality))


def _packed_cdr(head: Any, packed: bytes) -> bytes:
    message = typestore().types[COMPRESSED](header=head, format=JPEG, data=np.frombuffer(packed, np.uint8))
    return bytes(typestore().serialize_cdr(message, COMPRESSED))


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """Return an RGB image (H, W, 3) as JPEG with colours at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def shrunk(image: ImageArray, largest: int) -> ImageArray:
    """Return an image (h, w, 3) of at most `largest` pixels a side to look at: every so many-th pixel of (H, W, 3).

    Depth (H, W, 1) [mm] becomes grey: near is dark, 4 m and more is white.
    """
    step = -(-max(image.shape[:2]) // largest)
    image = image[::step, ::step]
    if image.shape[2] == 3:
        return image.copy()
    grey = (image.clip(0, _WHITE_MM) / _WHITE_MM * 255).astype("uint8")
    return grey.repeat(3, axis=2)
