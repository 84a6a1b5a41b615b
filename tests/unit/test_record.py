"""What the recorder writes is what ROS would write, and other tools read it."""

import os
from dataclasses import replace

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from smp_bringup.bag.aligned import leader_trajectory
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError
from smp_bringup.leader import Leader, LeaderJoint
from smp_bringup.record.tracks import Tracks

T0 = 1_700_000_000_123_456_789


@pytest.fixture
def bag(tmp_path, robot):
    writer = BagWriter(tmp_path / "episode", robot, "lift_tray")
    for i in range(20):
        at = T0 + i * 10_000_000
        writer.write("/joints", JOINT_STATE, at, joint_state_cdr(at, ("a", "b"), np.array([i, -i]) * 0.1))
    writer.write("/camera", IMAGE, T0, image_cdr(T0, "camera", np.zeros((4, 6, 3), np.uint8)))
    return writer.close(False)


def test_messages_are_those_that_rclpy_writes():
    from rclpy.serialization import deserialize_message, serialize_message
    from sensor_msgs.msg import Image, JointState

    from smp_bringup.nodes.messages import image_msg, joint_state_msg

    image = image_msg(T0, "camera", np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    theirs, ours = serialize_message(image), image_cdr(T0, "camera", np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    assert len(theirs) == len(ours)
    assert deserialize_message(ours, Image) == image  # bytes may differ in padding, which nobody sets
    names, position, velocity = ("a", "b"), np.array([0.5, -1e-9]), np.array([3.0, 4.0])
    ours = joint_state_cdr(T0, names, position, velocity)
    assert deserialize_message(ours, JointState) == joint_state_msg(T0, names, position, velocity)


def test_the_rosbags_library_opens_the_bag(bag):
    with Reader(bag) as reader:
        assert reader.message_count == 21
        assert {c.topic: (c.msgtype, c.msgcount) for c in reader.connections} == {
            "/joints": (JOINT_STATE, 20),
            "/camera": (IMAGE, 1),
        }
        connection = next(c for c in reader.connections if c.topic == "/joints")
        last = list(reader.messages(connections=[connection]))[-1]
        message = typestore().deserialize_cdr(last[2], connection.msgtype)
        np.testing.assert_allclose(message.position, [1.9, -1.9])


def test_the_mcap_library_opens_the_bag(bag):
    with (bag / "episode_0.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert sum(1 for _ in reader.iter_messages()) == 21
        assert reader.get_header().profile == "ros2"
        schemas = {s.name: s.encoding for s in reader.get_summary().schemas.values()}
        assert schemas == {JOINT_STATE: "ros2msg", IMAGE: "ros2msg"}


def test_the_metadata_is_that_of_rosbag2(bag):
    info = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (info["version"], info["storage_identifier"], info["message_count"]) == (9, "mcap", 21)
    assert info["relative_file_paths"] == ["episode_0.mcap"]
    assert info["starting_time"]["nanoseconds_since_epoch"] == T0
    assert info["duration"]["nanoseconds"] == 190_000_000
    topic = next(t for t in info["topics_with_message_count"] if t["topic_metadata"]["name"] == "/joints")
    assert topic["message_count"] == 20
    assert topic["topic_metadata"]["type_description_hash"].startswith("RIHS01_")


def test_task_outcome_and_robot_travel_in_the_bag(bag, robot):
    opened = open_bag(bag)
    assert (opened.episode["task"], opened.outcome) == ("lift_tray", "failure")
    assert opened.robot() == robot
    with (bag / "episode_0.mcap").open("rb") as stream:
        attached = {a.name: a.data.decode() for a in make_reader(stream).iter_attachments()}
    assert "lift the tray with both hands" in attached["task.yaml"]


def test_a_bag_is_never_overwritten_and_half_bags_have_another_name(bag, robot, tmp_path):
    with pytest.raises(BagError, match="exists already"):
        BagWriter(bag, robot, "x")
    writer = BagWriter(tmp_path / "other", robot, "x")
    assert not (tmp_path / "other").exists()
    writer.discard()
    assert [p.name for p in tmp_path.iterdir()] == ["episode"]


def test_a_bag_of_a_robot_is_on_the_disk_with_its_name_before_it_is_said_to_be_there(tmp_path, robot, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr("smp_bringup.bag.disk.os.fsync", noted)
    storage = StorageConfig(min_free_gib=0, reserve_mib=0)
    folder = BagWriter(tmp_path / "episode", robot, "x", storage=storage).close(True)
    assert synced == [str(tmp_path / "episode.partial" / "episode_0.mcap"), str(tmp_path)]
    assert folder.is_dir()


def test_leaders_come_in_the_order_of_the_robot(tmp_path, robot):
    writer = BagWriter(tmp_path / "episode", robot, "x")
    for k in range(3):
        for number, arm in enumerate(robot.arms):
            names = tuple(joint.name for joint in arm.joints)
            values = np.full(len(names), 10.0 * number + k)
            writer.write(arm.leader_topic, JOINT_STATE, T0 + k, joint_state_cdr(T0 + k, names, values))
    _, positions = leader_trajectory(open_bag(writer.close(True)), robot)
    np.testing.assert_allclose(positions[:, [0, -1]], [[k, 10.0 + k] for k in range(3)])


def test_where_an_arm_has_no_leader_arm_the_label_is_what_the_teleoperation_said(tmp_path, robot):
    arms = (replace(robot.arms[0], leader_topic=""), robot.arms[1])
    alone = replace(robot, arms=arms)
    writer = BagWriter(tmp_path / "episode", alone, "x")
    names = (*reversed(robot.joint_names), "stamp/left", "stamp/right")
    for k in range(3):
        values = np.append(np.arange(14.0)[::-1] + k, [1.7e9, 1.7e9])
        writer.write("/teleop/command", JOINT_STATE, T0 + k, joint_state_cdr(T0 + k, names, values))
        theirs = joint_state_cdr(T0 + k, robot.joint_names[7:], np.full(7, -1.0))
        writer.write("/leader_right/joint_states", JOINT_STATE, T0 + k, theirs)
    _, positions = leader_trajectory(open_bag(writer.close(True)), alone)
    np.testing.assert_allclose(positions, [[*(np.arange(7.0) + k), *([-1.0] * 7)] for k in range(3)])


def test_a_leader_arm_of_its_own_joints_is_recorded_as_it_speaks_and_read_as_ours(robot):
    joints = {joint.name: LeaderJoint(f"j{i}", sign=-1, offset=0.5) for i, joint in enumerate(robot.arms[0].joints)}
    left = replace(robot.arms[0], leader_topic="", leader=Leader("/gello/joint_states", joints=joints))
    tracks = Tracks(replace(robot, arms=(left, robot.arms[1])))
    cdr = joint_state_cdr(T0, tuple(f"j{i}" for i in range(7)), np.arange(7.0))
    tracks.take("/gello/joint_states", JOINT_STATE, T0, cdr)
    np.testing.assert_allclose(tracks.leaders["left"].values[0], 0.5 - np.arange(7.0))
