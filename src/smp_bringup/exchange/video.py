"""Frames to MP4 and back, through FFmpeg's libraries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from smp_bringup.documents import require_regular
from smp_bringup.errors import BagError, one_line
from smp_bringup.exchange.foreign_files import reading
from smp_bringup.types import ImageArray

_X264 = {"preset": "veryfast"}
CODECS = {
    "lossless": ("libx264rgb", "rgb24", _X264 | {"qp": "0"}),
    "compact": ("libx264", "yuv420p", _X264 | {"crf": "20"}),
}
"""Encoder, pixel format and settings by name: every pixel as it was, or a tenth of the size."""
_EVERY_PIXELS_COLOUR = "yuv444p"
KEYFRAME_EVERY = 10
"""A random frame is at most so many frames of decoding away."""
_SEEK_S = 10.0
"""A frame that is further ahead is sought rather than decoded up to."""


def pixel_format(kind: str, width: int, height: int) -> str:
    """Return the pixel format of a video; two pixels that share one colour need an even size."""
    pixels = CODECS[kind][1]
    return _EVERY_PIXELS_COLOUR if pixels == "yuv420p" and (width % 2 or height % 2) else pixels


def write_video(path: Path, frames: Sequence[ImageArray], rate_hz: int, kind: str) -> None:
    """Write RGB frames (H, W, 3) at a constant rate; raises BagError where the encoder cannot."""
    encoder, _, options = CODECS[kind]
    height, width, _ = frames[0].shape
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path.absolute()), "w") as container:
            stream: Any = container.add_stream(encoder, rate=rate_hz, options={**options, "g": str(KEYFRAME_EVERY)})
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format(kind, width, height)
            for image in frames:
                container.mux(
                    stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8), format="rgb24"))
                )
            container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise BagError(f"video '{path}' of {width} x {height} px cannot be written: {one_line(error)}") from error


class VideoReader:
    """Reads one camera's videos forward: each frame is decoded once, however many episodes a file holds."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Take the (height, width) that frames must have."""
        self._size = size
        self._path: Path | None = None
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._frame: Any = None

    def close(self) -> None:
        """Close the file that is open."""
        if self._container is not None:
            self._container.close()
        self._path = self._container = self._frame = None

    def images(self, path: Path, times_s: Sequence[float], tolerance_s: float) -> Iterator[ImageArray]:
        """Yield the RGB frames (H, W, 3) at ascending times [s] of a video.

        Raises:
            BagError: it cannot be decoded, has another size, or no frame within the tolerance of a time.
        """
        with reading(path):
            if path != self._path:
                self._open(path)
            for time_s in times_s:
                self._go_to(time_s, tolerance_s)
                frame = self._frame
                if frame is None or frame.time >= time_s + tolerance_s:
                    raise BagError(f"video '{path}' has no frame at {time_s:.3f} s")
                self._require(path, frame.height, frame.width)
                yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)

    def _open(self, path: Path) -> None:
        self.close()
        require_regular(path)
        self._container = av.open(str(path.absolute()))
        self._path = path
        if not self._container.streams.video:
            raise BagError(f"'{path}' holds no video")
        codec = self._container.streams.video[0].codec_context
        self._require(path, codec.height, codec.width)
        self._frames = self._container.decode(self._container.streams.video[0])

    def _require(self, path: Path, height: int, width: int) -> None:
        if (height, width) != self._size:
            raise BagError(f"video '{path}' is {width} x {height} px, expected {self._size[1]} x {self._size[0]}")

    def _go_to(self, time_s: float, tolerance_s: float) -> None:
        """Decode up to the first frame that is not before a time."""
        at_s = self._frame.time if self._frame is not None else 0.0
        if not time_s - _SEEK_S < at_s < time_s + tolerance_s:
            stream = self._container.streams.video[0]
            self._container.seek(max(0, int((time_s - tolerance_s) / stream.time_base)), stream=stream)
            self._frames, self._frame = self._container.decode(stream), None
        while self._frame is None or self._frame.time < time_s - tolerance_s:
            self._frame = next(self._frames, None)
            if self._frame is None:
                return
