"""Pixels of camera drivers: known colours, whatever the padding of the rows, and mosaics that are known exactly."""

import numpy as np
import pytest

from smp_bringup.sync.checks import decode_image

COLOURS = {  # BT.601, luma in [16, 235]: R, G, B and Y, U, V
    (255, 255, 255): (235, 128, 128),
    (0, 0, 0): (16, 128, 128),
    (255, 0, 0): (81, 90, 240),
    (0, 255, 0): (145, 54, 34),
    (0, 0, 255): (41, 240, 110),
}


def decoded(encoding, pixels, pad=5):
    """Return what an image (H, W, bytes) is taken for, with `pad` bytes behind every row."""
    height, width, count = pixels.shape
    rows = np.full((height, width * count + pad), 99, np.uint8)
    rows[:, : width * count] = pixels.reshape(height, -1)
    return decode_image(encoding, height, width, rows.shape[1], rows.tobytes(), (height, width))


@pytest.mark.parametrize(
    ("encoding", "places"),
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("rgba8", (0, 1, 2)), ("bgra8", (2, 1, 0)), ("mono8", (0, 0, 0))],
)
def test_channels_are_put_in_order(encoding, places, rng):
    count = {"mono8": 1}.get(encoding, 4 if "a8" in encoding else 3)
    pixels = rng.integers(0, 256, (4, 6, count), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(encoding, pixels), pixels[:, :, list(places)])


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")]
)
def test_yuv_has_the_colours_of_bt_601(encoding, order):
    for rgb, yuv in COLOURS.items():
        pair = [dict(zip("YUV", yuv, strict=True))[letter] for letter in order]
        pixels = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (3, 2, 1))
        np.testing.assert_allclose(decoded(encoding, pixels), np.tile(rgb, (3, 4, 1)), atol=2)


@pytest.mark.parametrize("order", ["UYVY", "YUYV"])
def test_the_two_pixels_of_a_pair_keep_their_own_brightness(order):
    bright = {"Y": iter((235, 16)), "U": iter((128,)), "V": iter((128,))}
    pixels = np.array([next(bright[letter]) for letter in order], np.uint8).reshape(1, 2, 2)
    assert decoded(order.lower(), pixels)[0, :, 0].tolist() == [255, 0]


def mosaic(image, pattern):
    """Return what a sensor with a colour filter `pattern` (of the first two rows) sees of an image (H, W, 3)."""
    out = np.empty((*image.shape[:2], 1), np.uint8)
    for k, colour in enumerate(pattern):
        part = np.s_[k // 2 :: 2, k % 2 :: 2]
        out[part + (0,)] = image[part + ("rgb".index(colour),)]
    return out


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_becomes_the_image_that_it_was_made_of(pattern):
    """Planes of brightness are what bilinear interpolation restores exactly, up to the rounding of its means."""
    y, x = np.mgrid[0:16, 0:20]
    planes = np.stack([3 * x + 2 * y, 200 - 4 * x, 40 + 5 * y], axis=2).astype(np.uint8)
    found = decoded(f"bayer_{pattern}8", mosaic(planes, pattern))
    np.testing.assert_allclose(found[1:-1, 1:-1].astype(int), planes[1:-1, 1:-1], atol=1)
    flat = np.tile(np.array((200, 100, 50), np.uint8), (6, 8, 1))
    np.testing.assert_array_equal(decoded(f"bayer_{pattern}8", mosaic(flat, pattern)), flat)
