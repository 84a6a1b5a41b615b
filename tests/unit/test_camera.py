"""A camera's topics, from the one that the robot file names."""

from dataclasses import replace

import pytest

from smp_bringup.errors import ConfigError


@pytest.mark.parametrize(
    ("topic", "compressed", "raw", "info"),
    [
        ("/cam/color/image_raw", False, "/cam/color/image_raw", "/cam/color/camera_info"),
        ("/cam/color/image_raw/compressed", True, "/cam/color/image_raw", "/cam/color/camera_info"),
        ("/cam", False, "/cam", "/camera_info"),
    ],
)
def test_the_topic_says_what_comes_on_it_and_where_the_calibration_is(topic, compressed, raw, info, robot):
    camera = replace(robot.cameras[0], topic=topic)
    assert (camera.compressed, camera.raw_topic, camera.info_topic) == (compressed, raw, info)


def test_two_cameras_cannot_share_one_stream_raw_and_compressed(robot):
    packed = replace(robot.cameras[1], topic=f"{robot.cameras[0].topic}/compressed")
    with pytest.raises(ConfigError, match="topic named twice: /camera_overview/image_raw"):
        replace(robot, cameras=(robot.cameras[0], packed))


def test_nothing_else_comes_on_the_topic_of_packed_images(robot):
    """A bag has a camera's images there, also where its driver sends raw ones."""
    arm = replace(robot.arms[0], command_topic=f"{robot.cameras[0].topic}/compressed")
    with pytest.raises(ConfigError, match="topic named twice: /camera_overview/image_raw/compressed"):
        replace(robot, arms=(arm, *robot.arms[1:]))
