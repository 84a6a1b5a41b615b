"""From a URDF to files that load: the limbs it has, its limits, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smp_bringup.body import Body
from smp_bringup.cli.app import app
from smp_bringup.cli.robot_new import write_robot
from smp_bringup.commission.draft import DraftCamera
from smp_bringup.commission.files import check_file
from smp_bringup.commission.finding import Level, fine
from smp_bringup.commission.propose import Offer, Told, offers_of, propose_arms
from smp_bringup.commission.propose_cameras import action_period_s
from smp_bringup.commission.seen import GraphSeen, HeardImage, HeardJoints
from smp_bringup.description.limbs import find_limbs
from smp_bringup.description.model import Description
from smp_bringup.description.urdf import parse_urdf
from smp_bringup.errors import ConfigError, SmpError
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.node_graph import Endpoint, Topic

URDF = Path(__file__).with_name("two_arms.urdf")


def smp(*words):
    """Run `smp robot new`; return its exit code, or raise what would be one line and exit code 2."""
    done = CliRunner().invoke(app, ["robot", "new", *map(str, words)])
    if isinstance(done.exception, SmpError):
        raise done.exception
    return done.exit_code, done.stdout


def test_the_limbs_of_a_robot_with_a_torso():
    limbs = find_limbs(parse_urdf(URDF.read_bytes(), "two_arms.urdf"))
    found = {limb.name: (limb.kind, [joint.name for joint in limb.joints]) for limb in limbs.limbs}
    assert found == {
        "left": ("arm", ["left_shoulder", "left_elbow", "left_forearm", "left_wrist"]),
        "left_hand": ("hand", ["left_finger"]),
        "right": ("arm", ["right_shoulder", "right_elbow", "right_forearm", "right_wrist"]),
        "right_hand": ("hand", ["right_finger"]),
        "lift": ("other", ["lift_joint"]),
        "head_pan": ("other", ["head_pan"]),
    }
    assert dict(limbs.dropped) == {f"{side}_finger_mirror": f"mimics {side}_finger" for side in ("left", "right")}


def test_the_files_load_and_say_what_the_urdf_says_and_no_more(tmp_path):
    code, said = smp("--urdf", URDF, "--out", tmp_path, "--yes", "--also", "lift")
    assert code == 0, said
    robot = load_robot(str(tmp_path / "robot.yaml"))
    assert [arm.name for arm in robot.arms] == ["left", "left_hand", "right", "right_hand", "lift"]
    joints = {joint.name: joint for joint in robot.joints}
    assert joints["left_shoulder"].max == 1.570796  # rounded inwards
    assert (joints["left_elbow"].min, joints["left_elbow"].max, joints["left_elbow"].home) == (-2.5, -0.1, -1.3)
    assert joints["left_forearm"].max == 3.141592  # turns without end
    assert (joints["left_wrist"].max, joints["left_wrist"].velocity) == (1.4, 1.0)  # the soft limit; no speed is given
    assert joints["left_finger"].gripper
    assert joints["lift_joint"].prismatic
    checks = load_safety(robot.safety).checks
    assert "position_limits" in checks
    assert not {"workspace", "arm_distance"} & set(checks)
    text = (tmp_path / "robot.yaml").read_text()
    assert text.count("acceleration, jerk: guessed") == len(joints)
    assert "left out: head_pan; --also head_pan" in text
    assert "mimics left_finger" in text


def test_nothing_is_overwritten_unless_told(tmp_path):
    (tmp_path / "safety.yaml").write_text("mine")
    with pytest.raises(SmpError, match=r"safety\.yaml exists: name another folder by --out, or overwrite"):
        smp("--urdf", URDF, "--out", tmp_path, "--yes")
    assert [path.name for path in tmp_path.iterdir()] == ["safety.yaml"]
    assert smp("--urdf", URDF, "--out", tmp_path, "--yes", "--force")[0] == 0


def test_two_robots_of_one_urdf_have_joints_and_topics_of_their_own(tmp_path):
    words = ["--arm", "arm=left_shoulder,left_elbow", "--copies", "a,b", "--camera", "top=top/image_raw"]
    told = ["--command", "b=forward_position:/b/commands", "--state", "a=/joints_of_a"]
    assert smp("--urdf", URDF, "--out", tmp_path, "--yes", *words, *told)[0] == 0
    a, b = load_robot(str(tmp_path / "robot.yaml")).arms
    assert a.driver.names == b.driver.names == ("left_shoulder", "left_elbow")
    assert [joint.name for joint in b.joints] == ["b_left_shoulder", "b_left_elbow"]
    assert (a.state_topic, b.state_topic) == ("/joints_of_a", "/b/joint_states")
    assert (b.command_interface, b.command_topic) == ("forward_position", "/b/commands")


XARM7 = Path(__file__).with_name("xarm7.urdf")
PLACED = ["--copies", "left,right", "--at", "left=0,0.3,0", "--at", "right=0,-0.3,0.1,0,0,3.1"]


def test_two_robots_that_flags_place_are_kept_apart(tmp_path):
    code, said = smp("--urdf", XARM7, "--out", tmp_path, "--yes", *PLACED)
    assert (code, "arm_distance is left out" in said) == (0, False), said
    robot = load_robot(str(tmp_path / "robot.yaml"))
    assert [arm.base for arm in robot.arms] == [(0, 0.3, 0, 0, 0, 0), (0, -0.3, 0.1, 0, 0, 3.1)]
    assert [arm.driver.names[0] for arm in robot.arms] == ["joint1", "joint1"]
    assert "arm_distance" in load_safety(robot.safety).checks
    description = Description(robot.description)
    assert set(robot.joint_names) == set(description.joints)
    body, home = Body(robot, 3), robot.joint_array("home")
    description.move(dict(zip(robot.joint_names, home, strict=True)))
    wrists = [description.pose(description.link(f"{side}_link7")).position for side in ("left", "right")]
    apart = float(np.linalg.norm(wrists[0] - wrists[1]))
    tips = [capsule for capsule, pair in enumerate(body.across) if pair and "link7" in body.pair(capsule)]
    assert 0 < body.distances(home[None])[0][tips].min() <= apart


def test_the_urdf_of_one_is_the_ceiling_of_each(tmp_path):
    smp("--urdf", XARM7, "--out", tmp_path, "--yes", *PLACED)
    file = tmp_path / "robot.yaml"
    assert fine(check_file(str(file))[0])
    file.write_text(file.read_text().replace("left_joint2, min: -2.059", "left_joint2, min: -2.2"))
    [wrong] = [finding for finding in check_file(str(file))[0] if finding.level == Level.ERROR]
    assert "joint left_joint2" in wrong.line
    assert "goes beyond the URDF's" in wrong.line


def test_the_meshes_of_a_copy_are_found_from_its_folder(tmp_path):
    mesh = '<mesh filename="shapes/palm.stl"/>'
    text = XARM7.read_text().replace('<cylinder radius="0.04" length="0.04"/>', mesh)
    (tmp_path / "urdf/shapes").mkdir(parents=True)
    (tmp_path / "urdf/r.urdf").write_text(text)
    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    faces = np.array([corners[[0, 2, 1]], corners[[0, 1, 3]], corners[[0, 3, 2]], corners[[1, 2, 3]]])
    row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    rows = np.zeros(4, row)
    rows["corners"] = faces
    (tmp_path / "urdf/shapes/palm.stl").write_bytes(bytes(80) + np.uint32(4).tobytes() + rows.tobytes())
    code, said = smp("--urdf", tmp_path / "urdf/r.urdf", "--out", tmp_path / "out", "--yes", *PLACED)
    assert (code, "arm_distance is left out" in said) == (0, False), said


def test_leader_arms_of_the_same_kind_are_heard_by_the_names_they_have(tmp_path):
    words = ["--leader", "left=left_leader/joint_states", "--leader", "right=/right_leader/joint_states"]
    assert smp("--urdf", XARM7, "--out", tmp_path, "--yes", *PLACED, *words)[0] == 0
    arms = load_robot(str(tmp_path / "robot.yaml")).arms
    assert [arm.led_by.topic for arm in arms] == ["/left_leader/joint_states", "/right_leader/joint_states"]
    assert arms[0].leader_joints.names == tuple(f"joint{k}" for k in range(1, 8))
    assert (tmp_path / "robot.yaml").read_text().count("leader: not seen") == 2
    assert smp("--urdf", URDF, "--out", tmp_path, "--yes", "--force", "--leader", "left=gello/joints")[0] == 0
    assert load_robot(str(tmp_path / "robot.yaml")).arms[0].leader_joints.names[0] == "left_shoulder"


@pytest.mark.parametrize(
    ("names", "ours", "said"),
    [
        ([f"left_joint{k}" for k in range(1, 8)], "left_joint1", ""),
        ([f"joint{k}" for k in range(1, 8)], "joint1", ""),
        ([f"a{k}" for k in range(1, 8)], "joint1", "it says a1, a2, a3, a4, a5, a6, a7"),
    ],
    ids=["ours", "theirs", "others"],
)
def test_what_a_leader_arm_was_heard_to_say_is_in_the_file(names, ours, said):
    limbs = [limb for limb in find_limbs(parse_urdf(XARM7.read_bytes(), "xarm7.urdf")).limbs if limb.kind == "arm"]
    seen = GraphSeen({}, {}, heard={"/leader": (HeardJoints(1, 1, 1, tuple(names), (0.0,) * 7),)})
    told = Told(copies=("left",), leaders={"left": "leader"})
    [arm] = propose_arms(limbs, told, seen, [], lambda question, default: default)
    assert dict(arm.leader_names).get("left_joint1", "left_joint1") == ours
    assert said in " ".join(note for note in arm.notes if "leader" in note)


def test_questions_are_asked_of_who_can_answer(tmp_path):
    words = ["robot", "new", "--urdf", str(URDF), "--out", str(tmp_path)]
    answers = ["bob", "lift", *("", "", "") * 5, "front=front/image_raw, wrist_left=wrist/image_raw"]
    done = CliRunner().invoke(app, words, input="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.stdout
    robot = load_robot(str(tmp_path / "robot.yaml"))
    assert (robot.name, robot.arms[-1].name) == ("bob", "lift")
    assert [(camera.name, camera.arm) for camera in robot.cameras] == [("front", ""), ("wrist_left", "left")]
    done = CliRunner().invoke(app, [*words, "--force"], input="")
    assert "give --yes" in str(done.exception)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--arm", "left=left_shoulder,left_finger_mirror"], "mimics left_finger: name that one"),
        (["--arm", "left=left_sholder"], "did you mean 'left_shoulder'"),
        (["--arm", "left=left_tool"], "is fixed: it cannot be commanded"),
        (["--arm", "left"], "takes NAME=VALUE"),
        (["--also", "legs"], "no other limb 'legs'"),
        (["--command", "left=trajectory:/x"], "did you mean 'joint_trajectory'"),
        (["--command", "lefd=joint_state:/x"], "did you mean 'left'"),
        (["--camera", "top=/tf"], "is not free"),
        (["--at", "left=0,0,0"], "places the copies of --copies"),
        (["--copies", "a,b", "--at", "a=0,0,0"], "says nothing of b: add --at b=X,Y,Z"),
        (["--copies", "a,b", "--at", "c=0,0,0"], "no such copy; --copies names a, b"),
        (["--copies", "a", "--at", "a=0,300,0"], "looks like millimetres"),
        (["--copies", "a", "--at", "a=0,0,0,0,0,90"], "looks like degrees"),
        (["--copies", "a", "--at", "a=0,0"], "expected X,Y,Z or X,Y,Z,ROLL,PITCH,YAW"),
        (["--copies", "a", "--at", "a=0,0,nan"], "expected X,Y,Z or X,Y,Z,ROLL,PITCH,YAW"),
        (["--leader", "lefd=/x"], "did you mean 'left'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, expected, tmp_path):
    with pytest.raises(ConfigError, match=expected):
        smp("--urdf", URDF, "--out", tmp_path, "--yes", *words)
    assert list(tmp_path.iterdir()) == []


BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><robot name="&b;"/>'
FILE = '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><robot name="&a;"/>'
JOINT = '<robot><link name="a"/><link name="b"/>{}</robot>'
ONE = '<joint name="{}" type="{}"><parent link="{}"/><child link="{}"/>{}</joint>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "a document type"),
        (FILE, "a document type"),
        ("<robot>" * 300, "nested deeper"),
        ("<robot", "not valid XML"),
        ("<sdf/>", "expected <robot>"),
        ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:include filename="y"/></robot>', "is a xacro"),
        (JOINT.format(ONE.format("j", "revolute", "a", "c", "")), "links that are not there"),
        (JOINT.format(ONE.format("j", "ball", "a", "b", "")), "type 'ball'"),
        (JOINT.format(ONE.format("j", "fixed", "a", "a", "")), "hangs on itself"),
        (JOINT.format(2 * ONE.format("j", "fixed", "a", "b", "")), "two have the same"),
        (JOINT.format(ONE.format("j", "revolute", "a", "b", '<limit upper="nan"/>')), "is no number"),
        (JOINT.format(ONE.format("j", "revolute", "a", "b", '<limit upper="${pi}"/>')), "is no number"),
        (JOINT.format(ONE.format("j", "fixed", "a", "b", "")), "no arm is found"),
        (JOINT.format(""), "one root link, this has a, b"),
    ],
    ids=range(14),
)
def test_a_urdf_of_a_stranger_is_read_or_refused(text, expected, tmp_path):
    (tmp_path / "r.urdf").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        smp("--urdf", tmp_path / "r.urdf", "--out", tmp_path / "out", "--yes")


def test_names_of_a_stranger_end_in_no_line_of_their_own(tmp_path):
    evil = "x}, evil: true #&#10;safety: none"
    (tmp_path / "r.urdf").write_text(URDF.read_text().replace("left_elbow", evil))
    with pytest.raises(ConfigError, match="printable"):
        smp("--urdf", tmp_path / "r.urdf", "--out", tmp_path / "out", "--yes")
    (tmp_path / "r.urdf").write_text(URDF.read_text().replace("left_elbow", evil.replace("&#10;", ": ")))
    assert smp("--urdf", tmp_path / "r.urdf", "--out", tmp_path / "out", "--yes")[0] == 0
    assert "x}, evil: true #: safety: none" in load_robot(str(tmp_path / "out/robot.yaml")).joint_names


@pytest.fixture
def graph(monkeypatch):
    """Let the graph be one under ros2_control with two cameras, one of depth; controllers say their joints or not."""
    images = ("/top/color/image_raw", 640, 480, "rgb8"), ("/top/depth/image_raw", 640, 480, "16UC1")
    names = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "forearm", "wrist")]
    names = ("lift_joint", "head_pan", *names, "left_finger", "right_finger")
    heard = {
        "/joint_states": tuple(HeardJoints(k, k, k, names, (0.0,) * len(names)) for k in range(1, 10**9, 2_000_000)),
        "/leader/joint_states": (HeardJoints(1, 1, 1, names, (0.0,) * len(names)),),
    }
    for topic, width, height, encoding in images:
        heard[topic] = tuple(HeardImage(k, k, k, width, height, encoding, k) for k in range(1, 10**9, 66_600_000))

    def make(say):
        told = [("a", "left"), ("b", "right")] if say else [("left_arm", "left"), ("right_arm", "right")]
        topics, joints = {}, {}
        for name, side in told:
            end = Endpoint(f"/{name}_controller", "trajectory_msgs/msg/JointTrajectory")
            topic = f"/{name}_controller/joint_trajectory"
            topics[topic] = Topic(topic, end.kind, True, (), (end,))
            joints |= {end.node: [n for n in names if n.startswith(side) and "finger" not in n]} if say else {}
        speaker = Endpoint("/broadcaster", "sensor_msgs/msg/JointState")
        topics["/joint_states"] = Topic("/joint_states", speaker.kind, False, (speaker,), ())
        hand = "/left_gripper/gripper_cmd"
        published = {f"{hand}/_action/feedback": ("control_msgs/action/GripperCommand_FeedbackMessage",)}
        seen = GraphSeen(topics, published, heard=heard)
        found = ("", seen, offers_of(seen, joints))
        monkeypatch.setattr("smp_bringup.cli.robot_new._graph", lambda *_: found)

    return make


@pytest.mark.parametrize("say", [True, False], ids=["by joints", "by names"])
def test_what_the_graph_says_is_in_the_file(say, graph, tmp_path):
    graph(say)
    path = write_robot(tmp_path, str(URDF), Told("bob"), {}, True, True, False, 3.0, "/")
    robot = load_robot(str(path))
    assert {arm.state_topic for arm in robot.arms} == {"/joint_states"}  # not the leaders', which have the same names
    assert robot.state_rate_hz == 500
    first = ("/a_controller", "/b_controller") if say else ("/left_arm_controller", "/right_arm_controller")
    told = {arm.name: (arm.command_interface, arm.command_topic) for arm in robot.arms}
    assert told["left"] == ("joint_trajectory", f"{first[0]}/joint_trajectory")
    assert told["right"] == ("joint_trajectory", f"{first[1]}/joint_trajectory")
    assert told["left_hand"] == ("gripper_command", "/left_gripper/gripper_cmd")
    assert told["right_hand"] == ("joint_trajectory", "/right_hand_controller/joint_trajectory")
    [camera] = robot.cameras
    assert (camera.name, camera.topic, camera.rate_hz) == ("top", "/top/color/image_raw", 15)
    text = path.read_text()
    assert "/top/depth/image_raw, 16UC1: recorded:" in text
    assert text.count("command_topic: not seen") == 1
    assert set(load_safety(robot.safety).drivers) == {*(name.lstrip("/") for name in first), "right_hand_controller"}


@pytest.mark.parametrize(("rate_hz", "period_s"), [(30.0, 0.04), (15.0, 0.07), (5.0, 0.2)])
def test_actions_are_no_shorter_than_frames(rate_hz, period_s):
    cameras = DraftCamera("a", "a", rate_hz=60.0), DraftCamera("b", "b", rate_hz=rate_hz)
    assert action_period_s(cameras) == period_s


def test_a_controller_of_both_arms_is_shared():
    urdf = parse_urdf(URDF.read_bytes(), "two_arms.urdf")
    limbs = [limb for limb in find_limbs(urdf).limbs if limb.kind == "arm"]
    both = Offer("/both/commands", "forward_position", ("/both",), frozenset(urdf.named))
    arms = propose_arms(limbs, Told(), None, [both], lambda question, default: default)
    assert [(arm.name, arm.command_topic) for arm in arms] == [("left", "/both/commands"), ("right", "/both/commands")]


def test_limits_in_degrees_are_said_to_look_like_it(tmp_path):
    path = tmp_path / "r.urdf"
    path.write_text(URDF.read_text().replace('lower="-2.5" upper="-0.1"', 'lower="-143" upper="-6"', 1))
    code, said = smp("--urdf", path, "--out", tmp_path / "out", "--yes")
    assert code == 0, said
    assert "the URDF says [-143, -6]; this looks like degrees" in (tmp_path / "out/robot.yaml").read_text()


def test_a_description_that_cannot_be_read_is_left_out_once(tmp_path):
    path = tmp_path / "r.urdf"
    path.write_text(URDF.read_text().replace('<axis xyz="0 1 0"/>', '<axis xyz="0 0 0"/>', 1))
    _, said = smp("--urdf", path, "--out", tmp_path / "out", "--yes")
    assert "is left out, and arm_distance with it" in said
    assert "name its URDF" not in said
    assert not load_robot(str(tmp_path / "out/robot.yaml")).description
