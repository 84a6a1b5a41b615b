"""Camera images on their way into a bag: raw, or as JPEG where the robot file says so."""

import io
from typing import Any

import numpy as np
from PIL import Image

from smp_bringup.bag.messages import COMPRESSED, IMAGE, typestore
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import decode_image

SUFFIX = "/compressed"
"""Of the topic of compressed images, as image_transport names it."""
_FORMAT = "rgb8; jpeg compressed bgr8"


class Encoder:
    """Turns messages of cameras into what the robot file wants recorded; all others pass."""

    def __init__(self, robot: Robot) -> None:
        self._quality = {c.topic: c.jpeg_quality for c in robot.cameras if c.recording == "jpeg"}

    def encode(self, topic: str, msgtype: str, cdr: bytes) -> tuple[str, str, bytes]:
        """Return topic, type and serialised message to record; an image that cannot be read passes as it is."""
        if topic not in self._quality or msgtype != IMAGE:
            return topic, msgtype, cdr
        types = typestore().types
        try:
            message: Any = typestore().deserialize_cdr(cdr, msgtype)
            image = decode_image(message.encoding, message.height, message.width, message.step, message.data)
        except Exception:  # foreign bytes: a refusal, or whatever the decoder trips over; the verdict counts them
            return topic, msgtype, cdr
        packed = jpeg(image, self._quality[topic])
        small = types[COMPRESSED](header=message.header, format=_FORMAT, data=np.frombuffer(packed, np.uint8))
        return topic + SUFFIX, COMPRESSED, bytes(typestore().serialize_cdr(small, COMPRESSED))


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """Return an RGB image (H, W, 3) as JPEG with colours at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
