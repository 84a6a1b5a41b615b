"""Bags whose metadata.yaml is not true, or whose topics have two types: what is read is right, the rest is said."""

import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from mcap.writer import Writer as McapWriter

from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.messages import JOINT_STATE, definition, joint_state_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.repair import repair
from smp_bringup.errors import BagError
from smp_bringup.robot import load_robot

BAG = Path(__file__).parent / "bags" / "two_seconds"
MCAP = "two_seconds_0.mcap"
STATES = "/follower_left/joint_states"
STRING = "std_msgs/msg/String"
T0 = 1_700_000_000_000_000_000


def told(folder, **changes):
    """Return a copy of our bag whose metadata.yaml is changed."""
    shutil.copytree(BAG, folder)
    data = yaml.safe_load((folder / "metadata.yaml").read_text())
    about = data["rosbag2_bagfile_information"]
    for topic in about["topics_with_message_count"]:
        if topic["topic_metadata"]["name"] == STATES:
            topic["message_count"] = changes.pop("count", topic["message_count"])
            topic["topic_metadata"]["type"] = changes.pop("type", topic["topic_metadata"]["type"])
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": {**about, **changes}}))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"message_count": 3}, "metadata.yaml says 3 messages, 953 are there"),
        ({"message_count": 4000}, "metadata.yaml says 4000 messages, 953 are there"),
        ({"message_count": -3}, "metadata.yaml says -3 messages"),
        ({"message_count": "many"}, "metadata.yaml says many messages"),
        ({"count": 3}, f"metadata.yaml says 3 of {STATES} (found: 201)"),
        ({"count": 400}, f"metadata.yaml says 400 of {STATES} (found: 201)"),
        ({"count": True}, f"metadata.yaml says True messages of {STATES}"),
        ({"type": STRING}, f"metadata.yaml says {STATES} is {STRING} (its file: {JOINT_STATE})"),
        ({"relative_file_paths": [MCAP, MCAP]}, f"metadata.yaml lists {MCAP} more than once: it is read once"),
    ],
)
def test_what_metadata_says_against_the_files_is_named_and_the_files_are_read(changes, said, tmp_path):
    bag = open_bag(told(tmp_path / "bag", **changes))
    assert [text for text in bag.warnings if said in text], bag.warnings
    assert sum(1 for _ in bag.raw_messages(set(bag.types))) == bag.verify().messages == 953


def test_one_odd_count_does_not_hide_another(tmp_path):
    folder = told(tmp_path / "bag", count="many", message_count=None)
    text = (folder / "metadata.yaml").read_text()
    assert text.count("message_count: 201") == 3
    (folder / "metadata.yaml").write_text(text.replace("message_count: 201", "message_count: 7", 1))
    said = " ".join(open_bag(folder).warnings)
    assert f"says many messages of {STATES}" in said
    assert "says 7 of /" in said


def test_metadata_that_is_true_is_not_spoken_of():
    assert open_bag(BAG).warnings == ()


def mcap(path, rows, encoding="cdr"):
    """Write (type, log time [ns], message) on one topic, a channel for each type."""
    with path.open("wb") as stream:
        writer, channels = McapWriter(stream), {}
        writer.start("ros2", "other")
        for kind, at, cdr in rows:
            if kind not in channels:
                schema = writer.register_schema(kind, "ros2msg", definition(kind)[0].encode())
                channels[kind] = writer.register_channel(STATES, encoding, schema)
            writer.add_message(channels[kind], at, cdr, at)
        writer.finish()
    return path


def states(count, first=0):
    return [(JOINT_STATE, T0 + k, joint_state_cdr(T0 + k, ("a",), [0.1])) for k in range(first, first + count)]


def texts(count, first=0):
    return [(STRING, T0 + k, b"\0\1\0\0\2\0\0\0a\0") for k in range(first, first + count)]


@pytest.mark.parametrize("order", ["before", "behind", "in another file"])
def test_a_topic_is_what_most_of_its_messages_are_and_the_others_are_named(order, tmp_path):
    (tmp_path / "bag").mkdir()
    if order == "in another file":
        mcap(tmp_path / "bag" / "a_0.mcap", states(5))
        mcap(tmp_path / "bag" / "a_1.mcap", texts(2, 10))
    else:
        mcap(tmp_path / "bag" / "a_0.mcap", texts(2) + states(5) if order == "before" else states(5) + texts(2, 10))
    bag = open_bag(tmp_path / "bag")
    assert bag.types == {STATES: JOINT_STATE}
    assert bag.counts == {STATES: 5}
    assert sum(1 for _ in bag.messages({STATES})) == 5
    said = f"{STATES} is {JOINT_STATE}, of other types it has 2 {STRING}: these are left out"
    assert said in bag.source.lacking


def test_messages_in_another_encoding_are_not_taken_for_those_of_ros(tmp_path):
    bag = open_bag(mcap(tmp_path / "a.mcap", states(3), "json"))
    assert bag.types == {STATES: f"{JOINT_STATE} (json)"}
    with pytest.raises(BagError, match="missing topics"):
        bag.require({STATES: JOINT_STATE})


def database(path, stamp):
    """Write two messages, one of them with a log time of another kind."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT);"
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB);"
        )
        connection.execute("INSERT INTO topics VALUES (1, ?, ?, 'cdr')", (STATES, JOINT_STATE))
        for at in (T0, stamp):
            connection.execute(
                "INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)", (at, states(1)[0][2])
            )
    connection.close()
    return path


def test_a_log_time_before_1970_is_damage_as_it_is_for_the_repair(tmp_path):
    bag = open_bag(database(tmp_path / "a.db3", -5))
    with pytest.raises(BagError, match="is damaged: a message is at -5"):
        bag.verify()
    with pytest.raises(BagError, match="is damaged"):
        list(bag.raw_messages({STATES}))
    assert repair(bag.path, tmp_path / "out").recovered == 1


def test_very_many_damaged_places_are_counted_and_the_first_are_named(tmp_path):
    rows = [(kind, 1 << 63, cdr) for kind, _, cdr in states(5000)]
    with pytest.raises(BagError, match="and 4980 places more") as refused:
        repair(mcap(tmp_path / "a.mcap", rows), tmp_path / "out")
    assert len(str(refused.value)) < 3000
    report = repair(mcap(tmp_path / "b.mcap", rows + states(1)), tmp_path / "out")
    assert (report.recovered, report.places, len(report.damage)) == (1, 5000, 21)


def test_a_repair_follows_no_links_either(tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "a.mcap").symlink_to(BAG / MCAP)
    with pytest.raises(BagError, match="links are not followed"):
        repair(tmp_path / "bag", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("topic", [STATES, "/leader_left/joint_states"])
def test_a_driver_that_starts_with_half_of_its_joints_costs_that_message_and_not_the_bag(topic, tmp_path):
    there, robot = open_bag(BAG), load_robot(str(BAG.parents[1] / "robot.yaml"))
    kinds, first = dict(there.types), True
    with (tmp_path / "a.mcap").open("wb") as stream:
        writer, channels = McapWriter(stream), {}
        writer.start("ros2", "other")
        for name, at, cdr in there.raw_messages(set(kinds)):
            if name not in channels:
                schema = writer.register_schema(kinds[name], "ros2msg", definition(kinds[name])[0].encode())
                channels[name] = writer.register_channel(name, "cdr", schema)
            if name == topic and first:
                cdr, first = joint_state_cdr(at, ("left_waist",), [0.0]), False
            writer.add_message(channels[name], at, cdr, at)
        writer.finish()
    bag = open_bag(tmp_path / "a.mcap")
    assert len(list(aligned_sets(bag, robot))) >= len(list(aligned_sets(there, robot))) - 1 > 20
    assert len(leader_trajectory(bag, robot)[0]) >= len(leader_trajectory(there, robot)[0]) - 1
