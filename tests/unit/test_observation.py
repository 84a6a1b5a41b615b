from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.camera import Crop
from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.observation.assembler import Assembler
from smp_bringup.observation.builder import frame_to_observation_size, to_observation_size
from smp_bringup.observation.images import observed, resize
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.observation.observer import Observer
from smp_bringup.robot import Robot
from smp_bringup.types import AlignedSet, Frame, JointSample

MS = 1_000_000


def aligned(robot, at_ms):
    images = {c.name: np.full((c.height, c.width, 3), at_ms % 256, np.uint8) for c in robot.cameras}
    return AlignedSet(at_ms * MS, images, np.full(robot.dof, at_ms / 1e3), np.zeros(robot.dof))


def test_resizing_averages_areas_and_keeps_what_fits(rng):
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert resize(image, 8, 8) is image
    half = resize(image, 4, 4)
    np.testing.assert_allclose(half, image.reshape(4, 2, 4, 2, 3).mean((1, 3)), atol=1)


def test_images_take_the_sizes_of_the_robot_file(robot):
    small = to_observation_size(aligned(robot, 40), robot)
    for camera in robot.cameras:
        assert small.images[camera.name].shape == (camera.observation_height, camera.observation_width, 3)


def test_history_goes_by_stamps_not_by_calls(robot):
    history = Observer(robot, steps=3, replan_s=0.16)
    seen = [history.observe(aligned(robot, ms)) for ms in (0, 20, 40, 60, 80, 100)]
    assert seen[:3] == [None] * 3
    np.testing.assert_allclose(seen[3].position[:, 0], [0.0, 0.02, 0.06])  # half a period is near enough
    np.testing.assert_allclose(seen[4].position[:, 0], [0.0, 0.04, 0.08])
    np.testing.assert_allclose(seen[5].position[:, 0], [0.02, 0.06, 0.1])


def test_history_starts_afresh_when_time_jumps_back(robot):
    history = Observer(robot, steps=2, replan_s=0.16)
    for ms in (5000, 5040):
        history.observe(aligned(robot, ms))
    assert history.observe(aligned(robot, 5020)) is None
    assert history.observe(aligned(robot, 40)) is None
    assert history.observe(aligned(robot, 80)).stamp_ns == 80 * MS


def test_observations_are_due_once_per_replanning_period(robot):
    observer = Observer(robot, steps=1, replan_s=0.16)
    due = [ms for ms in range(0, 800, 40) if observer.push(aligned(robot, ms)) is not None]
    assert due == [0, 160, 320, 480, 640]
    observer.clear()
    assert observer.push(aligned(robot, 40)) is not None


def test_parts_are_joined_by_identical_stamp_in_any_order(robot):
    assembler = Assembler(("a", "b"))
    image = np.zeros((2, 2, 3), np.uint8)
    joints = JointSample(5, np.ones(3), np.zeros(3))
    assert assembler.push_image("b", 5, image) is None
    assert assembler.push_joints(joints) is None
    assert assembler.push_image("a", 6, image) is None
    whole = assembler.push_image("a", 5, image)
    assert whole is not None
    assert whole.stamp_ns == 5
    assert set(whole.images) == {"a", "b"}


def test_stamps_that_never_complete_are_given_up():
    assembler = Assembler(("a", "b"))
    for stamp in range(100):
        assembler.push_image("a", stamp, np.zeros((1, 1, 3), np.uint8))
    assert assembler.incomplete == 92


def test_normalising_and_back_is_the_identity(rng):
    data = rng.normal(size=(100, 5)) * [1, 2, 0, 3, 1e-9]
    normalizer = Normalizer.from_data(data)
    value = normalizer.normalise(data)
    assert np.abs(value).max() <= 1 + 1e-12
    np.testing.assert_allclose(normalizer.denormalise(value), data, atol=1e-12)
    again = Normalizer.from_dict(normalizer.to_dict(), 5)
    np.testing.assert_array_equal(again.center, normalizer.center)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"center": [0], "half_range": [1]},
        {"center": [0, float("nan")], "half_range": [1, 1]},
        {"center": [0, 0], "half_range": [1, 0]},
        {"center": "x", "half_range": [1, 1]},
        {"center": ["0", "1"], "half_range": [1, 1]},
        {"center": [0, 1], "half_range": [True, True]},
        {"center": [0, 1e9], "half_range": [1, 1]},
        {"center": [0, 0], "half_range": [1, 1e300]},
        {"center": [0, 0], "half_range": [1, 1e-300]},
    ],
)
def test_bad_normalisers_are_refused(bad):
    with pytest.raises(ModelError):
        Normalizer.from_dict(bad, 2)


def cropped(robot, **crop):
    """Return the robot whose first camera looks at a part of its image."""
    return replace(robot, cameras=(replace(robot.cameras[0], crop=Crop(**crop)), *robot.cameras[1:]))


def test_a_crop_is_taken_before_the_image_is_resized_to_a_rectangle(robot, rng):
    image = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    camera = cropped(robot, x=8, y=16, width=96, height=64).cameras[0]
    seen = observed(image, replace(camera, observation_width=48, observation_height=16))
    np.testing.assert_allclose(seen, image[16:80, 8:104].reshape(16, 4, 48, 2, 3).mean((1, 3)), atol=1)


def test_live_frames_and_bags_are_cropped_alike(robot, rng):
    own = cropped(robot, x=10, y=20, width=100, height=50)
    images = {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in own.cameras}
    offline = to_observation_size(replace(aligned(own, 40), images=images), own)
    for camera in own.cameras:
        live = frame_to_observation_size(Frame(40 * MS, images[camera.name]), camera)
        np.testing.assert_array_equal(live.image, offline.images[camera.name])


def test_what_sync_cropped_is_not_cropped_again_by_whoever_hears_it(robot, rng):
    own = cropped(robot, x=10, y=20, width=100, height=50)
    images = {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in own.cameras}
    at_camera = replace(aligned(own, 40), images=images)
    live = Observer(own, 1, 0.16, resized=True).push(to_observation_size(at_camera, own))
    offline = Observer(own, 1, 0.16).push(at_camera)
    for name in images:
        np.testing.assert_array_equal(live.images[name], offline.images[name])


def test_a_policy_depends_on_the_crop_as_a_share_of_the_image(robot):
    part = {"x": 16, "y": 0, "width": 64, "height": 128}
    own, names = cropped(robot, **part), ("overview",)
    assert own.fingerprint(names)["cameras"] == {"overview": [96, 96, 0.125, 0.0, 0.5, 1.0]}
    assert "crop [0.125, 0.0, 0.5, 1.0]" in own.unlike(robot)
    finer = replace(own.cameras[0], width=256, height=256, crop=Crop(32, 0, 128, 256))
    assert replace(own, cameras=(finer, *own.cameras[1:])).fingerprint(names) == own.fingerprint(names)


def test_a_crop_outside_of_the_image_is_refused(robot):
    with pytest.raises(ConfigError, match=r"crop 100x100 at \(100, 0\) leaves the image of 128x128"):
        cropped(robot, x=100, y=0, width=100, height=100)


def test_a_crop_is_read_from_the_robot_file_and_written_into_bags(robot):
    own = cropped(robot, x=1, y=2, width=3, height=4)
    assert config.build(Robot, config.parse_yaml(config.dump(own), "robot.yaml"), "robot.yaml") == own
