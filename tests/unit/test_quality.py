"""The verdict names each planted defect, and nothing in a clean episode."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from smp_bringup.bag.images import jpeg
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError
from smp_bringup.leader import Leader
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig, load_recording
from smp_bringup.record.history import lengths_s
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


class Leaderless(Episode):
    """Arms without leaders: whatever drives them says it to the command node alone, or nothing does."""

    def __init__(self, robot, told):
        super().__init__(replace(robot, arms=tuple(replace(arm, leader_topic="") for arm in robot.arms)))
        self.told = told

    def send(self, tracks, topic, kind, ms, cdr):
        if topic:
            super().send(tracks, topic, kind, ms, cdr)
        if self.told and topic == self.robot.arms[-1].command_topic:
            cdr = joint_state_cdr(self.stamp(topic, ms), self.robot.joint_names, self.leader(ms))
            super().send(tracks, "/teleop/command", JOINT_STATE, ms, cdr)


class LedByHands(Leaderless):
    def __init__(self, robot, told):
        super().__init__(robot, told)
        arms = [replace(arm, leader=Leader(f"/hand_{arm.name}", kind="twist", tip="tip")) for arm in self.robot.arms]
        self.robot = replace(self.robot, arms=tuple(arms), description="x.urdf")


def test_arms_without_leader_arms_are_judged_by_what_the_teleoperation_said(robot):
    assert judge(Leaderless(robot, told=False).tracks(), QualityConfig()).findings == ()
    assert judge(Leaderless(robot, told=True).tracks(), QualityConfig()).findings == ()
    assert judge(LedByHands(robot, told=True).tracks(), QualityConfig()).findings == ()
    missing = judge(LedByHands(robot, told=False).tracks(), QualityConfig()).findings
    assert {(f.level, f.check) for f in missing} == {(Level.REJECT, "missing")}
    assert "/teleop/command" in missing[0].text


def test_the_shipped_thresholds_are_the_defaults():
    assert load_recording("default").quality == QualityConfig()


class StampedWhenDue(Episode):
    """Commands as the command node stamps them: with the time at which they are due, one period ahead."""

    def stamp(self, topic, ms):
        ahead_ms = 10 + LATENCY_MS - 2 if topic.endswith("commands") else 0
        return super().stamp(topic, ms) + ahead_ms * MS


class StampedFarAhead(Episode):
    def stamp(self, topic, ms):
        return super().stamp(topic, ms) + (60 * MS if topic.endswith("commands") else 0)


def test_commands_stamped_with_the_time_they_are_due_are_not_in_the_future(robot):
    assert judge(StampedWhenDue(robot).tracks(), QualityConfig()).findings == ()
    named = judge(StampedFarAhead(robot).tracks(), QualityConfig()).findings
    assert {f.check for f in named} == {"clock"}
    assert all("commands: stamped 38 ms in the future" in f.text for f in named)


class Unusable(Episode):
    """The overview's images are none that replay and training take, from a time on."""

    def __init__(self, robot, spoil, from_ms=0, until_ms=LENGTH_MS):
        super().__init__(robot)
        self.spoil, self.from_ms, self.until_ms = spoil, from_ms, until_ms

    def send(self, tracks, topic, kind, ms, cdr):
        if "overview" in topic and self.from_ms <= ms < self.until_ms:
            topic, kind, cdr = self.spoil(topic, T0 + ms * MS, self.image("overview", ms))
        super().send(tracks, topic, kind, ms, cdr)


def raw(encoding, change=lambda image: image):
    def spoil(topic, at, image):
        shown = np.ascontiguousarray(change(image))
        header = typestore().deserialize_cdr(image_cdr(at, "x", image[:1, :1]), IMAGE).header
        message = typestore().types[IMAGE](
            header=header,
            height=shown.shape[0],
            width=shown.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=shown[0].nbytes,
            data=shown.reshape(-1).view(np.uint8),
        )
        return topic, IMAGE, bytes(typestore().serialize_cdr(message, IMAGE))

    return spoil


def packed(pack):
    def spoil(topic, at, image):
        header = typestore().deserialize_cdr(image_cdr(at, "x", image[:1, :1]), IMAGE).header
        data = np.frombuffer(pack(image), np.uint8)
        message = typestore().types[COMPRESSED](header=header, format="", data=data)
        return f"{topic}/compressed", COMPRESSED, bytes(typestore().serialize_cdr(message, COMPRESSED))

    return spoil


def png(image, **options):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", **options)
    return out.getvalue()


def sixteen_bits(image):
    """Return a PNG of the same colours with 16 bits each."""
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in image)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", *image.shape[1::-1], 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


SPOILED = {
    "mono16": (raw("mono16", lambda i: i[..., 0].astype(np.uint16)), "encoding 'mono16', expected one of rgb8, bgr8"),
    "16UC1": (raw("16UC1", lambda i: i[..., 0].astype(np.uint16)), "encoding '16UC1', expected one of rgb8, bgr8"),
    "another size": (raw("rgb8", lambda i: i[:96, :64]), "size 64x96, the robot file says 128x128"),
    "a cut JPEG": (packed(lambda i: jpeg(i, 90)[:-300]), "no JPEG or PNG: OSError"),
    "a JPEG of another size": (packed(lambda i: jpeg(i[:64], 90)), "size 128x64, the robot file says 128x128"),
    "a 16-bit PNG of depth": (packed(lambda i: png(i[..., 0].astype(np.uint16))), "PNG of mode I;16 with 16 bits"),
    "a 16-bit PNG of colours": (packed(sixteen_bits), "PNG of mode RGB with 16 bits"),
    "a PNG with transparency": (packed(lambda i: png(np.dstack([i, i[..., :1]]))), "PNG of mode RGBA with 8 bits"),
    "no image": (packed(lambda i: b"\x00" * 50), "no JPEG or PNG"),
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("times", [(0, LENGTH_MS), (2500, LENGTH_MS), (2400, 2500)], ids=["all", "midway", "three"])
def test_images_that_replay_would_refuse_are_named_and_rejected(name, times, robot):
    spoil, cause = SPOILED[name]
    quality = judge(Unusable(robot, spoil, *times).tracks(), QualityConfig())
    assert quality.level is Level.REJECT
    count = sum(times[0] <= ms < times[1] for ms in range(0, LENGTH_MS, 40))
    refused = f"/camera_overview/image_raw: {count} messages refused" if times[0] else f"{count} refused"
    assert any(refused in f.text and cause in f.text for f in quality.findings), quality.findings


def test_packed_images_that_can_be_used_are_kept(robot):
    for pack in (lambda i: jpeg(i, 90), png):
        assert judge(Unusable(robot, packed(pack)).tracks(), QualityConfig()).findings == ()


def test_a_single_image_that_cannot_be_used_is_told(robot):
    quality = judge(Unusable(robot, SPOILED["mono16"][0], 2480, 2500).tracks(), QualityConfig(gap_s=(1, 2)))
    assert [(f.level, f.check) for f in quality.findings] == [(Level.WARN, "refused")]


def test_velocities_and_stamps_that_replay_would_refuse_are_counted(robot):
    class Odd(Episode):
        def stamp(self, topic, ms):
            return 0 if topic == "/leader_left/joint_states" and ms == 2000 else super().stamp(topic, ms)

        def send(self, tracks, topic, kind, ms, cdr):
            if topic == "/follower_left/joint_states" and ms == 1000:
                names = tuple(j.name for j in self.robot.arms[0].joints)
                velocity = np.zeros(len(names))
                velocity[1] = np.nan  # in every joint it would mean that none is measured
                cdr = joint_state_cdr(self.stamp(topic, ms), names, np.zeros(len(names)), velocity)
            super().send(tracks, topic, kind, ms, cdr)

    texts = [f.text for f in judge(Odd(robot).tracks(), QualityConfig()).findings]
    assert texts == [
        "/follower_left/joint_states: 1 messages refused (nonfinite)",
        "/leader_left/joint_states: 1 messages refused (zero_stamp)",
    ]


def test_an_episode_that_the_checks_trip_over_is_rejected(robot):
    tracks = Episode(robot).tracks()
    tracks.states["left"].values[-1] = np.zeros(3)
    [finding] = judge(tracks, QualityConfig()).findings
    assert (finding.level, finding.check) == (Level.REJECT, "verdict")
    assert "the episode cannot be judged" in finding.text


class CameraRate(Episode):
    """As a dataset comes back: everything at the cameras' rate, of 10 Hz here, and no commands."""

    def __init__(self, robot, keep_ms=100):
        super().__init__(robot)
        self.keep_ms = keep_ms

    def keeps(self, topic, ms):
        return not topic.endswith("commands") and ms % self.keep_ms == 0

    def tracks(self):
        tracks = super().tracks()
        tracks.take_rates_as_found()
        tracks.do_without_commands()
        return tracks


def test_an_import_is_judged_by_the_rate_it_has(robot):
    assert judge(CameraRate(robot, 200).tracks(), QualityConfig()).findings == ()

    class WithGap(CameraRate):
        def keeps(self, topic, ms):
            return super().keeps(topic, ms) and not 2000 <= ms < 3000

    checks = {f.check for f in judge(WithGap(robot, 40).tracks(), QualityConfig()).findings if f.level is Level.REJECT}
    assert "gap" in checks


def test_a_jump_is_one_at_the_rate_of_its_samples(robot):
    """A joint that moves at 3 rad/s moves 0.12 rad between two samples at 25 Hz; 1 rad between them is a jump."""

    class Fast(CameraRate):
        def leader(self, ms):
            return super().leader(ms) + np.where(self.arms, 0.5 * np.sin(6 * ms / 1000), 0.0)

        def measured(self, ms):
            return self.leader(ms)

    class Jumps(Fast):
        def measured(self, ms):
            return super().measured(ms) + (1.0 if ms >= 2480 else 0.0) * (np.arange(self.robot.dof) == 9)

    assert not [f for f in judge(Fast(robot, 40).tracks(), QualityConfig()).findings if f.check == "jump"]
    named = [f.text for f in judge(Jumps(robot, 40).tracks(), QualityConfig()).findings if f.check == "jump"]
    assert len(named) == 1
    assert "right_elbow jumps by" in named[0]


def test_a_clock_that_drifts_is_told_and_a_transport_that_varies_is_not(robot):
    class Drifts(Episode):
        def stamp(self, topic, ms):
            return super().stamp(topic, ms) - round(0.004 * ms * MS) * ("leader_left" in topic)

    named = judge(Drifts(robot).tracks(), QualityConfig()).findings
    assert [f.text for f in named] == ["/leader_left/joint_states: its clock drifts +4.0 ms/s"]

    class Varies(Episode):
        def stamp(self, topic, ms):
            late = 1.2 * (ms // 10 * 3 % 10) + (5.5 if ms > LENGTH_MS / 2 else 0.0)
            return super().stamp(topic, ms) + round((8 - late) * MS) * ("leader_left" in topic)

    assert judge(Varies(robot).tracks(), QualityConfig()).findings == ()


@pytest.mark.parametrize(("late_ms", "kept"), [(90, True), (140, False)])
def test_states_that_the_aligner_does_not_wait_for_spoil_an_episode(late_ms, kept, robot):
    """Stamped so long ago, no frame finds its joints in time: replay and training would get nothing."""

    class Late(Episode):
        def stamp(self, topic, ms):
            return super().stamp(topic, ms) - late_ms * MS * ("follower" in topic)

    tracks = Late(robot).tracks()
    findings = judge(tracks, QualityConfig()).findings
    assert (tracks.sets > 100) == kept
    assert ([f.check for f in findings if f.level is Level.REJECT] == ["aligned"]) == (not kept)
    if not kept:
        text = next(f.text for f in findings if f.check == "aligned")
        assert text.startswith("replay and training can use 0 of 125 frames of /camera_overview/image_raw")


def test_what_is_known_to_be_missing_is_a_warning(robot):
    quality = judge(Episode(robot).tracks(), QualityConfig(), lacking=["3 messages"])
    assert [(f.level, f.check, f.text) for f in quality.findings] == [(Level.WARN, "incomplete", "3 messages")]


@pytest.mark.parametrize("duration", [".nan", ".inf", "-5", "0", "1.0e+300", "[]", "9" * 400, "true"])
def test_lengths_that_are_none_leave_the_others_alone(duration, tmp_path):
    for name, text in (("a", "2000000000"), ("b", duration)):
        (tmp_path / name).mkdir()
        told = f"rosbag2_bagfile_information:\n  duration: {{nanoseconds: {text}}}\n"
        (tmp_path / name / "metadata.yaml").write_text(told)
    assert lengths_s(tmp_path) == [2.0]


@pytest.mark.parametrize("count", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "\N{ARABIC-INDIC DIGIT THREE}", "-5", ""])
def test_a_count_of_dropped_messages_that_is_none_is_one_line(count, robot, tmp_path):
    writer = BagWriter(tmp_path / "bag", robot, "x")
    writer.write("/a", JOINT_STATE, T0, joint_state_cdr(T0, (), np.zeros(0)))
    bag = open_bag(writer.close(True, {"dropped/a": count}))
    with pytest.raises(BagError, match="messages of /a were dropped: no number"):
        judge_bag(bag, robot, QualityConfig())


@pytest.mark.parametrize(
    ("repaired", "said"),
    [
        ('{"missing": 0, "damage": [], "closed": true}', None),
        ('{"missing": 3, "damage": ["a"], "closed": true}', "3 messages known to be lost, 1 damaged places"),
        ("{{{", "it does not say what was lost"),
        ('{"missing": "x", "damage": 5}', "it does not say what was lost"),
    ],
)
def test_a_repaired_bag_says_what_it_lost(repaired, said, robot, tmp_path):
    writer = BagWriter(tmp_path / "bag", robot, "x")
    writer.write("/a", JOINT_STATE, T0, joint_state_cdr(T0, (), np.zeros(0)))
    bag = open_bag(writer.close(True, {"repaired": repaired}))
    found = [f.text for f in judge_bag(bag, robot, QualityConfig()).findings if f.check == "incomplete"]
    assert found == ([] if said is None else [f"repaired: {said}"])
