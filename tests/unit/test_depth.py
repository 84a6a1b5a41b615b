"""Depth cameras: what drivers may send, what a policy sees of it, and how far away its network says things are."""

from array import array
from dataclasses import replace

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from smp_bringup import config, wire
from smp_bringup.bag.messages import IMAGE, deserialized, image_cdr
from smp_bringup.camera import Camera, Crop, Depth
from smp_bringup.commission.camera_images import check_images
from smp_bringup.commission.seen import HeardImage
from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.nodes.messages import image_msg
from smp_bringup.observation.images import observed
from smp_bringup.observation.senses import Senses
from smp_bringup.policy.config import EncoderConfig, PolicyConfig
from smp_bringup.policy.encoder import Encoder, Keypoints
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import Refusal

TOLD = {"name": "front", "topic": "/depth", "width": 6, "height": 4, "rate_hz": 30, "depth": {"min": 0.2, "max": 2.0}}
TOLD |= {"observation_width": 3, "observation_height": 2}
CAMERA = config.build(Camera, TOLD, "robot.yaml")


def message(pixels, encoding, big_endian=False, pad=0):
    """Return an image as a driver sends it, rows padded."""
    height, width = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    data = b"".join(row.tobytes() + bytes(pad) for row in rows)
    step = width * pixels.itemsize + pad
    out = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=int(big_endian))
    out.data, out.header.stamp.sec = array("B", data), 9
    return out


@pytest.mark.parametrize("big_endian", [False, True])
def test_millimetres_and_metres_are_the_same_depth(big_endian, rng):
    mm = rng.integers(0, 65_536, (4, 6)).astype(np.uint16)
    whole = wire.frame(message(mm, "16UC1", big_endian, pad=6), CAMERA)
    metres = wire.frame(message((mm / 1000).astype(np.float32), "32FC1", big_endian), CAMERA)
    assert (whole.stamp_ns, whole.image.dtype, whole.image.shape) == (9_000_000_000, np.uint16, (4, 6, 1))
    np.testing.assert_array_equal(whole.image[:, :, 0], mm)
    np.testing.assert_array_equal(metres.image, whole.image)


def test_what_is_no_distance_counts_as_not_measured():
    nothing = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-5]] * 4, np.float32)
    nothing[3] = 65.536
    assert not wire.frame(message(nothing, "32FC1"), CAMERA).image.any()


@pytest.mark.parametrize(
    ("encoding", "dtype", "shape", "why"),
    [
        ("rgb8", np.uint8, (4, 6), "encoding 'rgb8', expected depth as one of 16UC1, 32FC1"),
        ("16UC1", np.uint16, (6, 4), "size 4x6, the robot file says 6x4"),
        ("32FC1", np.uint16, (4, 6), "step 12, expected at least 24"),
    ],
)
def test_what_is_no_depth_is_refused(encoding, dtype, shape, why):
    with pytest.raises(Refusal, match=why):
        wire.frame(message(np.zeros(shape, dtype), encoding), CAMERA)
    with pytest.raises(Refusal, match="encoding '16UC1', expected one of rgb8"):
        wire.frame(message(np.zeros((4, 6), np.uint16), "16UC1"), replace(CAMERA, depth=None))


def test_a_policy_sees_the_nearest_pixels_within_the_range_and_never_a_mean():
    image = np.arange(24, dtype=np.uint16).reshape(4, 6, 1) * 100
    seen = observed(image, CAMERA)
    assert seen[:, :, 0].tolist() == [[700, 900, 1100], [1900, 0, 0]], "the last two lie beyond 2 m"
    cropped = observed(image, replace(CAMERA, crop=Crop(2, 0, 3, 2)))
    assert cropped[:, :, 0].tolist() == [[200, 300, 400], [800, 900, 1000]]
    edge = np.repeat(np.repeat(np.array([[300, 1500]], np.uint16), 5, 1), 7, 0)[:, :, None]
    assert set(observed(edge, CAMERA).ravel().tolist()) == {300, 1500}, "nothing stands between near and far"


def test_images_of_ours_keep_depth_on_topics_and_in_bags(rng):
    image = rng.integers(0, 65_536, (4, 6, 1)).astype(np.uint16)
    for said in (image_msg(5, "front", image), deserialized(image_cdr(5, "front", image), IMAGE)):
        assert (said.encoding, said.step) == ("16UC1", 12)
        np.testing.assert_array_equal(wire.depth_frame(said).image, image)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"topic": "/depth/compressedDepth"}, "depth is read raw, 16UC1 or 32FC1: name the topic of the raw images"),
        ({"topic": "/depth/compressed"}, "depth is read raw"),
        ({"topic": "/depth/compressedDepth", "depth": None}, "depth is read raw"),
        ({"recording": "jpeg"}, "depth is recorded as it comes"),
        ({"depth": {"min": 2.0, "max": 0.2}}, "min 2 m must be below max 0.2 m"),
        ({"depth": {"min": 0.0, "max": 2.0}}, "min"),
    ],
)
def test_a_depth_camera_that_cannot_be_read_is_refused_when_the_file_is_read(changes, why):
    with pytest.raises(ConfigError, match=why):
        config.build(Camera, TOLD | changes, "robot.yaml")


def test_a_check_of_the_running_robot_knows_depth_from_colour():
    def found(camera, encoding):
        heard = [HeardImage(k, k, k, 6, 4, encoding, k) for k in range(9)]
        return [finding.line for finding in check_images(camera, heard, moved=False)]

    colour = replace(CAMERA, depth=None)
    assert [found(CAMERA, "16UC1"), found(CAMERA, "32FC1"), found(colour, "rgb8")] == [[], [], []]
    assert "encoding rgb8, which is refused: let its driver send one of 16UC1, 32FC1" in found(CAMERA, "rgb8")[0]
    assert "encoding 16UC1, which is refused: let its driver send one of rgb8" in found(colour, "16UC1")[0]


def test_the_range_is_part_of_what_a_policy_depends_on_and_the_first_camera_is_in_colour(robot):
    plain = config.plain(robot)
    seeing = config.build(Robot, {**plain, "cameras": [*plain["cameras"], TOLD]}, "robot.yaml")
    farther = replace(seeing, cameras=(*robot.cameras, replace(CAMERA, depth=Depth(0.2, 3.0))))
    names = ("overview", "front")
    assert seeing.fingerprint(names)["depth"] == {"front": [0.2, 2.0]}
    assert farther.fingerprint(names)["sha256"] != seeing.fingerprint(names)["sha256"]
    assert "depth 0.2 to 3 m" in farther.unlike(seeing)
    with pytest.raises(ConfigError, match="put one in colour there"):
        config.build(Robot, {**plain, "cameras": [TOLD]}, "robot.yaml")


def test_the_normaliser_maps_the_range_to_one_and_nothing_measured_to_a_value_of_its_own():
    senses = Senses(depth={"front": (0.2, 2.0)})
    seen = senses.depth_input("front", np.array([[[0], [200], [1100], [2000]]], np.uint16))
    np.testing.assert_allclose(seen.ravel(), [-1, 0, 0.5, 1], atol=1e-6)
    assert seen.dtype == np.float32
    again = Senses.from_dict(senses.to_dict(), {}, ("front",))
    assert again.depth == senses.depth
    with pytest.raises(ModelError, match="lacks what the policy sees"):
        Senses.from_dict({}, {}, ("front",))


def test_vectors_are_normalised_by_their_ordinary_spread(rng):
    force = rng.uniform(-2.0, 4.0, (10_000, 2)) + [0.0, 1e5]
    force[:5] = 500.0
    senses = Senses.from_data({"wrench": np.column_stack([force, np.full(10_000, 7.0)])}, {})
    seen = senses.vector_input({"wrench": np.array([[-2.0, 1e5 + 4.0, 7.0], [1.0, 1e5 + 1.0, 8.0]])})
    np.testing.assert_allclose(seen, [[-1, 1, 0], [0, 0, 1]], atol=0.06)
    again = Senses.from_dict(senses.to_dict(), {"wrench": 3}, ())
    np.testing.assert_array_equal(again.vector_input({"wrench": force[:9, [0, 1, 1]]}).shape, (9, 3))
    with pytest.raises(ModelError, match="does not fit vector 'wrench', which has 2 numbers"):
        Senses.from_dict(senses.to_dict(), {"wrench": 2}, ())


def test_keypoints_of_depth_say_how_far_away_what_they_look_at_is():
    torch.manual_seed(0)
    eye = Keypoints(EncoderConfig(channels=(4, 8), keypoints=3), depth=True).train(False)
    for far in (0.1, 0.8):
        image = torch.full((1, 1, 33, 18), far)
        image[..., 20:] = -1.0
        image[:, :, ::3] = -1.0  # not measured
        with torch.no_grad():
            points = eye(image)
        assert points.shape == (1, 9)
        torch.testing.assert_close(points[0, 6:], torch.full((3,), far), atol=0.01, rtol=0)
    moved = eye.moved_back(points, torch.tensor([[0.5, -0.25]]))
    torch.testing.assert_close(points - moved, torch.tensor([[0.5, -0.25] * 3 + [0.0] * 3]))


@pytest.mark.parametrize("encoder", [{"shared": True}, {"backbone": "resnet18"}])
def test_cameras_in_colour_and_of_depth_have_networks_of_their_own(encoder):
    policy = PolicyConfig(
        "diffusion", ("a", "b"), ("c", "d"), encoder=EncoderConfig(channels=(4, 8), keypoints=3, **encoder)
    )
    network = Encoder(policy, 2, 0).train(False)
    inputs = {f"image_{name}": torch.zeros(2, 1, 32, 32, 3, dtype=torch.uint8) for name in "ab"}
    inputs |= {f"image_{name}": torch.zeros(2, 1, 32, 32, 1) for name in "cd"} | {"state": torch.zeros(2, 1, 2)}
    assert network(inputs).shape == (2, 256)
    assert len(network.eyes) == (2 if "shared" in encoder else 4)
