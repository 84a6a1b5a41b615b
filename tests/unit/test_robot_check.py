"""What is wrong with a robot, as values: each spoiled robot is named, with what was found and what to do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from smp_bringup.absent import absent
from smp_bringup.bag.messages import IMAGE, JOINT_STATE
from smp_bringup.commission.camera_images import check_skew
from smp_bringup.commission.commands import COMMAND_KINDS
from smp_bringup.commission.files import check_file
from smp_bringup.commission.finding import Level, fine
from smp_bringup.commission.live import check_live, command_streams, streams
from smp_bringup.commission.seen import GraphSeen, HeardImage, HeardJoints
from smp_bringup.commission.urdf_limits import check_limits_against
from smp_bringup.config import build
from smp_bringup.description.urdf import parse_urdf
from smp_bringup.paths import share
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.node_graph import Endpoint, Topic

URDF = Path(__file__).with_name("two_arms.urdf")
T0, S = 1_700_000_000_000_000_000, 1_000_000_000
STATES, COMMANDS, CAMERA = "/follower_left/joint_states", "/follower_left/joint_commands", "/camera_overview/image_raw"


class Graph:
    """A graph in which nothing is wrong, to be spoiled."""

    def __init__(self, robot):
        self.robot = replace(robot, arms=tuple(replace(arm, leader_topic="") for arm in robot.arms))
        self.topics, self.heard, self.best_effort, self.sockets = {}, {}, frozenset(), ""
        for arm in robot.arms:
            self.drive(arm.state_topic, f"/driver_{arm.name}", JOINT_STATE)
            self.topics[arm.command_topic] = self.topic(arm.command_topic, [], [f"/driver_{arm.name}"], JOINT_STATE)
            at = np.array([joint.home for joint in arm.joints])
            self.heard[arm.state_topic] = [
                HeardJoints(k, T0 + k, T0 + k - 10**6, arm.driver.names, tuple(at)) for k in range(0, 3 * S, S // 100)
            ]
        for camera in robot.cameras:
            self.drive(camera.topic, f"/{camera.name}_driver", IMAGE)
            self.heard[camera.topic] = [
                HeardImage(k, T0 + k, T0 + k - 10**7, camera.width, camera.height, "rgb8", k)
                for k in range(0, 3 * S, S // 25)
            ]
        self.others = {"/odom": ("nav_msgs/msg/Odometry",)}

    def topic(self, name, publishers, subscribers, kind):
        ends = [tuple(Endpoint(node, kind) for node in nodes) for nodes in (publishers, subscribers)]
        return Topic(name, kind, False, *ends)

    def drive(self, topic, node, kind):
        self.topics[topic] = self.topic(topic, [node], [], kind)

    def change(self, topic, **values):
        """Change all messages of a topic; a value may be made of the message and its number."""
        self.heard[topic] = [
            replace(message, **{key: value(message, k) if callable(value) else value for key, value in values.items()})
            for k, message in enumerate(self.heard[topic])
        ]

    def found(self):
        """Return the findings, each as its level and its line."""
        published = {t.name: tuple({end.kind for end in t.publishers}) for t in self.topics.values() if t.publishers}
        taken = {t.name: tuple({end.kind for end in t.subscribers}) for t in self.topics.values() if t.subscribers}
        heard = {topic: tuple(messages) for topic, messages in self.heard.items()}
        seen = GraphSeen(self.topics, published | self.others, taken | self.more, heard, self.best_effort, 3.0, "")
        seen = replace(seen, sockets=self.sockets)
        return [(finding.level, finding.line) for finding in check_live(self.robot, load_safety("default"), seen)]

    more: dict = {}  # noqa: RUF012 - further topics that somebody takes


@pytest.fixture
def graph(robot):
    return Graph(robot)


def test_nothing_is_wrong_with_what_is_as_the_robot_file_says(graph):
    assert graph.found() == []


def wrong_topic(graph):
    graph.topics[CAMERA] = graph.topic(CAMERA, [], [], IMAGE)
    graph.heard[CAMERA] = []
    graph.others["/overview/color/image_raw"] = (IMAGE,)


def no_such_type(graph):
    wrong_topic(graph)
    graph.others = {"/camera_overview/image": ("theora_image_transport/msg/Packet",)}


def wrong_type(graph):
    graph.drive(CAMERA, "/overview_driver", "sensor_msgs/msg/CompressedImage")
    graph.heard[CAMERA] = []


def silent(graph):
    graph.heard[CAMERA], graph.sockets = [], "the kernel gives a socket 208 KiB, less than an image: sudo sysctl"


def slow_states(graph):
    graph.heard[STATES] = graph.heard[STATES][::2]


def very_slow_states(graph):
    graph.heard[STATES] = graph.heard[STATES][::10]


def fast_camera(graph):
    graph.change(CAMERA, stamp_ns=lambda m, k: T0 + k * S // 60, arrival_ns=lambda m, k: k * S // 60)
    graph.change(CAMERA, clock_ns=lambda m, k: m.stamp_ns)


def slow_camera(graph):
    graph.heard[CAMERA] = graph.heard[CAMERA][::5]


def lost_images(graph):
    graph.heard[CAMERA] = [m for k, m in enumerate(graph.heard[CAMERA]) if k % 25 < 8]
    graph.best_effort = frozenset({CAMERA})


def wrong_size(graph):
    graph.change(CAMERA, width=640, height=480)


def wrong_encoding(graph):
    graph.change(CAMERA, encoding="16UC1")


def torn_images(graph):
    graph.change(CAMERA, refusal="100 bytes, expected 49152")


def frozen_camera(graph):
    graph.change(CAMERA, pixels=7)
    graph.change(STATES, position=lambda m, k: (m.position[0] + 0.001 * k, *m.position[1:]))


def still_camera(graph):
    graph.change(CAMERA, pixels=7)


def old_stamp(graph):
    graph.change(CAMERA, stamp_ns=T0)


def zero_stamps(graph):
    graph.change(STATES, stamp_ns=0)


def clock_behind(graph):
    graph.change(STATES, stamp_ns=lambda m, k: m.stamp_ns - 2 * S)


def clock_ahead(graph):
    graph.change(CAMERA, stamp_ns=lambda m, k: m.stamp_ns + 2 * S)


def stamps_back(graph):
    graph.change(STATES, stamp_ns=lambda m, k: m.stamp_ns - (S // 2 if k % 50 == 9 else 0))


def wrong_joint_name(graph):
    graph.change(STATES, names=lambda m, k: ("left_waste", *m.names[1:]))


def no_number(graph):
    graph.change(STATES, position=lambda m, k: (*m.position[:2], float("nan"), *m.position[3:]))


def degrees(graph):
    graph.change(STATES, position=lambda m, k: (*np.rad2deg(m.position[:6]), m.position[6]))


def millimetres(graph):
    graph.change(STATES, position=lambda m, k: (*m.position[:6], 1000 * m.position[6]))


def beyond(graph):
    graph.change(STATES, position=lambda m, k: (*m.position[:1], 1.6, *m.position[2:]))


def few_positions(graph):
    graph.change(STATES, position=lambda m, k: m.position[:3])


def second_publisher(graph):
    graph.topics[STATES] = graph.topic(STATES, ["/driver_left", "/joint_state_publisher"], [], JOINT_STATE)


def no_subscriber(graph):
    graph.topics[COMMANDS] = graph.topic(COMMANDS, [], [], JOINT_STATE)
    graph.more = {"/follower_left/joint_command": (JOINT_STATE,)}


def wrong_controller(graph):
    end = Endpoint("/driver_left", "trajectory_msgs/msg/JointTrajectory")
    graph.topics[COMMANDS] = replace(graph.topics[COMMANDS], subscribers=(end,))


def deaf_controller(graph):
    end = Endpoint("/driver_left", JOINT_STATE, "QoS is incompatible: DURABILITY")
    graph.topics[COMMANDS] = replace(graph.topics[COMMANDS], subscribers=(end,))


def unnamed_driver(graph):
    graph.topics[COMMANDS] = graph.topic(COMMANDS, [], ["/left_controller"], JOINT_STATE)


def second_commander(graph):
    graph.topics[COMMANDS] = graph.topic(COMMANDS, ["/rviz"], ["/driver_left"], JOINT_STATE)


SPOILED = {
    wrong_topic: "camera overview: nobody publishes /camera_overview/image_raw (sensor_msgs/msg/Image); of that type "
    "there is /overview/color/image_raw: start its driver, or write its topic as topic in the robot file",
    no_such_type: "/camera_overview/image looks like it, as theora_image_transport/msg/Packet: start its driver",
    wrong_type: "published as sensor_msgs/msg/CompressedImage, the robot file makes it sensor_msgs/msg/Image; compr",
    silent: "/overview_driver publishes /camera_overview/image_raw, and nothing came in 3 s: let the driver run; the",
    slow_states: "arm left: /follower_left/joint_states: 50 Hz, the robot file says 100 Hz: write state_rate_hz: 50",
    very_slow_states: "10 Hz, the robot file says 100 Hz: let its driver send more often, or write state_rate_hz: 10: ",
    fast_camera: "60 Hz, the robot file says 25 Hz: write rate_hz: 60",
    slow_camera: "5 Hz, the robot file says 25 Hz",
    lost_images: "of about 57 messages heard: if the driver sends more: it offers best effort",
    wrong_size: "640x480, the robot file says 128x128: write width: 640, height: 480",
    wrong_encoding: "encoding 16UC1, which is refused: let its driver send one of rgb8",
    torn_images: "75 of 75 images are refused (100 bytes, expected 49152): let its driver send whole images",
    frozen_camera: "all 75 images are equal to the bit, while joints moved: it is frozen: restart its driver",
    still_camera: "all 75 images are equal to the bit: a real camera is never so still",
    old_stamp: "all 75 messages have one stamp: its driver repeats an old message: restart it",
    zero_stamps: "300 of 300 stamps are zero: let its driver stamp what it measures",
    clock_behind: "stamps are 2.00 s behind this machine's clock: synchronise the clocks",
    clock_ahead: "stamps are 1.99 s ahead of this machine's clock: synchronise the clocks",
    stamps_back: "stamps go back 6 times in 300, by up to 0.49 s",
    wrong_joint_name: "never names left_waist (did you mean 'left_waste'?); it names left_waste, left_shoulder",
    no_number: "position of left_elbow is not a finite number: let its driver measure it",
    degrees: "this looks like degrees: say in driver: {min: -180, max: 180}",
    millimetres: "left_gripper at 24 m: this looks like millimetres",
    beyond: "left_shoulder is at 1.6, outside [-1.85005, 1.25664]: bring it inside by hand, or look at sign",
    few_positions: "3 positions for 7 names: let its driver give each joint a position",
    second_publisher: "has 2 publishers (/driver_left, /joint_state_publisher), and only one is heard: stop all",
    no_subscriber: "nobody subscribes to /follower_left/joint_commands (sensor_msgs/msg/JointState) (did you mean "
    "'/follower_left/joint_command'?): start its controller",
    wrong_controller: "/driver_left takes /follower_left/joint_commands as trajectory_msgs/msg/JointTrajectory, the "
    "robot file makes it sensor_msgs/msg/JointState: write command_interface: joint_trajectory",
    deaf_controller: "/driver_left takes /follower_left/joint_commands, but QoS is incompatible: DURABILITY: let it",
    unnamed_driver: "if that is its controller, write drivers: [/left_controller] in the safety file",
    second_commander: "/follower_left/joint_commands has another publisher: /rviz: stop it",
}
WARNINGS = {fast_camera, lost_images, still_camera, beyond}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_robot_is_named_with_what_to_do(spoil, graph):
    spoil(graph)
    [(level, line)] = graph.found()  # and nothing else is said
    assert SPOILED[spoil] in line
    assert level == (Level.WARN if spoil in WARNINGS else Level.ERROR)


@pytest.mark.parametrize(("shift_ms", "latency_ms", "said"), [(33, 0, True), (33, 20, False), (15, 0, False)])
def test_cameras_whose_frames_make_no_set_are_named(shift_ms, latency_ms, said, robot):
    first, other = (replace(camera, rate_hz=15.0) for camera in robot.cameras[:2])
    other = replace(other, latency_s=latency_ms / 1000)
    stamps = {first.topic: T0, other.topic: T0 + shift_ms * 10**6}
    heard = {
        topic: [HeardImage(k, at, at, 128, 128, "rgb8", k) for k in range(45) for at in (begun + k * S // 15,)]
        for topic, begun in stamps.items()
    }
    lines = [finding.line for finding in check_skew([first, other], heard)]
    what = "camera wrist_left: /camera_wrist_left/image_raw: its frames are 33 ms from those of overview, the first"
    assert [line[: len(what)] for line in lines] == [what] * said


def test_where_nobody_is_it_is_said_once(graph):
    graph.topics = {name: replace(topic, publishers=(), subscribers=()) for name, topic in graph.topics.items()}
    [(level, line)] = graph.found()
    assert level == Level.ERROR
    assert "nobody is on any topic of the robot" in line
    assert "the same RMW_IMPLEMENTATION, ROS_DOMAIN_ID" in line


def test_all_topics_of_a_robot_are_looked_at():
    robot = load_robot("dual_ur5e")
    assert {stream.topic for stream in streams(robot, 0.05)} == {
        "/joint_states",
        "/overview/color/image_raw",
        "/wrist_left/color/image_raw",
    }
    assert dict(command_streams(robot))["/left_hand_controller/commands"] == "std_msgs/msg/Float64MultiArray"


def test_types_of_commands_are_those_that_the_command_node_speaks():
    from smp_bringup.nodes.messages import COMMAND_TYPES, type_name

    assert {name: type_name(kind) for name, kind in COMMAND_TYPES.items()} == COMMAND_KINDS


def test_a_topic_that_is_not_there_and_nothing_like_it():
    assert absent("/a", IMAGE, {"/odom": ("x",)}).endswith("the graph has no topic of that type")
    assert "/b and 1 more" in absent("/bb", IMAGE, {"/b": (IMAGE,), "/zzz": (IMAGE,), "/bb": ()})
    assert absent("/a", IMAGE, {"/b": (IMAGE,)}, taken=["/b"]).endswith("no topic of that type")


@pytest.mark.parametrize("name", [path.stem for path in share("config", "robots").glob("*.yaml")])
def test_the_shipped_robots_are_fine(name):
    assert fine(check_file(name)[0])


@pytest.fixture
def two_arms(tmp_path):
    """Return what writes a robot file for the URDF, with changes to its first joint or to the file."""

    def write(joint=None, **changes):
        limits = {"velocity": 2.0, "acceleration": 5.0, "jerk": 100.0}
        first = {"name": "left_shoulder", "min": -1.5, "max": 1.5, **limits, **(joint or {})}
        elbow = {"name": "left_elbow", "min": -2.4, "max": -0.2, "home": -1.0, **limits}
        arm = {"name": "left", "state_topic": "s", "command_topic": "c", "joints": [first, elbow]}
        size = {"width": 64, "height": 64, "observation_width": 32, "observation_height": 32}
        camera = {"name": "top", "topic": "top", "rate_hz": 30, **size}
        periods = {"control_period_s": 0.01, "action_period_s": 0.04, "state_rate_hz": 100}
        about = {"name": "r", "safety": "safety.yaml", **periods, "arms": [arm], "cameras": [camera], **changes}
        path = tmp_path / "r.yaml"
        path.write_text(yaml.safe_dump(about))
        (tmp_path / "safety.yaml").write_text("checks: [state_finite, finite, position_limits]")
        return str(path)

    return write


@pytest.mark.parametrize(
    ("joint", "changes", "expected", "level"),
    [
        ({}, {}, "", Level.WARN),
        (
            {"max": 1.7},
            {},
            "[-1.5, 1.7] goes beyond the URDF's [-1.5708, 1.5708]: write min: -1.50000, max: 1.57080",
            2,
        ),
        ({"velocity": 3.0}, {}, "velocity 3 is above the URDF's 2: write velocity: 2, or less", 2),
        ({"name": "left_sholder"}, {}, "the URDF has no joint left_sholder (did you mean 'left_shoulder'?)", 2),
        ({"name": "left_tool"}, {}, "left_tool is fixed in the URDF: take it out", 2),
        ({"name": "left_finger", "min": 0, "max": 0.04}, {}, "is prismatic in the URDF: write prismatic: true", 2),
        ({"name": "left_finger_mirror"}, {}, "lets left_finger_mirror mimic left_finger", 2),
        ({"min": 0, "max": 1.5, "driver": {"min": 0, "max": 100}}, {}, "[0, 100] goes beyond the URDF's", 1),
        ({"max": 90}, {}, "this looks like degrees", 2),
        ({"min": -0.001, "max": 0.001}, {}, "range [-0.001, 0.001] rad is hardly one", 1),
        ({"home": 1.5}, {}, "arm left: home of left_shoulder lies at a limit", 1),
        ({"jerk": 2000.0}, {}, "acceleration 5 and jerk 2000 take 0.0025 s to reach: look at jerk", 1),
        ({}, {"safety": "none_such"}, "unknown safety settings 'none_such'", 2),
        ({}, {"safety": "default"}, "safety: arm 'left' has no geometry", 2),
        ({}, {"model": "smp_aloha"}, "model: ", 2),
        ({}, {"description": "gone.urdf"}, "does not exist: name the URDF of the whole robot", 2),
        ({}, {"state_rate_hz": 25}, "state_rate_hz is 25, a driver must say the joints at 50 Hz or more", None),
        ({}, {"state_rate_hz": 10}, "state_timeout_s is 0.05, joint states come every 0.1 s: arms are held", None),
        ({}, {"action_period_s": 0.02}, "30 Hz, while an action lasts 0.02 s: most have no frame: write action_per", 2),
    ],
    ids=range(19),
)
def test_a_spoiled_file_is_named_with_what_to_do(joint, changes, expected, level, two_arms):
    found, _ = check_file(two_arms(joint, **changes), str(URDF) if "description" not in changes else "")
    lines = [(finding.level, finding.line) for finding in found if "left out of its checks" not in finding.line]
    assert any(expected in line and level in (None, mark) for mark, line in lines) or not (expected or lines)
    assert len(lines) <= 2


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        ("vx300s", "geometry 'vx300s' has 6 joints, arm 'left' 2: name the file that smp robot new wrote"),
        ("vx300", "unknown geometry 'vx300' (did you mean 'vx300s'?)"),
        ("gone.yaml", "gone.yaml' does not exist: name the file"),
    ],
)
def test_shapes_of_another_arm_are_a_finding_of_the_arm(geometry, expected, two_arms):
    path = Path(two_arms())
    about = yaml.safe_load(path.read_text())
    about["arms"][0]["geometry"] = geometry
    about["safety"] = "default"
    path.write_text(yaml.safe_dump(about))
    found, _ = check_file(str(path))
    (line,) = [each.line for each in found if each.level == Level.ERROR]
    assert line.startswith("arm left: ")
    assert expected in line


def test_limits_count_in_the_drivers_unit():
    """A hand that we say in m and its driver in rad: the URDF's speed is the driver's."""
    urdf = parse_urdf(URDF.read_bytes(), "two_arms.urdf")
    arm = {"name": "left", "state_topic": "/s", "command_topic": "/c"}
    joint = {"name": "hand", "min": 0, "max": 0.1, "acceleration": 5, "jerk": 100, "gripper": True}
    joint["driver"] = {"name": "left_shoulder", "min": 1, "max": 0}
    size = {"width": 64, "height": 64, "observation_width": 32, "observation_height": 32}
    about = {"name": "r", "control_period_s": 0.01, "action_period_s": 0.04, "state_rate_hz": 100}
    about["cameras"] = [{"name": "top", "topic": "/top", "rate_hz": 30, **size}]

    def lines(velocity):
        arms = [{**arm, "joints": [{**joint, "velocity": velocity}]}]
        return [f.line for f in check_limits_against(build(Robot, {**about, "arms": arms}, "r"), urdf)]

    assert lines(0.2) == []
    assert lines(0.21) == ["joint hand: velocity 0.21 is above the URDF's 0.2: write velocity: 0.2, or less"]
