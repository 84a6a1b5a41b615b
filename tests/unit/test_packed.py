"""Images on the disk: the same pixels in any order, and what is damaged is said."""

import subprocess

import numpy as np
import pytest

from smp_bringup.errors import BagError
from smp_bringup.training.packed import PackedImages, PackedWriter, packed


@pytest.fixture(params=[np.uint8, np.uint16])
def images(request: pytest.FixtureRequest) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 200, (7, 12, 10, 3 if request.param is np.uint8 else 1)).astype(request.param)


@pytest.fixture
def store(images, tmp_path) -> PackedImages:
    writer = PackedWriter(tmp_path, "eye")
    for image in packed(images):
        writer.append(image)
    writer.close()
    return PackedImages(tmp_path, "eye", images[0])


def test_the_same_pixels_come_back_in_any_order(store, images):
    assert (store.shape, store.dtype, len(store)) == (images.shape, images.dtype, 7)
    np.testing.assert_array_equal(store[3], images[3])
    np.testing.assert_array_equal(store[np.int64(6)], images[6])
    at = np.array([[6, 0], [2, 2], [5, 1]])
    np.testing.assert_array_equal(store[at], images[at])


def test_each_image_is_one_that_the_zstd_tool_unpacks(store, images, tmp_path):
    """Written by our library, read by the system's."""
    ends = np.load(tmp_path / "eye.npy")
    one = (tmp_path / "eye.zst").read_bytes()[ends[4] : ends[5]]
    try:
        raw = subprocess.run(["zstd", "-dc"], input=one, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no zstd command on this machine")
    np.testing.assert_array_equal(np.frombuffer(raw, images.dtype), images[4].ravel())


def test_a_file_cut_short_is_not_opened(store, images, tmp_path):
    whole = (tmp_path / "eye.zst").read_bytes()
    (tmp_path / "eye.zst").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"eye\.zst is not what eye\.npy tells"):
        PackedImages(tmp_path, "eye", images[0])


def test_a_damaged_image_is_named(store, images, tmp_path):
    ends = np.load(tmp_path / "eye.npy")
    data = bytearray((tmp_path / "eye.zst").read_bytes())
    data[ends[2]] ^= 0xFF
    (tmp_path / "eye.zst").write_bytes(data)
    damaged = PackedImages(tmp_path, "eye", images[0])
    np.testing.assert_array_equal(damaged[1], images[1])
    with pytest.raises(BagError, match=r"eye\.zst of the cache is damaged at image 2: remove it"):
        damaged[2]
