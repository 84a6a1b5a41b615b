"""The aligner against the faults F03 to F08 and F10 to F14: refuse, count, and go on pairing."""

import itertools
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smp_bringup.sync.aligner import Aligner
from smp_bringup.sync.checks import Refusal, decode_image, decode_packed
from smp_bringup.sync.pixels import ENCODINGS
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
            speed = [2.0 + ms / 5] * len(arm.joints)
            aligner.push_joints(arm.name, T0 + ms * MS, *joints(arm, ms / 10), speed, T0 + ms * MS)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 4 * MS, image(robot, camera.name)), T0 + 10 * MS)
    (aligned,) = aligner.pop()
    np.testing.assert_allclose(aligned.position, 0.4)
    np.testing.assert_allclose(aligned.velocity, 2.8)


def test_velocities_are_interpolated_to_the_image_stamp(robot):
    aligner = Aligner(robot)
    for ms in (0, 10):
        for arm in robot.arms:
            names, position = joints(arm, 0.0)
            at = T0 + ms * MS
            aligner.push_joints(arm.name, at, names, position, [ms / 10] * len(names), at)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 4 * MS, image(robot, camera.name)), T0 + 10 * MS)
    (aligned,) = aligner.pop()
    np.testing.assert_allclose(aligned.velocity, 0.4)


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
    """F07, F08: everything is flushed once, and the first set comes within 200 ms."""
    feed = Feed(robot).run(100_000, 101_000)
    before = len(feed.sets)
    feed.run(0, 1000)
    assert feed.aligner.counters["clock_reset"] == 1
    assert len(feed.sets) >= before + 24
    assert feed.sets[before].stamp_ns <= T0 + 200 * MS


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_wall_clock_that_jumps_an_hour_trips_nothing(robot, jump_ms):
    """F07: stamps and now jump together; the steady clock of the watch does not."""
    feed = Feed(robot).run(0, 1000)
    before = len(feed.sets)
    feed.run(jump_ms + 1000, jump_ms + 2000)
    assert len(feed.sets) >= before + 24
    assert feed.sets[before].stamp_ns <= T0 + (jump_ms + 1200) * MS
    assert feed.aligner.counters["clock_reset"] == (1 if jump_ms < 0 else 0)


def test_one_stray_from_the_past_flushes_nothing(robot):
    """F04."""
    feed = Feed(robot).run(100_000, 100_400)
    stray = Frame(T0 + 5 * MS, image(robot, "overview"))
    assert feed.aligner.push_image("overview", stray, T0 + 100_400 * MS) == "out_of_order"
    before = len(feed.sets)
    feed.run(100_400, 100_800)
    assert len(feed.sets) == before + 10


def test_a_driver_whose_clock_was_set_back_is_heard_again(robot):
    """Three messages in order among themselves are no strays."""
    feed = Feed(robot).run(100_000, 101_000)
    refused = 0
    for ms in range(0, 400, 40):
        frame = Frame(T0 + ms * MS, image(robot, "overview"))
        refused += feed.aligner.push_image("overview", frame, T0 + (101_000 + ms) * MS) is not None
    assert refused == 2
    assert feed.aligner.counters["overview/restarted"] == 1


def test_an_angle_goes_the_shorter_way_round(robot):
    aligner = Aligner(robot)
    for ms, value in ((0, 3.1), (10, -3.1)):
        for arm in robot.arms:
            aligner.push_joints(arm.name, T0 + ms * MS, *joints(arm, value), [], T0 + ms * MS)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 6 * MS, image(robot, camera.name)), T0 + 10 * MS)
    (aligned,) = aligner.pop()
    np.testing.assert_allclose(aligned.position, -3.1 - 0.4 * (2 * np.pi - 6.2))


def test_nothing_is_interpolated_across_a_gap(robot):
    aligner = Aligner(robot)
    for ms in (0, 150):
        for arm in robot.arms:
            aligner.push_joints(arm.name, T0 + ms * MS, *joints(arm, 0.0), [], T0 + ms * MS)
    for camera in robot.cameras:
        aligner.push_image(camera.name, Frame(T0 + 60 * MS, image(robot, camera.name)), T0 + 150 * MS)
    assert aligner.pop() == []


@pytest.mark.parametrize("late", ["overview", "wrist_left", "left"])
def test_a_latency_in_the_robot_file_is_taken_off_and_waited_for(robot, late):
    """A sensor that stamps 150 ms late is paired at its true time, whichever it is."""
    cameras = tuple(replace(c, latency_s=0.15 * (c.name == late)) for c in robot.cameras)
    arms = tuple(replace(a, latency_s=0.15 * (a.name == late)) for a in robot.arms)
    aligner, sets = Aligner(replace(robot, cameras=cameras, arms=arms)), []
    for ms in range(0, 2000, 10):
        now = T0 + ms * MS
        true = {name: ms - 150 * (name == late) for name in ("left", "right", *(c.name for c in robot.cameras))}
        for arm in robot.arms:
            aligner.push_joints(arm.name, now, *joints(arm, true[arm.name] / 1e3), [], now)
        for camera in robot.cameras:
            if true[camera.name] % 40 == 0:
                aligner.push_image(camera.name, Frame(now, image(robot, camera.name)), now)
        sets += aligner.pop()
    assert len(sets) > 40
    for aligned in sets:
        np.testing.assert_allclose(aligned.position, (aligned.stamp_ns - T0) / 1e9, atol=1e-9)
        assert set(aligned.skew_ns.values()) == {0}


@pytest.mark.parametrize(("rate_hz", "before_ms", "after_ms"), [(25, 16, None), (60, 15, 2), (60, 9, None)])
def test_a_nearer_frame_is_waited_for_where_that_gains_more_than_it_costs(robot, rate_hz, before_ms, after_ms):
    """A frame within the slop is there; the next one of its camera is due one period after it."""
    cameras = (robot.cameras[0], *(replace(c, rate_hz=rate_hz) for c in robot.cameras[1:]))
    aligner = Aligner(replace(robot, cameras=cameras))
    for ms in (0, 100):
        for arm in robot.arms:
            aligner.push_joints(arm.name, T0 + ms * MS, *joints(arm, 0.0), [], T0 + ms * MS)
    others = [c.name for c in robot.cameras[1:]]

    def expose(names, ms):
        for name in names:
            aligner.push_image(name, Frame(T0 + ms * MS, image(robot, name)), T0 + ms * MS)
        return aligner.pop()

    expose(others, 40 - before_ms)
    sets = expose(["overview"], 40)
    if after_ms is not None:
        assert sets == []
        sets = expose(others, 40 + after_ms)
    (aligned,) = sets
    assert aligned.stamp_ns == T0 + (40 + (after_ms or 0)) * MS
    assert aligned.skew_ns["overview"] == -(after_ms or 0) * MS
    assert aligned.skew_ns["wrist_left"] == (0 if after_ms else -before_ms * MS)


def test_a_set_has_the_stamp_of_its_newest_frame_and_the_joints_of_then(robot):
    """One wrist camera exposes 10 ms after the others."""
    aligner, sets = Aligner(robot), []
    for ms in range(0, 1000, 10):
        now = T0 + ms * MS
        for arm in robot.arms:
            aligner.push_joints(arm.name, now, *joints(arm, ms / 1e3), [], now)
        for camera in robot.cameras:
            if (ms - 10 * (camera.name == "wrist_left")) % 40 == 0:
                aligner.push_image(camera.name, Frame(now, image(robot, camera.name)), now)
        sets += aligner.pop()
    assert [s.stamp_ns for s in sets] == [T0 + ms * MS for ms in range(10, 1000, 40)]
    for aligned in sets:
        np.testing.assert_allclose(aligned.position, (aligned.stamp_ns - T0) / 1e9, atol=1e-9)
        assert aligned.skew_ns == {"overview": -10 * MS, "wrist_left": 0, "wrist_right": -10 * MS}


def test_a_frame_whose_match_cannot_come_any_more_holds_up_no_later_set(robot):
    """One frame of a wrist camera is lost: its set is given up with the next frame, not after the longest wait."""
    aligner, came = Aligner(robot), {}
    for ms in range(0, 1000, 10):
        now = T0 + ms * MS
        for arm in robot.arms:
            aligner.push_joints(arm.name, now, *joints(arm, 0.0), [], now)
        for camera in robot.cameras:
            if ms % 40 == 0 and (camera.name != "wrist_left" or ms != 400):
                aligner.push_image(camera.name, Frame(now, image(robot, camera.name)), now)
        came |= {(s.stamp_ns - T0) // MS: ms for s in aligner.pop()}
    assert came == {ms: ms for ms in range(0, 1000, 40) if ms != 400}
    assert aligner.counters["wrist_left/no_match"] == 1


def test_no_two_sets_have_the_same_newest_frame(robot):
    """A slow camera is 15 ms ahead of a fast reference: the next frame of that would add nothing newer."""
    fast = (replace(robot.cameras[0], rate_hz=100), *robot.cameras[1:])
    aligner, sets = Aligner(replace(robot, cameras=fast)), []
    for ms in range(0, 1000, 5):
        now = T0 + ms * MS
        for arm in robot.arms:
            aligner.push_joints(arm.name, now, *joints(arm, 0.0), [], now)
        for camera in robot.cameras:
            due = ms % 10 == 0 if camera.name == "overview" else ms % 40 == 15
            if due:
                aligner.push_image(camera.name, Frame(now, image(robot, camera.name)), now)
        sets += aligner.pop()
    stamps = [s.stamp_ns for s in sets]
    assert len(stamps) > 40
    assert all(b > a for a, b in itertools.pairwise(stamps))
    assert aligner.counters["overview/no_newer"] > 5


@pytest.mark.parametrize(("shift_ms", "paired"), [(-20, True), (-60, False), (-200, False)])
def test_a_late_stream_beyond_the_slop_gives_no_pair_and_its_skew_is_told(robot, shift_ms, paired):
    """F06: one camera stamped 20, 60, 200 ms late at half the rate, so that no other frame lies near."""
    aligner, sets = Aligner(robot), []
    for ms in range(0, 2000, 10):
        now = T0 + ms * MS
        for arm in robot.arms:
            aligner.push_joints(arm.name, now, *joints(arm, 0.0), [], now)
        if ms % 400 == 0:
            for camera in robot.cameras:
                stamp = now + (shift_ms * MS if camera.name == "wrist_left" else 0)
                aligner.push_image(camera.name, Frame(stamp, image(robot, camera.name)), now)
        sets += aligner.pop()
    assert (len(sets) > 0) == paired
    assert aligner.skew_ns["wrist_left"] == shift_ms * MS


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
        ({"encoding": "16UC1"}, f"encoding '16UC1', expected one of {', '.join(ENCODINGS)}"),
        ({"encoding": 9999 * "x"}, f"encoding '{40 * 'x'}', expected one of {', '.join(ENCODINGS)}"),
        ({"encoding": "yuyv", "width": 5}, "size 5x4, yuyv comes in blocks of 2x1"),
        ({"encoding": "bayer_rggb8", "height": 3}, "size 6x3, bayer_rggb8 comes in blocks of 2x2"),
        ({"encoding": "rgba8"}, "step 18, expected at least 24"),
        ({"height": 0, "width": 0, "data": b""}, "size 0x0, expected 1 to 8192"),
        ({"width": 2**32 - 1}, "size 4294967295x4, expected 1 to 8192"),
        ({"step": 0}, "step 0, expected at least 18"),
        ({"data": bytes(71)}, "71 bytes, expected 72"),
        ({"data": bytes(73)}, "73 bytes, expected 72"),
        ({"camera_size": (1, 1)}, "size 6x4, the robot file says 1x1"),
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
    buffers = (aligner._waiting, *aligner._frames.values(), *aligner._samples.values())
    assert all(buffer.maxlen is not None and buffer.maxlen <= 64 for buffer in buffers)


def packed(form, mode, bits=8):
    out = BytesIO()
    pixels = np.arange(64 * 64, dtype=np.uint16 if bits == 16 else np.uint8).reshape(64, 64)
    (Image.fromarray(pixels) if bits == 16 else Image.new(mode, (64, 64))).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_packed_images_are_those_that_raw_ones_may_be(form):
    assert decode_packed(packed(form, "RGB"), (64, 64)).shape == (64, 64, 3)
    assert decode_packed(packed(form, "L")).shape == (64, 64, 3)
    with pytest.raises(Refusal, match="no JPEG or PNG"):
        decode_packed(packed(form, "RGB")[:-40])


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "LA"])
def test_a_png_of_other_pixels_is_refused(mode):
    with pytest.raises(Refusal, match=f"PNG of mode {mode} with"):
        decode_packed(packed("PNG", mode))


def test_a_png_of_16_bits_is_refused_not_clipped():
    with pytest.raises(Refusal, match="PNG of mode I;16 with 16 bits, expected RGB or L with 8"):
        decode_packed(packed("PNG", "", 16))


@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG"]), st.integers(0, 2000))
def test_no_packed_bytes_raise_anything_but_a_refusal(garbage, form, at):
    whole = packed(form, "RGB")
    for data in (garbage, whole[:at] + garbage + whole[at + len(garbage) :]):
        try:
            decode_packed(data, (64, 64))
        except Refusal:
            continue
