"""Depth images as drivers send them (REP 118), to whole millimetres."""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import one_line
from smp_bringup.sync.checks import LONGEST_ENCODING, Refusal, check_size
from smp_bringup.types import MM_PER_M

DEPTH_ENCODINGS = {"16UC1": ("u2", 1), "32FC1": ("f4", MM_PER_M)}
"""Type of a pixel, and how many mm are one of its unit."""
_MOST_MM = 65_535


def decode_depth(
    encoding: str,
    height: int,
    width: int,
    step: int,
    data: object,
    big_endian: bool,
    camera_size: tuple[int, int] | None = None,
) -> NDArray[np.uint16]:
    """Return the depth (H, W, 1) [mm] of raw message fields; 0 where nothing was measured: 0, NaN, inf, below zero.

    Args:
        encoding: 16UC1 [mm] or 32FC1 [m].
        height: rows [px].
        width: columns [px].
        step: bytes per row.
        data: buffer of `step * height` bytes.
        big_endian: whether the first byte of a pixel is its highest.
        camera_size: (height, width) that the robot file promises, if it is to be kept.

    Raises:
        Refusal: naming expected and got.
    """
    if encoding not in DEPTH_ENCODINGS:
        named = one_line(encoding[:LONGEST_ENCODING])
        raise Refusal(f"encoding '{named}', expected depth as one of {', '.join(DEPTH_ENCODINGS)}")
    name, unit = DEPTH_ENCODINGS[encoding]
    kind = np.dtype((">" if big_endian else "<") + name)
    check_size(width, height, camera_size)
    if step < width * kind.itemsize:
        raise Refusal(f"step {step}, expected at least {width * kind.itemsize}")
    flat = np.frombuffer(data, dtype=np.uint8)  # type: ignore[call-overload]
    if flat.size != step * height:
        raise Refusal(f"{flat.size} bytes, expected {step * height}")
    pixels = flat.reshape(height, step)[:, : width * kind.itemsize].view(kind)[:, :, None]
    if kind.kind == "u":
        whole: NDArray[np.uint16] = pixels.astype(np.uint16, copy=False)
        return whole
    with np.errstate(over="ignore", invalid="ignore"):
        mm = np.rint(pixels * np.float32(unit))
        mm = np.where((mm > 0) & (mm <= _MOST_MM), mm, 0)
    return mm.astype(np.uint16)
