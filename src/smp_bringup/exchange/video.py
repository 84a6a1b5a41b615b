"""Frames to MP4 and back, through FFmpeg's libraries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from smp_bringup.errors import BagError, one_line
from smp_bringup.types import ImageArray

CODECS = {
    "lossless": ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast"}),
    "compact": ("libx264", "yuv420p", {"crf": "20", "preset": "veryfast"}),
}
"""Encoder, pixel format and settings by name: every pixel as it was, or a tenth of the size."""
KEYFRAME_EVERY = 10
"""A random frame is at most so many frames of decoding away."""


def write_video(path: Path, frames: Sequence[ImageArray], rate_hz: int, kind: str) -> None:
    """Write RGB frames (H, W, 3) at a constant rate."""
    encoder, pixels, options = CODECS[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = frames[0].shape
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder, rate=rate_hz, options={**options, "g": str(KEYFRAME_EVERY)})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())


def read_video(path: Path, start_s: float, end_s: float) -> Iterator[ImageArray]:
    """Yield the RGB frames of a part of a video; raises BagError for one that cannot be decoded."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            half = 0.5 / float(stream.average_rate or 1)
            for frame in container.decode(stream):
                if start_s - half <= float(frame.time or 0.0) < end_s - half:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise BagError(f"video '{path}' cannot be read: {one_line(error)}") from error
