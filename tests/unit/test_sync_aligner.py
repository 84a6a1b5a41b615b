"""The aligner against the faults F03 to F06 and F10 to F14: refuse, count, and go on pairing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_bringup.sync.aligner import Aligner
from smp_bringup.sync.checks import Refusal, decode_image
from smp_bringup.types import Frame

T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def image(robot, camera, value=0):
    c = robot.camera(camera)
    return np.full((c.height, c.width, 3), value, np.uint8)


def joints(arm, value):
    return [j.name for j in arm.joints], [value] * len(arm.joints)


class Feed:
    """Two arms at 100 Hz and three cameras at 25 Hz into an aligner."""

    def __init__(self, robot):
        self.robot, self.aligner, self.sets = robot, Aligner(robot), []

    def run(self, start_ms, end_ms, skip=(), camera_shift_ms=0, slow=None):
        for ms in range(start_ms, end_ms, 10):
            now = T0 + ms * MS
            for arm in self.robot.arms:
                if arm.name not in skip:
                    self.aligner.push_joints(arm.name, now, *joints(arm, ms / 1e3), [], now)
            if ms % 40 == 0:
                for i, camera in enumerate(self.robot.cameras):
                    if camera.name not in skip and (camera.name != slow or ms % 120 == 0):
                        stamp = now - (camera_shift_ms * MS if i == 1 else 0)
                        self.aligner.push_image(camera.name, Frame(stamp, image(self.robot, camera.name)), now)
            self.sets += self.aligner.pop()
        return self


def test_every_reference_frame_becomes_a_set_at_its_stamp(robot):
    feed = Feed(robot).run(0, 2000)
    assert [s.stamp_ns for s in feed.sets] == [T0 + ms * MS for ms in range(0, 2000, 40)]
    assert feed.aligner.counters == {"pairs": 50}


def test_joints_are_interpolated_to_the_image_stamp(robot):
    aligner = Aligner(robot)
    for ms in (0, 10):
        for arm in robot.arms:
            aligner.push_joints(arm.name, T0 + ms * MS, *joints(arm, float(ms)), [], T0 + ms * MS)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 4 * MS, image(robot, camera.name)), T0 + 10 * MS)
    (aligned,) = aligner.pop()
    np.testing.assert_allclose(aligned.position, 4.0)


def test_a_frame_waits_for_the_joint_sample_after_it(robot):
    aligner = Aligner(robot)
    for arm in robot.arms:
        aligner.push_joints(arm.name, T0, *joints(arm, 0.0), [], T0)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 4 * MS, image(robot, camera.name)), T0 + 4 * MS)
    assert aligner.pop() == []
    for arm in robot.arms:
        aligner.push_joints(arm.name, T0 + 10 * MS, *joints(arm, 1.0), [], T0 + 10 * MS)
    assert len(aligner.pop()) == 1


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_stamps_an_hour_ahead_do_not_stop_the_pairing(robot, count):
    """F05; ten of them stop message_filters' ApproximateTimeSynchronizer for good."""
    feed = Feed(robot).run(0, 400)
    for i in range(count):
        for camera in robot.cameras:
            frame = Frame(T0 + 3_600_000 * MS + i, image(robot, camera.name))
            assert feed.aligner.push_image(camera.name, frame, T0 + 400 * MS) == "future"
    before = len(feed.sets)
    feed.run(400, 800)
    assert len(feed.sets) == before + 10
    assert feed.aligner.counters["overview/future"] == count


def test_old_equal_and_zero_stamps_are_refused(robot):
    """F04, F05."""
    aligner = Feed(robot).run(0, 400).aligner
    frame = image(robot, "overview")
    assert aligner.push_image("overview", Frame(T0 + 360 * MS, frame), T0 + 400 * MS) == "out_of_order"
    assert aligner.push_image("overview", Frame(T0 + 300 * MS, frame), T0 + 400 * MS) == "out_of_order"
    assert aligner.push_image("overview", Frame(0, frame), T0 + 400 * MS) == "zero_stamp"


def test_a_frame_without_its_others_gives_no_set_and_says_which_was_missing(robot):
    """F06: a frame with no other within the slop gives no set; within it, the skew is told."""
    slow = Feed(robot).run(0, 1200, slow="wrist_left")
    assert [(s.stamp_ns - T0) // MS for s in slow.sets] == list(range(0, 1200, 120))
    assert slow.aligner.counters["wrist_left/no_match"] >= 18
    near = Feed(robot).run(0, 1000, camera_shift_ms=15)
    assert len(near.sets) > 20
    assert near.sets[-1].skew_ns["wrist_left"] == -15 * MS


@pytest.mark.parametrize("silent", ["wrist_right", "left"])
def test_a_silent_stream_is_named_and_its_return_resumes(robot, silent):
    feed = Feed(robot).run(0, 1000, skip=(silent,))
    assert feed.sets == []
    cause = "no_match" if silent.startswith("wrist") else "no_joints"
    assert feed.aligner.counters[f"{silent}/{cause}"] > 10
    feed.run(1000, 2000)
    assert len(feed.sets) >= 20


def test_a_clock_that_jumps_back_flushes_once_and_pairing_goes_on(robot):
    feed = Feed(robot).run(100_000, 101_000)
    before = len(feed.sets)
    feed.run(0, 1000)
    assert feed.aligner.counters["overview/clock_reset"] == 1
    assert len(feed.sets) >= before + 23


def test_joint_names_are_mapped_whatever_their_order(robot):
    """F11, F12: any permutation, and extra joints, give the same result to the bit."""
    arm = robot.arms[0]
    names, values = [j.name for j in arm.joints], np.linspace(-0.2, 0.3, len(arm.joints))
    aligner = Aligner(robot)
    for n, order in enumerate(itertools.islice(itertools.permutations(range(len(names))), 0, 5040, 101)):
        mixed = [names[i] for i in order] + ["finger_of_somebody_else"]
        at = T0 + n * 10 * MS
        assert aligner.push_joints(arm.name, at, mixed, [*values[list(order)], 9.0], [], at) is None
        np.testing.assert_array_equal(aligner._samples[arm.name][-1].position, values)


@pytest.mark.parametrize("field", ["position", "velocity"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(robot, field, bad):
    """F14."""
    arm = robot.arms[1]
    names, position = joints(arm, 0.1)
    values = {"position": list(position), "velocity": list(position)}
    values[field][3] = bad
    assert Aligner(robot).push_joints(arm.name, T0, names, values["position"], values["velocity"], T0) == "nonfinite"


def test_incomplete_and_ambiguous_joint_messages_are_refused(robot):
    """F10, F13."""
    arm = robot.arms[0]
    names, position = joints(arm, 0.0)
    aligner = Aligner(robot)
    assert aligner.push_joints(arm.name, T0, names[1:], position[1:], [], T0) == f"missing {names[0]}"
    assert aligner.push_joints(arm.name, T0, [names[0], *names], [0.0, *position], [], T0) == "duplicate_name"
    assert "6 positions" in (aligner.push_joints(arm.name, T0, names, position[1:], [], T0) or "")


def fields(**changes):
    good = {"encoding": "rgb8", "height": 4, "width": 6, "step": 18, "data": bytes(72)}
    return good | changes


def test_images_are_decoded_without_a_copy_and_bgr_is_turned():
    data = bytes(range(72))
    rgb = decode_image(**fields(data=data))
    assert rgb.shape == (4, 6, 3)
    assert rgb.base is not None
    np.testing.assert_array_equal(decode_image(**fields(encoding="bgr8", data=data)), rgb[:, :, ::-1])


def test_rows_may_be_padded():
    padded = decode_image(**fields(step=20, data=bytes(80)))
    assert padded.shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"encoding": "mono8"}, "encoding 'mono8', expected rgb8 or bgr8"),
        ({"encoding": "rgba8"}, "encoding 'rgba8', expected rgb8 or bgr8"),
        ({"height": 0, "width": 0, "data": b""}, "size 0x0, expected 1 to 8192"),
        ({"width": 2**32 - 1}, "size 4294967295x4, expected 1 to 8192"),
        ({"step": 0}, "step 0, expected at least 18"),
        ({"data": bytes(71)}, "71 bytes, expected 72"),
        ({"data": bytes(73)}, "73 bytes, expected 72"),
        ({"camera_size": (1, 1)}, "size 6x4, expected 1x1"),
    ],
)
def test_malformed_images_are_refused_naming_expected_and_got(changes, cause):
    """F03."""
    with pytest.raises(Refusal) as caught:
        decode_image(**fields(**changes))
    assert str(caught.value) == cause


@given(st.lists(st.integers(-(2**62), 2**62), max_size=60))
def test_no_sequence_of_stamps_raises_or_grows_without_bound(stamps):
    from smp_bringup.robot import load_robot

    robot = load_robot("aloha")
    aligner = Aligner(robot)
    small = np.zeros((1, 1, 3), np.uint8)
    for stamp in stamps:
        for camera in robot.cameras:
            aligner.push_image(camera.name, Frame(stamp, small), T0)
        for arm in robot.arms:
            aligner.push_joints(arm.name, stamp, *joints(arm, 0.0), [], T0)
        aligner.pop()
    assert all(len(frames) <= 16 for frames in aligner._frames.values())
