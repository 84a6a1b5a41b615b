"""What training makes of images, held against Pillow, and what may not change."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from smp_bringup import config
from smp_bringup.errors import ConfigError
from smp_bringup.training import augment
from smp_bringup.training.augment import AugmentConfig, augmented

EVERYTHING = AugmentConfig(
    shift=0.05,
    turn=0.1,
    scale=0.1,
    brightness=0.3,
    contrast=0.3,
    saturation=0.5,
    hue=0.5,
    blur=1.5,
    noise=0.05,
    patches=2,
)


@pytest.fixture
def photo() -> np.ndarray:
    """Return an image (48, 64, 3) of smooth colours, which an image library may resample as it likes."""
    y, x = np.mgrid[0:48, 0:64]
    waves = [np.sin(x / 9 + phase) + np.cos(y / 7 - phase) for phase in (0.0, 1.0, 2.0)]
    return np.stack([60 + 25 * (wave + 2) for wave in waves], axis=-1).astype(np.uint8)


def one(photo: np.ndarray, settings: AugmentConfig, seed: int = 0) -> np.ndarray:
    return augmented(photo[None, None], settings, np.random.default_rng(seed))[0, 0]


def drawn_at(value: float) -> np.random.Generator:
    """Return a generator whose uniform numbers lie at a share of their range; 1 is the upper end."""

    class At(np.random.Generator):
        def uniform(self, low=0.0, high=1.0, size=None):
            there = low + value * (high - low)
            return there if size is None else np.full(size, there)

    return At(np.random.PCG64(0))


def test_nothing_is_done_unless_it_is_asked_for(photo):
    assert one(photo, AugmentConfig()) is not None
    np.testing.assert_array_equal(one(photo, AugmentConfig()), photo)


@pytest.mark.parametrize("name", ["shift", "turn", "scale", "brightness", "contrast", "saturation", "hue", "noise"])
def test_every_setting_changes_the_image_and_none_is_the_identity_at_zero(photo, name):
    changed = one(photo, replace(AugmentConfig(), **{name: 0.2}))
    assert np.abs(changed.astype(int) - photo).mean() > 0.3
    assert changed.dtype == np.uint8
    assert changed.shape == photo.shape
    barely = one(photo, replace(AugmentConfig(), **{name: 1e-7}))
    assert np.abs(barely.astype(int) - photo).max() <= 1


def test_all_images_of_one_observation_are_changed_alike_and_samples_are_not(photo):
    images = np.repeat(np.repeat(photo[None, None], 2, axis=1), 3, axis=0)
    out = augmented(images, replace(EVERYTHING, noise=0.0), np.random.default_rng(3))
    for sample in out:
        np.testing.assert_array_equal(sample[0], sample[1])
    assert (out[0] != out[1]).any()
    assert (out[1] != out[2]).any()


def test_equal_generators_give_equal_images(photo):
    np.testing.assert_array_equal(one(photo, EVERYTHING, 5), one(photo, EVERYTHING, 5))


def test_what_was_given_is_not_written_into(photo):
    kept = photo.copy()
    one(photo, replace(EVERYTHING, dropout=0.99))
    np.testing.assert_array_equal(photo, kept)


@pytest.mark.parametrize(
    ("setting", "enhance"), [("brightness", ImageEnhance.Brightness), ("saturation", ImageEnhance.Color)]
)
def test_light_and_saturation_are_those_of_pillow(photo, setting, enhance):
    rng = drawn_at(0.0)  # the lower end
    ours = augmented(photo[None, None], replace(AugmentConfig(), **{setting: 0.5}), rng)[0, 0]
    theirs = np.asarray(enhance(Image.fromarray(photo)).enhance(0.5))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_places_are_those_of_pillow(photo):
    settings = AugmentConfig(shift=0.1, turn=0.2, scale=0.1)
    ours = augmented(photo[None, None], settings, drawn_at(1.0))[0, 0]
    height, width = photo.shape[:2]
    cos, sin = 1.1 * np.cos(0.2), 1.1 * np.sin(0.2)
    middle = np.array([width / 2, height / 2])
    shift = middle + 0.1 * np.array([width, height]) - np.array([[cos, -sin], [sin, cos]]) @ middle
    rows = (cos, -sin, shift[0], sin, cos, shift[1])
    theirs = Image.fromarray(photo).transform((width, height), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)
    inside = np.asarray(theirs).sum(axis=2) > 0  # Pillow leaves what it does not see black
    assert inside.mean() > 0.6
    assert np.abs(ours.astype(int) - np.asarray(theirs))[inside].max() <= 2


def test_a_half_turn_of_hue_is_the_opposite_colour_of_the_same_light():
    red = np.full((8, 8, 3), (160, 90, 90), np.uint8)
    turned = augmented(red[None, None], AugmentConfig(hue=np.pi), drawn_at(1.0))[0, 0, 0, 0].astype(int)
    weights = augment._YIQ[0]
    assert weights @ turned == pytest.approx(weights @ red[0, 0], abs=1.5)
    assert turned[0] < turned[1]
    assert turned[1] == pytest.approx(turned[2], abs=3)


def test_a_dropped_camera_is_black(photo):
    images = np.repeat(photo[None, None], 200, axis=0)
    out = augmented(images, AugmentConfig(dropout=0.3), np.random.default_rng(0))
    dropped = [not sample.any() for sample in out]
    assert 0.2 < np.mean(dropped) < 0.4


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.5])
def test_blur_is_that_of_pillow_and_repeats_the_edges(photo, spread):
    fine = photo.copy()
    fine[10:30, 20:40] = (220, 30, 90)
    ours = augmented(fine[None, None], AugmentConfig(blur=spread), drawn_at(1.0))[0, 0].astype(int)
    theirs = np.asarray(Image.fromarray(fine).filter(ImageFilter.GaussianBlur(spread))).astype(int)
    assert np.abs(theirs - fine).max() > 20
    assert np.abs(ours - theirs).max() <= 10  # Pillow's is three boxes
    assert np.abs(ours - theirs).mean() < 0.5
    flat = np.full_like(fine, 90)
    np.testing.assert_array_equal(augmented(flat[None, None], AugmentConfig(blur=spread), drawn_at(1.0))[0, 0], flat)


def test_a_point_is_spread_as_a_normal_distribution_by_as_much_as_is_drawn_for_its_sample():
    point = np.zeros((2, 1, 31, 31, 3), np.uint8)
    point[:, :, 15, 15] = 255

    class Two(np.random.Generator):
        """Draws the lower end for the first sample and the upper for the second."""

        def uniform(self, low=0.0, high=1.0, size=None):
            return np.linspace(low, high, size) if isinstance(size, int) else np.full(size, low)

    sharp, soft = augmented(point, AugmentConfig(blur=2.0), Two(np.random.PCG64(0)))[:, 0, :, :, 0].astype(float)
    np.testing.assert_array_equal(sharp, point[0, 0, :, :, 0])
    at = np.arange(31) - 15
    wanted = np.exp(-(at[:, None] ** 2 + at**2) / 8) / (8 * np.pi) * 255
    assert np.abs(soft - wanted).max() <= 1


@pytest.mark.parametrize(
    ("name", "value"), [("shift", 0.5), ("hue", 4.0), ("blur", -1.0), ("blur", 9.0), ("patches", -1), ("dropout", 1.0)]
)
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        config.build(AugmentConfig, {name: value}, "augment")
