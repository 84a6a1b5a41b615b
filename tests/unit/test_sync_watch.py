"""The watch over the streams on a fake steady clock: F01, F02, and starving cameras, with their bounds."""

import numpy as np
import pytest

from smp_bringup.sync.watch import StreamHealth, StreamWatch

MS = 1_000_000
BOUND_MS = 100 + 2 * 10
"""100 ms and two control cycles."""


class Streams:
    """Cameras at 25 Hz and arms at 100 Hz of a moving robot."""

    def __init__(self, robot, rng):
        self.robot, self.rng, self.watch, self.ms, self.q = robot, rng, StreamWatch(robot), 0, 0.0
        self.frozen = np.zeros((4, 4, 3), np.uint8)
        self.poses = {}

    def see(self, camera, delay_ms):
        """Let a camera without noise show the pose of a while ago."""
        shown = round(self.poses[self.ms - delay_ms] * 100) % 256
        self.watch.on_image(camera, np.full((4, 4, 3), shown, np.uint8), self.ms * MS)

    def run(self, until_ms, skip=(), freeze=(), speed=0.5, noise=False, every_ms=40):
        """Return the first report that is not OK with its time, or None."""
        first = None
        while self.ms < until_ms:
            self.q += speed * 0.01
            self.poses[self.ms] = self.q
            for arm in self.robot.arms:
                self.watch.on_joints(arm.name, np.full(len(arm.joints), self.q), self.ms * MS)
            for camera in self.robot.cameras:
                period = every_ms if camera.name in skip else 40
                if period and self.ms % period == 0:
                    image = self.rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                    if camera.name in freeze:
                        image = self.frozen.copy()
                        if noise:
                            image[tuple(self.rng.integers(0, 4, 2))] ^= 1
                    self.watch.on_image(camera.name, image, self.ms * MS)
            report = self.watch.report(self.ms * MS)
            if report.health is not StreamHealth.OK and first is None and self.ms >= 1000:
                first = report, self.ms
            self.ms += 10
        return first


@pytest.fixture
def streams(robot, rng):
    """Streams that have run for a healthy second."""
    made = Streams(robot, rng)
    assert made.run(1000) is None
    assert made.watch.report(990 * MS).health is StreamHealth.OK
    return made


@pytest.mark.parametrize("camera", ["overview", "wrist_left", "wrist_right"])
def test_a_stalled_camera_is_invalid_in_time_and_named(streams, camera):
    """F01: the first frame that is missing is that of 1000 ms."""
    report, at_ms = streams.run(2000, skip=(camera,), every_ms=0)
    assert report.health is StreamHealth.INVALID
    assert report.reason.startswith(f"camera_stalled:{camera}")
    assert at_ms <= 1000 + BOUND_MS
    streams.run(2100)
    assert streams.watch.report(2100 * MS).health < StreamHealth.INVALID


def test_a_frozen_camera_of_a_moving_robot_is_invalid_after_five_frames(streams):
    """F02: the sixth of six equal frames is the fifth that equals its predecessor."""
    report, at_ms = streams.run(3000, freeze=("wrist_left",))
    assert (report.health, report.reason) == (StreamHealth.INVALID, "camera_frozen:wrist_left")
    assert at_ms <= 1000 + 5 * 40 + 20


def test_frozen_stays_invalid_when_the_robot_stops_until_the_pixels_change(streams):
    streams.run(1400, freeze=("overview",))
    streams.run(4000, freeze=("overview",), speed=0.0)
    assert streams.watch.report(4000 * MS).health is StreamHealth.INVALID
    streams.run(4050)
    assert streams.watch.report(4050 * MS).health is StreamHealth.OK


def test_equal_frames_of_a_robot_at_rest_are_a_warning_only(streams):
    report, _ = streams.run(4000, freeze=("overview",), speed=0.0)
    assert (report.health, report.cause) == (StreamHealth.WARN, "camera_still:overview")


def test_one_bit_of_sensor_noise_is_no_frozen_camera(streams):
    assert streams.run(20_000, freeze=("overview",), noise=True) is None


@pytest.mark.parametrize("delay_ms", [0, 60, 150])
def test_a_late_camera_of_a_robot_that_starts_and_stops_is_not_frozen(streams, delay_ms):
    """Its frames are equal while the robot rests, and for a while after it has begun to move."""
    worst = StreamHealth.OK
    for k in range(400):
        streams.run(streams.ms + 10, skip=("overview",), every_ms=0, speed=0.5 if k // 50 % 2 else 0.0)
        if k % 4 == 0:
            streams.see("overview", delay_ms + 10)
            worst = max(worst, streams.watch.report(streams.ms * MS).health)
    assert worst is StreamHealth.WARN  # at rest its frames are equal


@pytest.mark.parametrize("period_ms", [60, 80])
def test_a_starving_camera_is_named_within_two_seconds(streams, period_ms):
    report, at_ms = streams.run(4000, skip=("wrist_right",), every_ms=period_ms)
    assert report.reason.startswith("camera_starving:wrist_right (")
    assert report.health is StreamHealth.WARN
    assert at_ms <= 3000


def test_a_camera_never_heard_is_missing(robot):
    report = StreamWatch(robot).report(0)
    assert (report.health, report.reason) == (StreamHealth.INVALID, "camera_missing:overview")


def test_a_camera_whose_images_are_refused_says_why_it_is_missing(robot):
    watch = StreamWatch(robot)
    watch.on_refused("overview", "size 1280x720, the robot file says 128x128")
    assert watch.report(0).reason == "camera_missing:overview (size 1280x720, the robot file says 128x128)"
