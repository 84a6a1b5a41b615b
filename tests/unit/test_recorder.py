"""The recorder without ROS: a steady clock that the test turns, real files, a real full disk."""

import errno
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from mcap.reader import make_reader

from smp_bringup.bag.episode import slug
from smp_bringup.bag.messages import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    JOINT_STATE,
    image_cdr,
    joint_state_cdr,
    typestore,
)
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.repair import repair
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.errors import BagError, ConfigError, SmpError
from smp_bringup.paths import named_config
from smp_bringup.record.config import PedalConfig, RecordConfig, load_recording
from smp_bringup.record.heard import Heard
from smp_bringup.record.pedal import Pedal
from smp_bringup.record.recorder import Recorder
from smp_bringup.record.tasks import TaskQueue
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.types import nanoseconds

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000
SMALL = StorageConfig(chunk_kib=1024, flush_s=0.4, min_free_gib=0, min_free_s=0, reserve_mib=1)


def recorder(out, task="lift_tray", storage=SMALL, **more):
    return Recorder(load_robot("aloha"), load_safety("default"), out, task, RecordConfig(storage), **more)


def joints(recording, at_s, topic="/leader_left/joint_states", count=1):
    for i in range(count):
        at = T0 + nanoseconds(at_s) + i
        recording.offer(topic, JOINT_STATE, at, joint_state_cdr(at, ("a",), np.array([at_s])))


def test_what_is_older_than_the_flush_period_survives_a_kill(tmp_path):
    """Joint-rate data never fills a chunk; it is on the disk all the same."""
    recording = recorder(tmp_path)
    recording.start(0)
    for cycle in range(300):
        joints(recording, cycle / 100)
        if cycle % 50 == 0:
            joints(recording, cycle / 100, "/command/state")
        recording.pump(round(cycle / 100 * S))
    shutil.copytree(tmp_path / "lift_tray/episode_00000.partial", tmp_path / "killed.partial")
    report = repair(tmp_path / "killed.partial")
    last = {t.topic: (t.last_ns - T0) / S for t in report.topics}
    assert last["/leader_left/joint_states"] >= 2.99 - 0.45
    assert last["/command/state"] == 2.5
    assert (report.missing, report.closed) == (0, False)
    assert set(open_bag(report.folder).attachments) == {"robot.yaml", "task.yaml", "sync.yaml", "safety.yaml"}


def test_a_slow_disk_drops_and_counts_but_never_blocks(tmp_path):
    recording = recorder(tmp_path, storage=replace(SMALL, queue_mib=0.01))
    recording.start(0)
    joints(recording, 0.0, count=500)
    recording.pump(1 * S)
    joints(recording, 1.0, count=1)
    text = recording.stop()
    bag = open_bag(next(tmp_path.glob("lift_tray/*")))
    kept = bag.counts["/leader_left/joint_states"]
    assert 0 < kept < 501
    assert recording.dropped == int(bag.episode["dropped/leader_left/joint_states"]) == 501 - kept
    assert "dropped: /leader_left/joint_states" in text
    assert recording.report()["warning"]
    report = repair(bag.path, tmp_path / "copy")  # the gap in the count says how many are missing
    assert report.missing == 501 - kept


def test_low_space_refuses_to_start_and_closes_what_is_open(tmp_path):
    room = {"bytes": 3 << 30}
    recording = recorder(tmp_path, storage=replace(SMALL, min_free_gib=2), free=lambda folder: room["bytes"])
    recording.start(0)
    joints(recording, 0.0, count=10)
    recording.pump(1 * S)
    assert recording.recording
    room["bytes"] = 1 << 30
    recording.pump(2 * S)
    assert not recording.recording
    bag = open_bag(tmp_path / "lift_tray/episode_00000")
    assert (bag.episode["truncated"], bag.verify().messages) == ("disk_low", 10)
    with pytest.raises(SmpError, match=r"1\.00 GiB free .* 2\.00 GiB are needed"):
        recording.start(3 * S)


def test_space_for_a_minute_at_the_present_rate_is_asked_for(tmp_path):
    recording = recorder(tmp_path, storage=replace(SMALL, min_free_s=60), free=lambda folder: 1 << 20)
    with pytest.raises(SmpError, match="make room"):
        recording.start(0)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", mount], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_ends_in_a_clean_bag(small_disk):
    rng = np.random.default_rng(0)
    recording = recorder(small_disk)
    recording.start(0)
    for k in range(3000):
        at = T0 + k * 10_000_000
        recording.offer(
            "/camera_overview/image_raw", IMAGE, at, image_cdr(at, "x", rng.integers(0, 256, (128, 128, 3), np.uint8))
        )
        recording.pump(k * 10_000_000)
        if not recording.recording:
            break
    assert not recording.recording
    assert recording.failed
    bag = open_bag(small_disk / "lift_tray/episode_00000")
    assert bag.episode["truncated"] == "disk_full"
    assert bag.verify().messages > 800
    with pytest.raises(SmpError, match="cannot be made: No space left"):
        recorder(small_disk).start(0)


def test_an_input_output_error_leaves_a_bag_that_can_be_repaired(tmp_path, monkeypatch):
    recording = recorder(tmp_path)
    recording.start(0)
    joints(recording, 0.0, count=50)
    recording.pump(1 * S)
    true_write = os.write

    def fail(handle, data):
        true_write(handle, data[:7])
        raise OSError(errno.EIO, "Input/output error")

    joints(recording, 1.0, count=50)
    with monkeypatch.context() as patch:
        patch.setattr("smp_bringup.bag.disk.os.write", fail)
        recording.pump(2 * S)
    assert not recording.recording
    assert recording.failed
    assert "smp bag repair" in recording.said
    report = repair(tmp_path / "lift_tray/episode_00000.partial")
    assert report.recovered >= 50
    assert recording.start(3 * S).endswith("episode_00001")


def test_a_queue_moves_on_when_enough_episodes_are_kept(tmp_path):
    recording = recorder(tmp_path, "lift_tray*1, fold the towel*2")
    folders = []
    for label in (False, True, True, True):
        recording.start(0)
        recording.label(label)
        joints(recording, 0.0)
        recording.stop()
        folders.append(recording._last[0].relative_to(tmp_path).parent.name)
    # episodes of one message are rejected, and a rejected one does not count
    assert folders == ["lift_tray"] * 4
    assert recording.skip() == "next: fold the towel"
    recording.start(0)
    recording.stop()
    bag = open_bag(tmp_path / "fold_the_towel/episode_00000")
    assert (bag.episode["task"], bag.episode["text"], bag.outcome) == ("fold the towel", "fold the towel", "unlabelled")
    recording.skip()
    with pytest.raises(SmpError, match="the queue is done"):
        recording.start(0)


def test_messages_of_other_joints_do_not_cost_the_bag(tmp_path, robot):
    """A driver that changes the number of its joints half-way."""
    from smp_bringup.bag.messages import typestore

    yaml = tmp_path / "robot.yaml"
    text = named_config("robots", "aloha").read_text()
    yaml.write_text(text.replace("command_interface: joint_state", "command_interface: forward_position"))
    recording = Recorder(load_robot(str(yaml)), load_safety("default"), tmp_path, "lift_tray", RecordConfig(SMALL))
    recording.start(0)
    kind, types = "std_msgs/msg/Float64MultiArray", typestore().types
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    for k in range(20):
        message = types[kind](layout=layout, data=np.zeros(7 - k // 10))
        cdr = bytes(typestore().serialize_cdr(message, kind))
        recording.offer("/follower_left/joint_commands", kind, T0 + k * 10_000_000, cdr)
    assert "10 messages refused (6 values for 7 joints)" in recording.stop()
    assert open_bag(tmp_path / "lift_tray/episode_00000").verify().messages == 20


def test_discard_removes_the_open_episode_or_the_last(tmp_path):
    recording = recorder(tmp_path)
    recording.start(0)
    recording.discard()
    assert list((tmp_path / "lift_tray").iterdir()) == []
    recording.start(0)
    joints(recording, 0.0)
    recording.stop()
    recording.discard()
    assert list((tmp_path / "lift_tray").iterdir()) == []
    for refused in (recording.discard, recording.stop, lambda: recording.label(True)):
        with pytest.raises(SmpError, match=r"not recording|nothing to discard"):
            refused()


def test_nothing_between_episodes_is_recorded(tmp_path):
    recording = recorder(tmp_path)
    joints(recording, 0.0)
    recording.start(0)
    with pytest.raises(SmpError, match="already recording"):
        recording.start(0)
    joints(recording, 1.0)
    recording.stop()
    joints(recording, 2.0)
    assert open_bag(tmp_path / "lift_tray/episode_00000").verify().messages == 1


def test_a_pedal_starts_stops_and_discards_and_a_held_button_is_one_press(tmp_path):
    recording, pedal = recorder(tmp_path), Pedal(PedalConfig())

    def press(*buttons):
        return [act(recording, lambda: recording.start(0)) for act in pedal.pressed(buttons)]

    assert press(1, 0, 0)[0].startswith("recording")
    assert press(1, 0, 0) == []
    press(0, 0, 0)
    joints(recording, 0.0)
    assert press(1, 0, 0)[0].startswith("saved")
    assert open_bag(tmp_path / "lift_tray/episode_00000").outcome == "success"
    press(0, 0, 0)
    assert press(0, 0, 1)[0].startswith("discarded")


def test_a_half_written_bag_is_neither_overwritten_nor_in_the_way(tmp_path):
    (tmp_path / "lift_tray/episode_00000.partial").mkdir(parents=True)
    recording = recorder(tmp_path)
    assert recording.start(0).endswith("episode_00001")
    recording.discard()
    assert (tmp_path / "lift_tray/episode_00000.partial").is_dir()


def test_images_are_recorded_as_jpeg_where_the_robot_file_says_so(tmp_path, robot):
    from smp_bringup.bag.aligned import aligned_sets

    yaml = tmp_path / "robot.yaml"
    yaml.write_text(
        named_config("robots", "aloha").read_text().replace("rate_hz: 25,", "rate_hz: 25, recording: jpeg,")
    )
    recording = Recorder(load_robot(str(yaml)), load_safety("default"), tmp_path, "lift_tray", RecordConfig(SMALL))
    recording.start(0)
    ramp = np.linspace(0, 255, 128, dtype=np.uint8)
    image = np.stack(
        [np.tile(ramp, (128, 1)), np.tile(ramp[:, None], (1, 128)), np.full((128, 128), 90, np.uint8)], axis=2
    )
    for camera in robot.cameras:
        recording.offer(camera.topic, IMAGE, T0, image_cdr(T0, camera.name, image))
    for arm in robot.arms:
        names, part = tuple(j.name for j in arm.joints), robot.joint_array("home")[robot.arm_slices[arm.name]]
        recording.offer(arm.state_topic, JOINT_STATE, T0, joint_state_cdr(T0, names, part))
    recording.stop()
    bag = open_bag(tmp_path / "lift_tray/episode_00000")
    assert bag.types["/camera_overview/image_raw/compressed"] == "sensor_msgs/msg/CompressedImage"
    (only,) = aligned_sets(bag, bag.robot())
    for seen in only.images.values():
        assert np.abs(seen.astype(int) - image).mean() < 2
    assert sum(f.stat().st_size for f in bag.files) < 3 * image.size


def test_compressed_images_and_calibrations_are_recorded_as_they_came_and_stay_in_a_repaired_bag(tmp_path, robot):
    from smp_bringup.bag.aligned import aligned_sets
    from smp_bringup.bag.images import jpeg_cdr

    yaml = tmp_path / "robot.yaml"
    text = named_config("robots", "aloha").read_text().replace("image_raw,", "image_raw/compressed, recording: jpeg,")
    yaml.write_text(text)
    own = load_robot(str(yaml))
    recording = Recorder(own, load_safety("default"), tmp_path, "lift_tray", RecordConfig(SMALL))
    recording.start(0)
    image = np.full((128, 128, 3), 90, np.uint8)
    sent = {camera.topic: jpeg_cdr(T0, camera.name, image, 80) for camera in own.cameras}
    calibration = typestore().types[CAMERA_INFO]
    info = own.cameras[0].info_topic, typestore().serialize_cdr(_blank(calibration), CAMERA_INFO)
    for topic, cdr in sent.items():
        recording.offer(topic, COMPRESSED, T0, cdr)
    recording.offer(info[0], CAMERA_INFO, T0, bytes(info[1]))
    for arm in own.arms:
        names, part = tuple(j.name for j in arm.joints), own.joint_array("home")[own.arm_slices[arm.name]]
        recording.offer(arm.state_topic, JOINT_STATE, T0, joint_state_cdr(T0, names, part))
    said = recording.stop()
    assert "image_raw/compressed: no" not in said
    bag = open_bag(tmp_path / "lift_tray/episode_00000")
    assert info[0] == "/camera_overview/camera_info"
    (only,) = aligned_sets(bag, bag.robot())
    assert all(np.abs(seen.astype(int) - 90).max() <= 2 for seen in only.images.values())
    for whole in (bag, open_bag(repair(bag.path).folder)):
        kept = {topic: bytes(cdr) for topic, _, cdr in whole.raw_messages({*sent, info[0]})}
        assert kept == sent | {info[0]: bytes(info[1])}


def _blank(kind):
    """Return a message of numbers that are zero and texts that are empty."""
    from smp_bringup.bag.messages import header

    types = typestore().types
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k, r, p = np.zeros(9), np.zeros(9), np.zeros(12)
    return kind(header(T0, "camera"), 480, 640, "plumb_bob", np.zeros(5), k, r, p, 0, 0, roi)


def test_gaps_in_the_numbers_of_a_publisher_are_what_the_transport_lost():
    heard = Heard()
    assert [heard.missed("/a", n) for n in (5, 6, 9, 10, 1, 2, 4)] == [0, 0, 2, 0, 0, 0, 1]
    assert [heard.missed("/b", n) for n in (7, 100, 8, 101, 9)] == [0, 92, 0, 0, 0]  # two publishers: given up


@pytest.mark.parametrize(("text", "message"), [("a*0", "count of at least 1"), ("a*2,,b", "must be a task")])
def test_a_queue_that_asks_for_nothing_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        TaskQueue(text)


def test_commas_of_a_sentence_part_no_tasks():
    sentence = "press the left button, let it come up, then press the other one"
    assert [entry.task for entry in TaskQueue(sentence).entries] == [sentence]
    assert str(TaskQueue(f"{sentence}*20, fold*5, a, b")) == f"{sentence} 0/20, fold 0/5, a, b 0/-"


def test_tasks_become_folder_names():
    assert slug("Fold the towel!") == "fold_the_towel"
    assert slug("../../etc/passwd") == "passwd"
    with pytest.raises(ConfigError, match="no letter or digit"):
        slug("../..")


def test_a_flipped_byte_costs_its_chunk_and_the_count_says_how_much(tmp_path):
    recording = recorder(tmp_path, storage=replace(SMALL, chunk_kib=4))
    recording.start(0)
    joints(recording, 0.0, count=1000)
    recording.stop()
    file = next((tmp_path / "lift_tray/episode_00000").glob("*.mcap"))
    data = bytearray(file.read_bytes())
    with file.open("rb") as stream:
        chunks = make_reader(stream).get_summary().chunk_indexes
    middle = chunks[len(chunks) // 2]
    data[middle.chunk_start_offset + middle.chunk_length // 2] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(BagError, match=r"chunk at offset \d+ fails its CRC; refusing to score"):
        open_bag(file.parent).verify()
    report = repair(file.parent)
    assert report.recovered + report.missing == 1000
    assert 0 < report.missing < 100
    assert open_bag(report.folder).verify().messages == report.recovered


def test_settings_are_checked():
    assert load_recording("default").storage.flush_s <= 0.5
    with pytest.raises(ConfigError, match=r"gap_s: warn 0.2 must come before reject 0.1"):
        replace(load_recording("default").quality, gap_s=(0.2, 0.1))


@pytest.mark.parametrize("recording_as", ["raw", "jpeg"])
def test_a_malformed_image_is_counted_and_the_episode_goes_on(recording_as, robot, tmp_path):
    from smp_bringup.bag.aligned import camera_topics

    yaml = tmp_path / "robot.yaml"
    text = named_config("robots", "aloha").read_text()
    yaml.write_text(text.replace("rate_hz: 25,", f"rate_hz: 25, recording: {recording_as},"))
    own = load_robot(str(yaml))
    recording = Recorder(own, load_safety("default"), tmp_path, "lift_tray", RecordConfig(SMALL))
    recording.start(0)
    topic, image = own.cameras[0].topic, np.zeros((128, 128, 3), np.uint8)
    garbage = (b"", b"\x00\x01\x00\x00" + b"\x07" * 11, image_cdr(T0, "x", image)[:500], image_cdr(T0, "x", image[:9]))
    for k in range(20):
        recording.offer(topic, IMAGE, T0 + k, garbage[k // 5] if k % 5 == 4 else image_cdr(T0 + k, "x", image))
        recording.pump(k * S)
    assert recording.report()["refused"] == 4
    assert recording.recording
    said = recording.stop()
    assert said.count("messages refused") >= 2
    assert recording.dropped == 0
    bag = open_bag(tmp_path / "lift_tray/episode_00000")
    assert bag.verify().messages == 20
    used = next(t for t, camera in camera_topics(bag, own).items() if camera is own.cameras[0])
    assert bag.counts[used] >= 16  # what could be read, not what could not


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_a_folder_that_cannot_be_made_is_an_answer(place, tmp_path):
    (tmp_path / "file").write_text("")
    recording = recorder(tmp_path / place)
    with pytest.raises(SmpError, match=r"nothing can be recorded in '.*': (Not a directory|File exists); set out"):
        recording.start(0)
    recording.assign(recording.queue.text, tmp_path)
    assert recording.start(0).endswith("episode_00000")


def test_an_episode_that_is_gone_cannot_be_discarded_and_that_is_an_answer(tmp_path):
    recording = recorder(tmp_path)
    recording.start(0)
    joints(recording, 0.0)
    recording.stop()
    shutil.rmtree(tmp_path / "lift_tray")
    with pytest.raises(BagError, match="cannot be removed: No such file"):
        recording.discard()


def test_an_error_of_any_kind_while_writing_is_said_and_does_not_end_the_thread(tmp_path):
    recording = recorder(tmp_path)
    recording.start(0)
    joints(recording, 0.0, count=50)
    recording.pump(1 * S)
    recording.offer("/leader_left/joint_states", "no/msg/Such", T0, b"\x00")  # of a type that nobody defined
    recording.offer("/unknown", "no/msg/Such", T0, b"\x00")
    recording.pump(2 * S)
    assert not recording.recording
    assert recording.failed
    assert "could not be closed" in recording.said
    assert repair(next(tmp_path.glob("lift_tray/*.partial"))).recovered >= 50


def test_a_queue_moves_on_when_a_sound_episode_is_recorded(robot, tmp_path):
    """Recorded as it goes live: commands stamped a period ahead of when they are sent."""
    recording = recorder(tmp_path, "lift_tray*1, fold the towel*1")
    rng = np.random.default_rng(0)
    for entry in ("lift_tray", "fold the towel"):
        assert recording.queue.current.task == entry
        recording.start(0)
        recording.label(True)
        for ms in range(0, 3000, 10):
            now = T0 + ms * 1_000_000
            pose = robot.joint_array("home") + 0.2 * np.sin(ms / 500) * robot.turning
            for arm in robot.arms:
                names, part = tuple(j.name for j in arm.joints), pose[robot.arm_slices[arm.name]]
                due = now + nanoseconds(robot.control_period_s)
                for topic, stamp in ((arm.state_topic, now), (arm.leader_topic, now), (arm.command_topic, due)):
                    recording.offer(topic, JOINT_STATE, now + 2_000_000, joint_state_cdr(stamp, names, part))
            for camera in robot.cameras if ms % 40 == 0 else ():
                image = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
                recording.offer(camera.topic, IMAGE, now + 5_000_000, image_cdr(now, camera.name, image))
            recording.pump(ms * 1_000_000)
        assert recording.stop().endswith(": keep")
    assert str(recording.queue) == "lift_tray 1/1, fold the towel 1/1"
    with pytest.raises(SmpError, match="the queue is done"):
        recording.start(0)
