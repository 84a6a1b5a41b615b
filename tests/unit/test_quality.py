"""The verdict names each planted defect, and nothing in a clean episode."""

import numpy as np
import pytest

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.record.config import QualityConfig, load_recording
from smp_bringup.record.quality import Level, judge
from smp_bringup.record.tracks import Tracks

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
LENGTH_MS = 5000
LAG_MS = 40
LATENCY_MS = 12


class Episode:
    """A clean episode of 5 s, message by message; a defect overrides one of the hooks."""

    def __init__(self, robot, seed=0):
        self.robot, self.rng = robot, np.random.default_rng(seed)
        self.home = np.array([0.039 if joint.gripper else joint.home for joint in robot.joints])
        self.arms = np.array([not joint.gripper for joint in robot.joints])
        self.phase = self.rng.uniform(0, 2 * np.pi, robot.dof)

    def leader(self, ms):
        swing = np.where(self.arms, 0.15, 0.004)
        return self.home + swing * (np.sin(ms / 700 + self.phase) - np.sin(self.phase))

    def measured(self, ms):
        return self.leader(max(0, ms - LAG_MS)) + 1e-4 * self.rng.normal(size=self.robot.dof) * self.arms

    def command(self, ms):
        return np.clip(self.leader(max(0, ms - 20)), self.robot.joint_array("min"), self.robot.joint_array("max"))

    def image(self, camera, ms):
        return self.rng.integers(0, 256, (128, 128, 3), np.uint8)

    def keeps(self, topic, ms):
        return True

    def stamp(self, topic, ms):
        return T0 + ms * MS

    def tracks(self):
        tracks, robot = Tracks(self.robot), self.robot
        for ms in range(0, LENGTH_MS, 10):
            rows = [(a.state_topic, self.measured) for a in robot.arms] + [
                (a.leader_topic, self.leader) for a in robot.arms
            ]
            for topic, say in [*rows, *((a.command_topic, self.command) for a in robot.arms)]:
                arm = next(a for a in robot.arms if topic in (a.state_topic, a.leader_topic, a.command_topic))
                names = tuple(j.name for j in arm.joints)
                cdr = joint_state_cdr(self.stamp(topic, ms), names, say(ms)[robot.arm_slices[arm.name]])
                self.send(tracks, topic, JOINT_STATE, ms, cdr)
            for camera in robot.cameras:
                if ms % 40 == 0:
                    image = self.image(camera.name, ms)
                    cdr = image_cdr(self.stamp(camera.topic, ms), camera.name, image)
                    self.send(tracks, camera.topic, IMAGE, ms, cdr)
        return tracks

    def send(self, tracks, topic, kind, ms, cdr):
        if self.keeps(topic, ms):
            tracks.take(topic, kind, T0 + (ms + LATENCY_MS) * MS, cdr)


class Frozen(Episode):
    def image(self, camera, ms):
        return (
            np.full((128, 128, 3), 7, np.uint8)
            if camera == "overview" and 2000 <= ms < 2400
            else super().image(camera, ms)
        )


class Duplicates(Episode):
    def image(self, camera, ms):
        fresh = super().image(camera, ms)
        if camera != "overview":
            return fresh
        if ms == 0 or ms % 160:
            self.last = fresh
        return self.last


class Gap(Episode):
    def keeps(self, topic, ms):
        return not (topic.endswith("left/joint_states") and "follower" in topic and 3000 <= ms < 3200)


class Offset(Episode):
    def measured(self, ms):
        offset = np.zeros(self.robot.dof)
        offset[2] = np.radians(17)
        return super().measured(ms) + offset


class IdleHead(Episode):
    def leader(self, ms):
        return super().leader(max(0, ms - 3000))


class Jump(Episode):
    def measured(self, ms):
        return super().measured(ms) + (0.25 if ms >= 2500 else 0.0) * (np.arange(self.robot.dof) == 9)


class Missing(Episode):
    def keeps(self, topic, ms):
        return "wrist_right" not in topic


class WrongRate(Episode):
    def keeps(self, topic, ms):
        return "wrist_left" not in topic or ms % 80 == 0


class SkewedClock(Episode):
    def stamp(self, topic, ms):
        return super().stamp(topic, ms) - (150 * MS if "wrist_left" in topic else 0)


class Clipped(Episode):
    def leader(self, ms):
        shift = np.zeros(self.robot.dof)
        shift[1] = self.robot.joint_array("max")[1] - self.home[1] + 0.2
        return super().leader(ms) + shift * min(1.0, ms / 1500)

    def measured(self, ms):
        return np.minimum(super().measured(ms), self.robot.joint_array("max"))


DEFECTS = {
    Frozen: ("frozen", "/camera_overview/image_raw: 10 equal frames"),
    Duplicates: ("duplicates", "/camera_overview/image_raw: 25% of the frames"),
    Gap: ("gap", "/follower_left/joint_states: silent for 210 ms at 2.99 s"),
    Offset: ("leader_offset", "left_elbow is +0.297 rad (+17 degrees)"),
    IdleHead: ("idle_head", "nothing moves in the first 3."),
    Jump: ("jump", "right_elbow jumps by 0.2"),
    Missing: ("missing", "/camera_wrist_right/image_raw: no message"),
    WrongRate: ("rate", "/camera_wrist_left/image_raw: 12."),
    SkewedClock: ("clock", "/camera_wrist_left/image_raw: +150 ms later than the other cameras"),
    Clipped: ("clipped", "left_shoulder: limits cut its leader off"),
}


@pytest.mark.parametrize("kind", DEFECTS, ids=lambda kind: kind.__name__)
def test_a_planted_defect_is_named_and_rejected(kind, robot):
    quality = judge(kind(robot).tracks(), load_recording("default").quality)
    check, text = DEFECTS[kind]
    named = [f for f in quality.findings if f.check == check]
    assert any(text in f.text for f in named), quality.findings
    assert quality.level is Level.REJECT
    assert check in quality.notes()["reasons"]


def test_clean_episodes_are_kept_without_a_word(robot):
    for seed in range(3):
        assert judge(Episode(robot, seed).tracks(), QualityConfig()).findings == ()


def test_a_still_camera_on_a_still_arm_is_not_frozen(robot):
    """In simulation a scene at rest gives equal frames: only motion in front of the camera makes them suspicious."""

    class RightArmRests(Episode):
        def leader(self, ms):
            row = super().leader(ms)
            part = self.robot.arm_slices["right"]
            row[part] = self.home[part]
            return row

        def measured(self, ms):
            return self.leader(max(0, ms - LAG_MS))

        def image(self, camera, ms):
            return np.zeros((128, 128, 3), np.uint8) if camera == "wrist_right" else super().image(camera, ms)

    assert judge(RightArmRests(robot).tracks(), QualityConfig()).findings == ()


def test_dropped_messages_and_odd_lengths_are_told(robot):
    tracks = Episode(robot).tracks()
    quality = judge(tracks, QualityConfig(), dropped={"/camera_overview/image_raw": 1})
    assert [(f.level, f.check) for f in quality.findings] == [(Level.WARN, "dropped")]
    quality = judge(tracks, QualityConfig(), others_s=[30.0, 31.0, 29.0, 30.0])
    assert [(f.level, f.check) for f in quality.findings] == [(Level.REJECT, "length")]
    assert judge(tracks, QualityConfig(), others_s=[30.0]).findings == ()


def test_the_shipped_thresholds_are_the_defaults():
    assert load_recording("default").quality == QualityConfig()
