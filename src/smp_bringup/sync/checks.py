"""What a message must be before it may enter the aligner; every refusal has a short cause."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.errors import one_line
from smp_bringup.sync.pixels import ENCODINGS
from smp_bringup.types import FloatArray, ImageArray, nanoseconds

FUTURE_S = 0.05
_MAX_SIDE = 8192
LONGEST_ENCODING = 40
"""Characters of a name that a stranger makes us repeat."""
_PNG_DEPTH = 24
"""Where a PNG says how many bits a value has; the library that unpacks it takes 16 for 8."""
_MAX_MAGNITUDE = 1e6
"""No joint position [rad] or velocity [rad/s] is larger; catches 1e300 as well as bit errors."""
_MOST_NUMBER = 1e9
"""No number of a vector is larger, in whatever unit."""


class Refusal(ValueError):
    """A message is not taken; the text is the cause, for counters and logs."""


def check_stamp(stamp_ns: int, previous_ns: int | None, now_ns: int) -> None:
    """Refuse a stamp that is zero, in the future, or not after the previous one of its stream.

    Raises:
        Refusal: "zero_stamp", "future" or "out_of_order".
    """
    if stamp_ns <= 0:
        raise Refusal("zero_stamp")
    if not stamp_ns <= now_ns + nanoseconds(FUTURE_S):
        raise Refusal("future")
    if previous_ns is not None and stamp_ns <= previous_ns:
        raise Refusal("out_of_order")


def decode_image(
    encoding: str,
    height: int,
    width: int,
    step: int,
    data: object,
    camera_size: tuple[int, int] | None = None,
) -> ImageArray:
    """Return the (H, W, 3) RGB image of raw message fields, without copying where the layout allows.

    Args:
        encoding: one of `sync.pixels.ENCODINGS`.
        height: rows [px].
        width: columns [px].
        step: bytes per row.
        data: buffer of `step * height` bytes.
        camera_size: (height, width) that the robot file promises, if it is to be kept.

    Raises:
        Refusal: naming expected and got.
    """
    if encoding not in ENCODINGS:
        named = one_line(encoding[:LONGEST_ENCODING])
        raise Refusal(f"encoding '{named}', expected one of {', '.join(ENCODINGS)}")
    form = ENCODINGS[encoding]
    check_size(width, height, camera_size)
    rows, columns = form.block
    if height % rows or width % columns:
        raise Refusal(f"size {width}x{height}, {encoding} comes in blocks of {columns}x{rows}")
    if step < width * form.pixel_bytes:
        raise Refusal(f"step {step}, expected at least {width * form.pixel_bytes}")
    flat = np.frombuffer(data, dtype=np.uint8)  # type: ignore[call-overload]
    if flat.size != step * height:
        raise Refusal(f"{flat.size} bytes, expected {step * height}")
    lines: ImageArray = flat.reshape(height, step)[:, : width * form.pixel_bytes]
    return form.to_rgb(lines.reshape(height, width, form.pixel_bytes))


def check_size(width: int, height: int, camera_size: tuple[int, int] | None) -> None:
    """Raise Refusal unless an image is of a size that is taken, and of the robot file's if that is to be kept."""
    if not (0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE):
        raise Refusal(f"size {width}x{height}, expected 1 to {_MAX_SIDE}")
    if camera_size is not None and (height, width) != camera_size:
        raise Refusal(f"size {width}x{height}, the robot file says {camera_size[1]}x{camera_size[0]}")


def decode_packed(data: object, camera_size: tuple[int, int] | None = None) -> ImageArray:
    """Return the (H, W, 3) RGB image in JPEG or PNG bytes; its size is known before it is unpacked.

    Raises:
        Refusal: it is neither, of other pixels than an unpacked image may have, or of another (height, width) than
            `camera_size`.
    """
    from PIL import Image  # the command process uses this module, and loads no image library

    packed = bytes(data)  # type: ignore[call-overload]
    try:
        with Image.open(BytesIO(packed), formats=("JPEG", "PNG")) as image:
            check_size(image.width, image.height, camera_size)
            bits = packed[_PNG_DEPTH] if image.format == "PNG" else 8
            if image.mode not in ("RGB", "L") or bits != 8:
                raise Refusal(f"{image.format} of mode {image.mode} with {bits} bits, expected RGB or L with 8")
            return np.asarray(image.convert("RGB"))
    except Refusal:
        raise
    except Exception as error:  # foreign bytes: the library raises whatever it trips over
        raise Refusal(f"no JPEG or PNG: {type(error).__name__}") from error


def check_numbers(values: FloatArray) -> None:
    """Refuse numbers of a vector (n,) that are not finite, or larger than any.

    Raises:
        Refusal: "nonfinite".
    """
    if not (np.abs(values) <= _MOST_NUMBER).all():
        raise Refusal("nonfinite")


def known_velocity(position: FloatArray, velocity: ArrayLike) -> FloatArray:
    """Return velocities (n,), zero where none is measured: drivers leave them out then, or send NaN for every joint."""
    v = np.asarray(velocity, dtype=np.float64)
    return np.zeros_like(position) if np.isnan(v).all() else v


class JointOrder:
    """Maps the joints of one arm by name; remembers the index so that the usual order costs nothing."""

    def __init__(self, wanted: Sequence[str], scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> None:
        """Take names, scale and offset (n,) of a `robot.DriverJoints`."""
        self._wanted = tuple(wanted)
        self._scale, self._offset = np.asarray(scale, dtype=np.float64), np.asarray(offset, dtype=np.float64)
        self._seen, self._index = self._wanted, list(range(len(self._wanted)))

    def map(self, names: Sequence[str], position: ArrayLike, velocity: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return position and velocity (n,) in the wanted order and our units; extra joints are ignored.

        A velocity that is left out, or not known of any joint, is zero, see `known_velocity`.

        Raises:
            Refusal: a joint is missing or named twice, lengths differ, or a value is not finite.
        """
        if tuple(names) != self._seen:
            self._learn(tuple(names))
        p = np.asarray(position, dtype=np.float64)
        v = np.asarray(velocity, dtype=np.float64)
        v = np.full_like(p, np.nan) if v.size == 0 else v
        if p.shape != (len(self._seen),) or v.shape != p.shape:
            raise Refusal(f"{p.size} positions and {v.size} velocities for {len(self._seen)} names")
        p, v = self._scale * p[self._index] + self._offset, self._scale * v[self._index]
        v = known_velocity(p, v)
        if not (np.abs(p) <= _MAX_MAGNITUDE).all() or not (np.abs(v) <= _MAX_MAGNITUDE).all():
            raise Refusal("nonfinite")
        return p, v

    def _learn(self, names: tuple[str, ...]) -> None:
        if len(set(names)) != len(names):
            raise Refusal("duplicate_name")
        missing = [name for name in self._wanted if name not in names]
        if missing:
            raise Refusal(f"missing {', '.join(missing)}")
        self._seen, self._index = names, [names.index(name) for name in self._wanted]
