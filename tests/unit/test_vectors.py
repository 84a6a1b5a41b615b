"""Vectors of the robot file: which messages they read, what is refused before anything runs, and when they are seen."""

from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from smp_bringup import config, wire
from smp_bringup.access import accesses
from smp_bringup.commission.live import streams
from smp_bringup.errors import ConfigError
from smp_bringup.robot import Robot
from smp_bringup.sync.aligner import Aligner
from smp_bringup.sync.checks import Refusal
from smp_bringup.sync.watch import StreamHealth, StreamWatch
from smp_bringup.types import Frame, VectorSample
from smp_bringup.vector import Vector, labels, split

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
WRENCH = Vector("wrench", "/wrench", "geometry_msgs/msg/WrenchStamped", ("wrench.force.x", "wrench.torque.z"))


def told(**changes):
    """Return a vector as a robot file has it."""
    return config.build(Vector, {"name": "v", "topic": "/v", "type": WRENCH.type, **changes}, "robot.yaml")


def test_numbers_are_read_by_their_fields_from_messages_of_ros():
    wrench = WrenchStamped()
    wrench.header.stamp.sec, wrench.header.stamp.nanosec = 7, 5
    wrench.wrench.force.x, wrench.wrench.torque.z = 3.0, -2.0
    sample = wire.vector(wrench, replace(WRENCH, scale=0.5), 0)
    assert (sample.stamp_ns, sample.value.tolist()) == (7_000_000_005, [1.5, -1.0])

    pose = PoseStamped()
    pose.pose.orientation.w = 0.25
    seen = told(type="geometry_msgs/msg/PoseStamped", fields=["pose.position.z", "pose.orientation.w"])
    assert seen.read(pose).tolist() == [0.0, 0.25]

    touch = Float64MultiArray(data=[1.0, 2.0, 3.0])
    array = told(type="std_msgs/msg/Float64MultiArray", fields=["data"], size=3)
    assert array.entries == ("data[0]", "data[1]", "data[2]")
    sample = wire.vector(touch, array, T0)
    assert (sample.stamp_ns, sample.value.tolist()) == (T0, [1.0, 2.0, 3.0]), "without a header: when it was received"
    assert told(type="std_msgs/msg/Float64MultiArray", fields=["data[2]", "data[0]"]).read(touch).tolist() == [3.0, 1.0]

    effort = told(type="sensor_msgs/msg/JointState", fields=["effort[elbow]", "effort[wrist 1]"])
    for names, efforts in ((["wrist 1", "elbow"], [5.0, 6.0]), (["elbow", "x", "wrist 1"], [6.0, 0.0, 5.0])):
        assert effort.read(JointState(name=names, effort=efforts)).tolist() == [6.0, 5.0]


@pytest.mark.parametrize(
    ("vector", "message", "why"),
    [
        (
            told(type="std_msgs/msg/Float64MultiArray", fields=["data"], size=3),
            Float64MultiArray(data=[1.0]),
            "1 numbers",
        ),
        (told(type="std_msgs/msg/Float64MultiArray", fields=["data[1]"]), Float64MultiArray(data=[1.0]), "range"),
        (
            told(type="sensor_msgs/msg/JointState", fields=["effort[a]"]),
            JointState(name=["b"], effort=[1.0]),
            "called a",
        ),
        (told(type="sensor_msgs/msg/JointState", fields=["effort[a]"]), JointState(name=["a"]), "range"),
        (
            told(type="std_msgs/msg/Float64MultiArray", fields=["data[0]"]),
            Float64MultiArray(data=[np.nan]),
            "nonfinite",
        ),
        (told(type="std_msgs/msg/Float64MultiArray", fields=["data[0]"]), Float64MultiArray(data=[1e300]), "nonfinite"),
    ],
)
def test_what_a_message_lacks_is_refused_with_the_reason(vector, message, why):
    with pytest.raises(Refusal, match=why):
        wire.vector(message, vector, T0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"fields": ["wrench.force.w"]},
            r"'wrench.force.w' is no field of .*WrenchStamped: .*Vector3 has no 'w'.*x, y, z",
        ),
        ({"fields": ["wrench.force"]}, r"is a geometry_msgs/msg/Vector3, no number: go on to one of its fields"),
        ({"fields": ["header.frame_id"]}, "is no number"),
        ({"fields": ["wrench.force.x[0]"]}, "is no array"),
        ({"fields": ["wrench..x"]}, "must be like wrench.force.x, data"),
        ({"fields": []}, "must name 1 to 1024 numbers"),
        ({"fields": ["wrench.force.x", "wrench.force.x"]}, "named twice"),
        ({"fields": ["wrench.force.x"], "scale": 0}, "scale must be a number other than 0"),
        (
            {"fields": ["wrench.force.x"], "size": 3},
            "asks for a whole array of so many, 'wrench.force.x' is one number",
        ),
        ({"type": "sensor_msgs/msg/JointState", "fields": ["effort"]}, "is an array: write data"),
        ({"type": "sensor_msgs/msg/Imu", "fields": ["orientation_covariance[9]"]}, "has 9 entries"),
        ({"type": "sensor_msgs/msg/Imu", "fields": ["orientation_covariance"], "size": 8}, "is an array of 9"),
        ({"type": "std_msgs/msg/Float64MultiArray", "fields": ["data[a]"]}, "does not name the entries of data"),
        ({"type": "my_msgs/msg/Touch", "fields": ["x"]}, "no message of ROS 2 itself"),
        ({"topic": "/policy/x", "fields": ["wrench.force.x"]}, "is not free"),
    ],
)
def test_a_vector_that_no_message_can_fill_is_refused_when_the_file_is_read(changes, why):
    with pytest.raises(ConfigError, match=why):
        told(**changes)


def with_vectors(robot: Robot, *vectors: Vector) -> Robot:
    return config.build(Robot, {**config.plain(robot), "vectors": [config.plain(v) for v in vectors]}, "robot.yaml")


def test_a_vector_may_share_a_topic_that_has_its_type_and_no_other(robot):
    states = robot.arms[0].state_topic
    effort = Vector("effort", states, "sensor_msgs/msg/JointState", ("effort[left_waist]",))
    both = with_vectors(robot, WRENCH, replace(WRENCH, name="again", fields=("wrench.force.y",)), effort)
    assert labels(both.vectors) == (
        *("wrench/wrench.force.x", "wrench/wrench.torque.z", "again/wrench.force.y", "effort/effort[left_waist]"),
    )
    parts = split(both.vectors, np.arange(4.0))
    assert {name: part.tolist() for name, part in parts.items()} == {"wrench": [0, 1], "again": [2], "effort": [3]}
    for wrong, why in (
        (replace(WRENCH, topic=states), "is a topic of sensor_msgs/msg/JointState, not of geometry_msgs"),
        (replace(WRENCH, topic=robot.cameras[0].topic), "is named elsewhere"),
        (replace(WRENCH, name="overview"), "vector, camera or arm named twice: overview"),
    ):
        with pytest.raises(ConfigError, match=why):
            with_vectors(robot, wrong)


def test_what_a_policy_depends_on_is_unchanged_without_vectors_and_names_them_with(robot):
    bare, cameras = with_vectors(robot), ("overview",)
    touched = with_vectors(robot, WRENCH)
    assert bare.fingerprint(cameras) == touched.fingerprint(cameras) == robot.fingerprint(cameras)
    assert touched.fingerprint(cameras, ("wrench",))["vectors"] == {"wrench": ["wrench.force.x", "wrench.torque.z"]}
    assert "vector wrench" in touched.unlike(robot)
    assert "vector wrench" in robot.unlike(touched)
    assert not touched.unlike(with_vectors(robot, replace(WRENCH, scale=2.0, topic="/other")))


def test_under_security_the_nodes_may_hear_and_say_vectors(robot):
    may = accesses(with_vectors(robot, WRENCH))
    for node in ("sync", "recorder"):
        assert "/wrench" in may[node].subscribe
    assert "/wrench" in may["replay"].publish
    assert "/observation/vectors" in {*may["sync"].publish} & {*may["policy"].subscribe}
    assert not [name for access in accesses(robot).values() for name in access.publish if "vectors" in name]


def test_a_check_of_the_running_robot_listens_to_every_topic_of_vectors_once(robot):
    effort = Vector("effort", robot.arms[0].state_topic, "sensor_msgs/msg/JointState", ("effort[left_waist]",))
    again = replace(WRENCH, name="again", fields=("wrench.force.y",))
    looked = [s for s in streams(with_vectors(robot, WRENCH, again, effort), 0.05) if s.about.startswith("vector")]
    assert [(s.about, s.topic, s.kind) for s in looked] == [("vector wrench, again", "/wrench", WRENCH.type)]


class Sync:
    """An aligner of one camera, one robot and a vector, fed by hand."""

    def __init__(self, robot, **changes):
        self.robot = replace(with_vectors(robot, replace(WRENCH, **changes)), cameras=robot.cameras[:1])
        self.aligner = Aligner(self.robot)

    def force(self, ms, value, late_ms=0):
        return self.aligner.push_vector(
            "wrench", VectorSample(T0 + ms * MS, np.full(2, value)), T0 + (ms + late_ms) * MS
        )

    def joints(self, ms):
        for arm in self.robot.arms:
            names = [joint.name for joint in arm.joints]
            self.aligner.push_joints(arm.name, T0 + ms * MS, names, np.zeros(7), np.zeros(7), T0 + ms * MS)

    def frame(self, ms):
        self.aligner.push_image("overview", Frame(T0 + ms * MS, np.zeros((2, 2, 3), np.uint8)), T0 + ms * MS)

    def seen(self):
        return [aligned.vectors["wrench"].tolist() for aligned in self.aligner.pop()]


def test_a_set_has_the_newest_sample_that_is_not_after_it(robot):
    sync = Sync(robot)
    for ms in range(0, 120, 10):
        sync.joints(ms)
        sync.force(ms + 5, float(ms))
    sync.frame(100)
    sync.joints(110)
    assert sync.seen() == [[90.0, 90.0]], "that of 95 ms; nothing is mixed with that of 105 ms"


def test_a_sample_that_is_due_before_the_set_is_waited_for(robot):
    sync = Sync(robot)
    sync.joints(95)
    for ms in (60, 70, 80):
        sync.force(ms, float(ms))
    sync.frame(100)
    sync.joints(105)
    assert sync.seen() == [], "90 and 100 ms are still to come"
    sync.force(90, 90.0, late_ms=20)
    sync.force(100, 100.0, late_ms=11)
    assert sync.seen() == [[100.0, 100.0]]


def test_without_a_young_sample_there_is_no_set_and_the_next_good_one_makes_one(robot):
    sync = Sync(robot, max_age_s=0.05)
    sync.joints(95)
    sync.force(40, 1.0)
    sync.frame(100)
    sync.joints(105)
    assert sync.seen() == [], "60 ms old: one may still come"
    sync.force(110, 2.0)
    assert sync.seen() == []
    assert sync.aligner.counters["wrench/no_vector"] == 1
    sync.joints(145)
    sync.frame(140)
    sync.joints(150)
    assert sync.seen() == [[2.0, 2.0]]
    assert sync.force(105, 3.0) == "out_of_order"
    assert sync.aligner.push_vector("wrench", VectorSample(0, np.zeros(2)), T0 + 150 * MS) == "zero_stamp"


def test_of_samples_without_a_stamp_that_come_at_one_time_of_the_clock_the_last_counts(robot):
    sync = Sync(robot, type="std_msgs/msg/Float64MultiArray", fields=("data[0]", "data[1]"))
    sync.joints(95)
    assert [sync.force(ms, value) for ms, value in ((80, 1.0), (100, 2.0), (100, 3.0))] == [None] * 3
    sync.frame(100)
    sync.joints(105)
    assert sync.seen() == [[3.0, 3.0]]
    stamped = Sync(robot)
    assert [stamped.force(100, value) for value in (1.0, 2.0)] == [None, "out_of_order"]


def test_a_vector_that_is_missing_silent_or_old_makes_observations_invalid(robot):
    robot = replace(with_vectors(robot, replace(WRENCH, max_age_s=0.05)), cameras=robot.cameras[:1])
    watch = StreamWatch(robot)

    def said(ms):
        watch.on_image("overview", np.zeros((2, 2, 3), np.uint8), ms * MS)
        report = watch.report(ms * MS)
        return report.health, report.reason

    watch.on_refused("wrench", "nonfinite")
    assert said(0) == (StreamHealth.INVALID, "vector_missing:wrench (nonfinite)")
    watch.on_vector("wrench", 2 * MS, 10 * MS)
    assert said(20)[0] is StreamHealth.OK
    assert said(61) == (StreamHealth.INVALID, "vector_stalled:wrench (silent for 51 ms)")
    watch.on_vector("wrench", 151 * MS, 70 * MS)
    assert said(71) == (StreamHealth.INVALID, "vector_old:wrench (its stamps are 151 ms old on arrival)")
    watch.on_vector("wrench", 149 * MS, 80 * MS)
    assert said(81)[0] is StreamHealth.OK
