"""Pixels as camera drivers send them, to RGB: the 8-bit encodings of sensor_msgs/image_encodings.hpp.

YUV 4:2:2 by BT.601 with luma in [16, 235], as OpenCV and cv_bridge take it; mosaics by bilinear interpolation, mirrored
at the border.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smp_bringup.types import ImageArray

_Offsets = tuple[int, int]


class Encoding(NamedTuple):
    """How the pixels of an image lie in its rows."""

    pixel_bytes: int
    to_rgb: Callable[[ImageArray], ImageArray]
    """From rows of pixels (H, W, pixel_bytes) to RGB (H, W, 3)."""
    block: tuple[int, int] = (1, 1)
    """(rows, columns) of the pixels that share their colour: an image is whole blocks."""


def _rgb(pixels: ImageArray) -> ImageArray:
    return pixels[:, :, :3]


def _bgr(pixels: ImageArray) -> ImageArray:
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def _mono(pixels: ImageArray) -> ImageArray:
    return np.repeat(pixels, 3, axis=2)


_LUMA = np.rint(1.164383 * (np.arange(256).clip(16) - 16)).astype(np.int16)
_CHROMA = np.arange(256) - 128.0
_RED_OF_V = np.rint(1.596027 * _CHROMA).astype(np.int16)
_BLUE_OF_U = np.rint(2.017232 * _CHROMA).astype(np.int16)
_GREEN_OF_U, _GREEN_OF_V = -0.391762 * _CHROMA, -0.812968 * _CHROMA


def _yuv(luma: int, u: int, v: int) -> Callable[[ImageArray], ImageArray]:
    """Return what converts rows of four bytes for two pixels: the first luma, U and V stand at these places."""

    def convert(pixels: ImageArray) -> ImageArray:
        height, width, _ = pixels.shape
        pairs = pixels.reshape(height, width // 2, 4)
        bright = _LUMA[pairs[:, :, luma::2]]
        blue, red = pairs[:, :, u], pairs[:, :, v]
        green = np.rint(_GREEN_OF_U[blue] + _GREEN_OF_V[red]).astype(np.int16)
        rgb = np.empty((height, width // 2, 2, 3), np.uint8)
        for channel, shift in enumerate((_RED_OF_V[red], green, _BLUE_OF_U[blue])):
            rgb[:, :, :, channel] = (bright + shift[:, :, None]).clip(0, 255)
        return rgb.reshape(height, width, 3)

    return convert


def _bayer(red: _Offsets) -> Callable[[ImageArray], ImageArray]:
    """Return what interpolates a mosaic whose first red pixel stands at (row, column) `red`."""
    row, column = red
    other = 1 - row, 1 - column

    def convert(pixels: ImageArray) -> ImageArray:
        height, width, _ = pixels.shape
        wide = np.pad(pixels[:, :, 0], 1, mode="reflect").astype(np.uint16)

        def near(down: int, right: int) -> NDArray[np.uint16]:
            return wide[1 + down : 1 + down + height, 1 + right : 1 + right + width]

        here, beside, above = near(0, 0), near(0, -1) + near(0, 1), near(-1, 0) + near(1, 0)
        aslant = near(-1, -1) + near(-1, 1) + near(1, -1) + near(1, 1)
        cross, corners = (beside + above + 2) // 4, (aslant + 2) // 4
        beside, above = (beside + 1) // 2, (above + 1) // 2
        rgb = np.empty((height, width, 3), np.uint8)
        for channel, (y, x) in ((0, red), (2, other)):
            rgb[y::2, x::2, channel] = here[y::2, x::2]
            rgb[1 - y :: 2, 1 - x :: 2, channel] = corners[1 - y :: 2, 1 - x :: 2]
            rgb[y::2, 1 - x :: 2, channel] = beside[y::2, 1 - x :: 2]
            rgb[1 - y :: 2, x::2, channel] = above[1 - y :: 2, x::2]
        rgb[:, :, 1] = here
        for y, x in (red, other):
            rgb[y::2, x::2, 1] = cross[y::2, x::2]
        return rgb

    return convert


_UYVY, _YUYV = Encoding(2, _yuv(1, 0, 2), (1, 2)), Encoding(2, _yuv(0, 1, 3), (1, 2))
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(3, _rgb),
    "bgr8": Encoding(3, _bgr),
    "rgba8": Encoding(4, _rgb),
    "bgra8": Encoding(4, _bgr),
    "mono8": Encoding(1, _mono),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "bayer_rggb8": Encoding(1, _bayer((0, 0)), (2, 2)),
    "bayer_bggr8": Encoding(1, _bayer((1, 1)), (2, 2)),
    "bayer_gbrg8": Encoding(1, _bayer((1, 0)), (2, 2)),
    "bayer_grbg8": Encoding(1, _bayer((0, 1)), (2, 2)),
}
"""By the name in sensor_msgs/Image; YUV has an old and a new one."""
