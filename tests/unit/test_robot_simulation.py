"""A simulation from a URDF alone: how hands grip is read from their fingers, and what is wrong with one is said."""

import re
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from smp_bringup.cli.app import app
from smp_bringup.cli.robot_simulation import named, require_homes
from smp_bringup.commission.files import check_file
from smp_bringup.commission.fingers import Fingers
from smp_bringup.commission.place_robot import with_homes
from smp_bringup.commission.propose_simulation import watched_homes
from smp_bringup.commission.simulated import check_simulated, check_simulation
from smp_bringup.commission.watched import unwatched
from smp_bringup.description.limbs import find_limbs
from smp_bringup.description.urdf import parse_urdf
from smp_bringup.errors import SmpError, StoppedError
from smp_bringup.paths import named_config
from smp_bringup.robot import load_robot
from smp_bringup.safety.config import JointLimits, load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.collect import DemonstrationJob, collect, jobs
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation
from smp_bringup.tasks import TASKS

XARM = Path(__file__).with_name("xarm7.urdf").read_text()
PALM = """
  <link name="palm">
    <collision><origin xyz="0 0 0.03"/><geometry><box size="0.05 0.12 0.06"/></geometry></collision></link>
  <joint name="flange" type="fixed"><parent link="link7"/><child link="palm"/></joint>"""
FINGER = """
  <link name="{name}"><collision><origin xyz="0 {at} 0.1"/><geometry><box size="0.02 0.01 0.08"/></geometry></collision>
  </link><joint name="{name}_joint" type="prismatic"><parent link="palm"/><child link="{name}"/><axis xyz="0 {way} 0"/>
    <limit lower="0" upper="0.04" velocity="0.2" effort="50"/>{mimic}</joint>"""
JAW = """
  <link name="jaw">
    <collision><origin xyz="0 0.005 0.05"/><geometry><box size="0.02 0.01 0.1"/></geometry></collision></link>
  <joint name="jaw_joint" type="revolute">
    <parent link="palm"/><child link="jaw"/><origin xyz="0 0 0.06"/><axis xyz="1 0 0"/>
    <limit lower="-1.2" upper="0" velocity="2" effort="50"/></joint>
  <link name="still">
    <collision><origin xyz="0 -0.005 0.11"/><geometry><box size="0.02 0.01 0.1"/></geometry></collision></link>
  <joint name="rigid" type="fixed"><parent link="palm"/><child link="still"/></joint>"""
TWO = FINGER.format(name="one", at="0.005", way="1", mimic="") + FINGER.format(
    name="two", at="-0.005", way="-1", mimic='<mimic joint="one_joint"/>'
)
"""Fingers that end at z = 14 cm, and touch where their joint is 0."""

KINOVA = Path(sysconfig.get_path("purelib"), "cmeel.prefix/share/example-robot-data/robots/kinova_description/robots")
"""The maker's, where example-robot-data is installed: its fingers are fixed joints."""
FIXED = re.sub(r'type="prismatic"', 'type="fixed"', re.sub(r" *<(axis|limit|mimic)[^>]*/>", "", TWO))


def smp(*words):
    done = CliRunner().invoke(app, ["robot", *map(str, words)])
    if isinstance(done.exception, SmpError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def two_arms(folder, hand, *words, urdf=None):
    """Write the files of two xArm7 with a hand, or of another URDF, across the table; return the robot file."""
    if urdf is None:
        urdf = folder / "arm.urdf"
        urdf.write_text(XARM.replace("</robot>", PALM + hand + "</robot>"))
    code, said = smp(
        *("new", "--urdf", urdf, "--out", folder, "--yes", "--copies", "left,right"),
        *("--at", "left=-0.6,0.5,0", "--at", "right=0.6,0.5,0,0,0,3.14159", *words),
    )
    assert code == 0, said
    return folder / "robot.yaml"


@pytest.fixture(scope="module")
def robot_file(tmp_path_factory):
    """Return the file of two arms with parallel hands, and their simulation beside it."""
    file = two_arms(tmp_path_factory.mktemp("arms"), TWO)
    code, said = smp("simulation", file)
    assert code == 0, said
    return file


def findings(robot, **changes):
    """Return what is said of a robot's simulation after changes to both of its hands."""
    simulation = load_simulation(robot)
    hands = {side: replace(hand, **changes) for side, hand in simulation.hands.items()}
    found = check_simulated(robot, replace(simulation, hands=hands), load_safety(robot.safety))
    return [finding.line for finding in found]


def test_from_a_urdf_to_a_tray_that_is_lifted(robot_file):
    robot = load_robot(str(robot_file))
    for hand in load_simulation(robot).hands.values():
        assert hand.tcp == pytest.approx([0, 0, 0.12, 0, -np.pi / 2, 0], abs=2e-3)
        assert hand.closed == pytest.approx(0, abs=1e-3)
        assert hand.travel == pytest.approx(0.5, abs=0.01)
        assert {finger.partition("_")[2] for finger in hand.fingers} == {"one", "two"}
        assert hand.body.endswith("_palm")
    job = DemonstrationJob(robot, 0.0)
    done = next(collect(jobs("lift_tray", 1, 0, robot_file.parent / "bags", job), 1))
    assert done.success, done.lacks or done.reason
    assert not [finding.line for finding in check_file(str(robot_file))[0] if finding.about.startswith("simulation")]


@pytest.mark.parametrize(
    ("tcp", "said"),
    [
        (
            (0, 0, 0, 0, -np.pi / 2, 0),
            r"tcp lies 14\.0 cm behind the fingertips.*at its palm or wrist: write tcp: \[0, 0, 0\.12",
        ),
        ((0, 0, 0.17, 0, -np.pi / 2, 0), r"tcp lies 3\.0 cm beyond its fingertips.*write tcp: \[0, 0, 0\.12"),
        ((0, 0.05, 0.12, 0, -np.pi / 2, 0), r"tcp lies 5\.0 cm beside the middle between its fingertips"),
        ((0, 0, 0.12, 0, 0, 0), r"x of tcp points 90 degrees away from where the fingers do"),
        ((0, 0, 0.12, np.pi / 2, -np.pi / 2, 0), r"y of tcp is turned by 90 degrees from how its fingers close"),
    ],
    ids=["at the wrist", "beyond", "beside", "x turned", "y turned"],
)
def test_a_tool_centre_point_that_lifts_nothing_is_named_with_what_to_write(robot_file, tcp, said):
    found = findings(load_robot(str(robot_file)), tcp=tuple(map(float, tcp)))
    assert len([line for line in found if re.search(said, line)]) == 2, found  # of each hand
    assert all(line.startswith(("simulation, hand left:", "simulation, hand right:", "simulation:")) for line in found)


def test_a_hand_on_an_entry_of_grippers_alone_is_one_finding(robot_file, tmp_path):
    shutil.copytree(robot_file.parent, tmp_path / "mine")
    file = tmp_path / "mine" / "robot.yaml"
    beside = file.with_name("simulation.yaml")
    beside.write_text(beside.read_text().replace("arm: left\n", "arm: left_hand\n"))
    (found,) = (finding for finding in check_file(str(file))[0] if finding.about == "simulation")
    assert "arm of hand 'left' 'left_hand' has no joint but grippers: name the entry of the arm" in found.line


def test_what_is_near_enough_is_let_be(robot_file):
    assert findings(load_robot(str(robot_file)), tcp=(0.004, 0.004, 0.125, 0.0, -1.5, 0.0)) == []


@pytest.mark.parametrize(("closed", "travel"), [(0.0, 1.0), (0.02, 0.5), (0.04, -0.5)])
def test_openings_that_are_not_those_of_the_fingers_are_named(robot_file, closed, travel):
    found = findings(load_robot(str(robot_file)), closed=closed, travel=travel)
    assert any(
        re.search(r"its fingers are \d cm apart where .*: write closed: \S+, travel: 0\.5", line) for line in found
    ), found


def test_a_body_that_the_gripper_moves_carries_no_tool_centre_point(robot_file):
    found = findings(load_robot(str(robot_file)), body="left_one")
    assert any("moves body 'left_one', and the tool centre point with it" in line for line in found), found


def test_fingers_of_one_side_alone_do_not_close(robot_file):
    robot = load_robot(str(robot_file))
    simulation = load_simulation(robot)
    hands = {side: replace(hand, fingers=(f"{side}_one",)) for side, hand in simulation.hands.items()}
    found = check_simulated(robot, replace(simulation, hands=hands), load_safety(robot.safety))
    assert any("against each other: name under fingers the bodies of both sides" in each.line for each in found)


def lines_of_hands(robot, simulation):
    """Return what is said of both hands."""
    found = check_simulated(robot, simulation, load_safety(robot.safety))
    return [each.line for each in found if each.about.startswith("simulation, hand")]


@pytest.mark.parametrize("maker", [False, True], ids=["ours", "two Jaco"])
def test_hands_whose_fingers_are_fixed_reach_hold_nothing_and_that_is_said(tmp_path, maker):
    if maker and not KINOVA.is_dir():
        pytest.skip("no example-robot-data here: make robots installs it")
    urdf = KINOVA / "kinova.urdf" if maker else None
    file = two_arms(tmp_path, FIXED, urdf=urdf)
    code, said = smp("simulation", file)
    assert code == 0, said
    robot = load_robot(str(file))
    simulation = load_simulation(robot)
    found = [each.line for each in check_simulated(robot, simulation, load_safety(robot.safety))]
    lines = [line for line in found if line.startswith("simulation, hand")]
    assert len(lines) == len(found) == 2, found  # it points out of the hand: the operator reaches
    for line in lines:
        assert "names no gripper, so nothing opens it" in line
        assert "nothing behind its arm moves: take a description whose fingers are no fixed joints" in line


def test_a_joint_that_never_parts_its_fingers_opens_nothing(tmp_path):
    """The fingers pass each other, as a thumb that turns beside its fingers does."""
    passing = TWO.replace('size="0.02 0.01 0.08"', 'size="0.02 0.2 0.08"')
    assert passing != TWO
    file = two_arms(tmp_path, passing)
    code, said = smp("simulation", file)
    assert code == 0, said
    assert "hand left: no fingers that close were found" in said
    robot = load_robot(str(file))
    lines = lines_of_hands(robot, load_simulation(robot))
    assert any("left_one_joint does not move fingers" in line for line in lines), lines


def test_a_gripper_that_the_simulation_leaves_out_is_named(robot_file):
    found = findings(load_robot(str(robot_file)), gripper="")
    assert any("the joint that moves its fingers, of left_one_joint, and" in line for line in found), found
    assert any("the joint that moves its fingers, of right_one_joint, and" in line for line in found), found


def test_fingers_that_the_robot_file_leaves_out_are_named(robot_file):
    """Two arms without their hands' entries; what follows the finger is not named."""
    robot, whole = load_robot(str(robot_file)), load_simulation(load_robot(str(robot_file)))
    arms = tuple(arm for arm in robot.arms if arm.name in ("left", "right"))
    assert len(arms) < len(robot.arms)
    hands = {side: replace(hand, gripper="") for side, hand in whole.hands.items()}
    lines = lines_of_hands(replace(robot, arms=arms), replace(whole, hands=hands))
    assert [re.findall("while (.*) behind its arm move and are not in the robot file", line) for line in lines] == [
        ["left_one_joint"],
        ["right_one_joint"],
    ]


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (0.0, 0.011, r"opens its fingers to 2\.2 cm, what tasks hold is 2\.4 cm thick: they do not go round it"),
        (0.012, 0.04, r"closes its fingers to 2\.4 cm, what tasks hold is 2\.4 cm thick: they do not hold it"),
    ],
    ids=["too narrow", "never closed"],
)
def test_fingers_that_open_or_close_too_little_for_the_tray_are_named(robot_file, least, most, said):
    """Their joint is half of what is between them."""
    robot = load_robot(str(robot_file))
    arms = [arm if arm.name in ("left", "right") else with_range(arm, least, most) for arm in robot.arms]
    found = lines_of_hands(replace(robot, arms=tuple(arms)), load_simulation(robot))
    assert (
        sum(
            bool(re.search(rf"{side}_one_joint {said}: look at min and max", line))
            for side in ("left", "right")
            for line in found
        )
        == 2
    ), found


def with_range(arm, least, most):
    """Return a hand whose joint has another range."""
    (joint,) = arm.joints
    return replace(arm, joints=(replace(joint, min=least, max=most, home=most),))


def test_a_jaw_that_turns_against_one_that_stands_still(tmp_path):
    """The middle is where a jaw of 25 mm of opening has it, and what opens it counts below zero."""
    file = two_arms(tmp_path, JAW)
    code, said = smp("simulation", file)
    assert code == 0, said
    hand = load_simulation(load_robot(str(file))).hands["left"]
    assert {"left_jaw", "left_still"} <= set(hand.fingers)
    assert hand.travel < -5
    assert hand.tcp[2] == pytest.approx(0.14, abs=5e-3)
    assert 0.005 < hand.tcp[1] < 0.02
    robot = load_robot(str(file))
    soft = replace(load_safety(robot.safety), max_tracking_error=0.05)
    found = [finding.line for finding in check_simulated(robot, load_simulation(robot), soft)]
    assert any(
        re.search(
            r"left_jaw_joint is told in rad: .* rad from its setpoint, and state_near holds the arms at 0\.05: "
            r"write of that joint gripper: true, .* driver: \{min: \S+, max: -1\.2\}",
            line,
        )
        for line in found
    ), found


def test_a_demonstration_that_fails_says_what_it_lacks(robot_file, tmp_path):
    robot = load_robot(str(robot_file))
    text = Path(robot.simulation).read_text()
    wrong = robot_file.parent / "wrong.yaml"
    wrong.write_text(re.sub(r"tcp: \[0, [^]]*\]", "tcp: [0, 0, 0.17, 0, -1.570796, 0]", text))
    assert wrong.read_text() != text
    job = DemonstrationJob(replace(robot, simulation=str(wrong)), 0.0)
    done = next(collect(jobs("lift_tray", 1, 0, tmp_path / "bags", job), 1))
    assert not done.success
    assert "below the height that counts" in done.lacks


def test_arms_that_do_not_reach_stand_in_the_table_or_go_too_fast_are_named(robot_file):
    robot = load_robot(str(robot_file))
    simulation, settings = load_simulation(robot), load_safety(robot.safety)

    def said(at=(0.0,) * 6, pace=simulation.pace):
        part = replace(simulation.parts[0], at=at)
        return " | ".join(
            finding.line for finding in check_simulated(robot, replace(simulation, parts=(part,), pace=pace), settings)
        )

    assert said() == ""
    assert "does not reach what lift_tray needs" in said((0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    assert re.search(r"cm inside the table at home", said((0.0, 0.0, -0.45, 0.0, 0.0, 0.0)))
    assert "on the other hand's side of the table" in said((0.0, 1.0, 0.0, 0.0, 0.0, np.pi))
    assert re.search(r"times as fast as it may go: write pace: \d", said(pace=0.3))


def test_check_says_that_a_simulation_does_not_load(robot, tmp_path):
    data = yaml.safe_load(named_config("simulations", "aloha").read_text())
    data["hands"]["left"]["body"] = "vx300s_left/griper_link"
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    found = check_simulation(replace(robot, simulation=str(tmp_path / "mine.yaml")), load_safety("default"))
    assert [finding.level.name for finding in found] == ["ERROR"]
    assert "did you mean 'vx300s_left/gripper_link'" in found[0].line


def test_the_hands_of_the_robot_that_ships_are_where_its_fingers_say(robot):
    """Written by hand long before fingers were looked at."""
    simulation = load_simulation(robot)
    model = compiled(robot_spec(robot, simulation))
    for side, hand in simulation.hands.items():
        grip = Fingers(model, robot, simulation, side).grip()
        assert grip.tcp.six == pytest.approx(hand.tcp, abs=3e-3)
        assert hand.opening(grip.values) == pytest.approx(grip.gaps, abs=4e-3)
    assert check_simulation(robot, load_safety("default")) == []


def test_a_travel_of_zero_is_refused():
    with pytest.raises(
        SmpError,
        match=r"travel must be at least 0.001 from zero, got 0: .* below zero",
    ):
        replace(load_simulation(load_robot("aloha")).hands["left"], travel=0.0)


def test_a_simulation_that_is_there_stays(robot_file):
    with pytest.raises(SmpError, match=r"simulation\.yaml exists: .* overwrite by --force"):
        smp("simulation", robot_file)


def test_a_robot_file_names_its_simulation_and_else_stays_as_it_was():
    text = "# mine\nname: two\narms:\n  - joints:\n      - {name: a, min: -1, max: 1, home: 0.0, velocity: 1}  # mine\n"
    text += "      - name: b\n        min: -1\n        home: -2.5e-1\n"
    done = named(text, {"a": 0.5, "b": 0.25})
    assert done == text.replace("name: two", "name: two\nsimulation: simulation.yaml").replace(
        "home: 0.0", "home: 0.5"
    ).replace("home: -2.5e-1", "home: 0.25")
    assert named(done, {}) == done
    with pytest.raises(SmpError, match="no home of 'c' that could be changed: write 1"):
        named(text, {"c": 1.0})


def test_a_home_that_would_be_written_to_a_neighbour_is_refused(robot):
    """A joint whose home is left out, in lines of its own: the next home in the file is another joint's."""
    text = "name: two\n- name: a\n  min: -1\n- name: b\n  home: 0.1\n"
    assert "home: 0.5" in named(text, {"a": 0.5})
    wrong, right = (with_homes(robot, {name: 0.5}) for name in ("left_shoulder", "left_waist"))
    require_homes(right, robot, {"left_waist": 0.5})
    for done in (wrong, robot, with_homes(right, {"left_shoulder": 0.5})):
        with pytest.raises(SmpError, match=r"write these homes, and run this again: left_waist 0\.5"):
            require_homes(done, robot, {"left_waist": 0.5})


def test_homes_at_which_the_real_arms_would_be_watched_less_are_not_taken(robot):
    """Links of one arm that are near each other at home are not looked at (docs/safety.md)."""
    settings = load_safety("default")
    folded = {"left_shoulder": 0.55, "left_elbow": 1.53, "left_forearm_roll": 0.56, "left_wrist_angle": -0.56}
    assert unwatched(robot, settings) == ()
    assert "left upper_arm and left wrist" in unwatched(with_homes(robot, folded), settings)
    homes, (said,) = watched_homes(robot, settings, folded)
    assert homes == {}
    assert "left_elbow 1.53" in said
    assert "left upper_arm and left wrist" in said
    assert watched_homes(with_homes(robot, folded), settings, folded) == (folded, [])  # they were not watched before
    reaching = {"left_elbow": 1.2}
    assert watched_homes(robot, settings, reaching) == (reaching, [])


def test_another_simulation_that_the_file_names_is_not_put_out_unasked(robot_file, tmp_path):
    for name in ("robot.yaml", "safety.yaml", "copies.urdf", *(f"{side}_shapes.yaml" for side in ("left", "right"))):
        if (robot_file.parent / name).exists():
            shutil.copy(robot_file.parent / name, tmp_path)
    mine = tmp_path / "robot.yaml"
    (tmp_path / "mine.yaml").write_text((robot_file.parent / "simulation.yaml").read_text())
    text = mine.read_text().replace("simulation: simulation.yaml", "simulation: mine.yaml")
    mine.write_text(text)
    with pytest.raises(SmpError, match=r"names the simulation '.*mine\.yaml' already: name another one by --force"):
        smp("simulation", mine)
    assert mine.read_text() == text


def test_joints_that_the_safety_settings_slow_down_count_for_the_pace(robot_file):
    robot = load_robot(str(robot_file))
    simulation, settings = load_simulation(robot), load_safety(robot.safety)
    assert check_simulated(robot, simulation, settings) == []
    slow = {joint.name: JointLimits(velocity=joint.velocity / 4) for joint in robot.joints if joint.turns}
    (found,) = check_simulated(robot, simulation, replace(settings, limits=slow))
    assert "times as fast as it may go: write pace:" in found.line


def test_what_nothing_drives_stands_still_and_followers_follow_beyond_their_limits(tmp_path):
    torso = """
  <link name="mast">
    <inertial><mass value="1"/><inertia ixx="1" iyy="-1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="lift" type="prismatic"><parent link="mast"/><child link="link_base"/><axis xyz="0 0 1"/>
    <limit lower="0" upper="0.4" velocity="0.1" effort="100"/></joint>"""
    backwards = TWO.replace('<mimic joint="one_joint"/>', '<mimic joint="one_joint" multiplier="-1"/>').replace(
        "0 -1 0", "0 1 0"
    )
    file = two_arms(tmp_path, backwards + torso)
    code, said = smp("simulation", file)
    assert code == 0, said
    robot = load_robot(str(file))
    model = compiled(robot_spec(robot, load_simulation(robot)))
    names = [model.joint(i).name for i in range(model.njnt)]
    assert "left_joint1" in names
    assert "left_lift" not in names
    assert not model.joint("left_two_joint").id < 0
    assert not model.jnt_limited[model.joint("left_two_joint").id]
    assert model.jnt_limited[model.joint("left_one_joint").id]


def test_a_wrist_that_is_called_by_its_hand_is_of_the_arm():
    fork = XARM.replace("</robot>", PALM + TWO.replace('<mimic joint="one_joint"/>', "") + "</robot>")
    urdf = parse_urdf(fork.replace('"joint7"', '"gripper_yaw"').encode(), "arm.urdf")
    limbs = {limb.name: [joint.name for joint in limb.joints] for limb in find_limbs(urdf).limbs}
    assert limbs["arm"][-1] == "gripper_yaw"
    assert limbs["arm_hand"] == ["one_joint", "two_joint"]
    finger = parse_urdf(fork.replace('"joint7"', '"thumb_yaw"').encode(), "arm.urdf")
    assert find_limbs(finger).limbs[0].joints[-1].name == "joint6"


def test_an_episode_that_a_check_stops_says_which_and_why(robot):
    world = World(TASKS["lift_tray"](), robot)
    world.reset(1)
    loop = Lockstep(world, robot, wants_frame=lambda *_: False)
    loop.start(Mode.TELEOP)
    loop.advance()
    loop.command.disarm()

    def go_on():
        for _ in range(300):
            loop.advance()

    with pytest.raises(StoppedError, match="disarm stopped the arms: somebody disarmed them"):
        go_on()


def test_a_description_of_one_arm_is_no_robot_for_the_tasks(tmp_path):
    urdf = tmp_path / "arm.urdf"
    urdf.write_text(XARM)
    assert smp("new", "--urdf", urdf, "--out", tmp_path, "--yes")[0] == 0
    with pytest.raises(SmpError, match=r"the tasks need two arms .*smp robot new --copies left,right"):
        smp("simulation", tmp_path / "robot.yaml")
    assert not (tmp_path / "simulation.yaml").exists()
