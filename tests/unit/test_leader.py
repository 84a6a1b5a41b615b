"""What a robot file may say of leaders, and how a leader arm's own joints become ours."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.action.teleop import Leaders, Whereabouts
from smp_bringup.errors import ConfigError
from smp_bringup.robot import Robot, load_robot
from smp_bringup.sync.checks import Refusal

LEADER = """
topic: /gello_left/joint_states
joints:
  left_waist: {name: j1, sign: -1, offset: 1.5}
  left_shoulder: {name: j2}
  left_elbow: {name: j3, scale: 2.0}
  left_forearm_roll: {name: j4}
  left_wrist_angle: {name: j5}
  left_wrist_rotate: {name: j6}
  left_gripper: {name: trigger, sign: -1, scale: 0.036, offset: 0.057}
"""


def led(robot, arm, text):
    """Return the robot as its file would describe it with this leader of one arm; empty: without one."""
    data = config.plain(robot)
    for one in data["arms"]:
        if one["name"] == arm:
            one["leader_topic"], one["leader"] = "", config.parse_yaml(text, "leader") if text else None
    return config.build(Robot, data, "robot.yaml")


def test_a_leader_arm_with_its_own_names_signs_scales_and_zeros_is_followed(robot):
    mapped = led(robot, "left", LEADER)
    leaders = Leaders(mapped)
    names = ["trigger", "j6", "j5", "j4", "j3", "j2", "j1", "cable"]
    leaders.push("left", 10, names, [0.5, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 9.0])
    merged = leaders.push("right", 10, [j.name for j in robot.arms[1].joints], np.zeros(7))
    np.testing.assert_allclose(merged.position[:7], [1.4, 0.2, 0.6, 0.4, 0.5, 0.6, 0.039])
    leaders.push("left", 20_000_010, names, [0.5, 0.6, 0.5, 0.4, 0.31, 0.2, 0.11, 9.0])
    merged = leaders.push("right", 20_000_010, [j.name for j in robot.arms[1].joints], np.zeros(7))
    np.testing.assert_allclose(merged.velocity[:3], [-0.5, 0.0, 1.0], atol=1e-9)  # the sign turns the speed too
    with pytest.raises(Refusal, match="missing j1"):
        leaders.push("left", 30, [j.name for j in robot.arms[0].joints], np.zeros(7))


def test_a_robot_whose_leader_has_names_of_its_own_is_a_key_like_any_other(robot):
    """Replay keeps a policy by its robot."""
    mapped, again = led(robot, "left", LEADER), led(robot, "left", LEADER)
    assert {mapped: 1}[again] == 1
    assert mapped != robot


def test_what_a_leader_says_of_our_joints_can_be_said_back(robot, rng):
    joints = led(robot, "left", LEADER).arms[0].leader_joints
    ours = rng.normal(size=(5, 7))
    np.testing.assert_allclose(joints.scale * joints.positions(ours) + joints.offset, ours)


def test_the_short_form_is_a_leader_arm_with_our_joints(robot):
    long = led(robot, "left", "topic: /leader_left/joint_states")
    assert long.arms[0].led_by == robot.arms[0].led_by
    assert [t.topic for t in long.leader_topics] == [t.topic for t in robot.leader_topics]
    assert robot.has_leader_arms


def test_a_robot_without_leaders_is_told_by_the_teleoperation_and_reads_back(robot, tmp_path):
    alone = led(led(robot, "left", ""), "right", "")
    path = tmp_path / "alone.yaml"
    path.write_text(config.dump(alone))
    assert load_robot(str(path)) == alone
    assert alone.leader_topics == ()
    assert [t.topic for t in alone.operator_topics] == ["/teleop/command"]
    with pytest.raises(ConfigError, match="nothing to read: name one in the robot file"):
        Leaders(alone)


def test_an_arm_without_a_leader_stays_where_the_teleoperation_found_it(robot):
    leaders = Leaders(led(robot, "left", ""))
    names = [j.name for j in robot.arms[1].joints]
    assert leaders.push("right", 10, names, np.zeros(7)) is None  # where the left arm is is not known yet
    leaders.measured("left", 11, np.full(7, 0.5))
    leaders.followed(True)
    leaders.measured("left", 12, np.full(7, 0.6))
    merged = leaders.push("right", 13, names, np.zeros(7))
    np.testing.assert_array_equal(merged.position[:7], 0.5)
    assert merged.stamps_ns == {"left": 12, "right": 13}  # its silence would be noticed as a leader's
    leaders.followed(False)
    leaders.measured("left", 14, np.full(7, 0.7))
    assert leaders.push("right", 15, names, np.zeros(7)).position[0] == 0.7


def test_a_gripper_is_where_it_is_told_to_be_while_the_arm_is_armed(robot):
    """What it holds keeps it from there: to begin from where it is measured would let it fall."""
    where, measured, told = Whereabouts(robot), np.full(7, 0.035), np.full(7, 0.021)
    np.testing.assert_array_equal(where.measured("left", measured, 0), measured)
    where.commanded("left", told, 1_000_000_000)
    np.testing.assert_array_equal(where.measured("left", measured, 1_400_000_000), [*measured[:6], 0.021])
    np.testing.assert_array_equal(where.measured("right", measured, 1_400_000_000), measured)
    np.testing.assert_array_equal(where.measured("left", measured, 1_600_000_000), measured)  # it is disarmed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LEADER.replace("left_waist:", "left_waits:"),
            "no joint 'left_waits' (did you mean 'left_waist'?); the arm has",
        ),
        (LEADER.replace("name: j2", "name: j1"), "j1 would move two joints"),
        (LEADER.replace("sign: -1", "sign: 0"), "sign must be 1 or -1, got 0"),
        (LEADER.replace("scale: 2.0", "scale: -2.0"), "scale must be a number in [1e-09, 1e+09], got"),
        (LEADER.replace("scale: 2.0", "scale: 5.0e-324"), "scale must be a number in [1e-09, 1e+09], got"),
        (LEADER.replace("offset: 1.5", "offset: 90"), "offset 90 must be in rad"),
        ("{topic: /t, kind: twist}", "a leader of kind twist moves a link: name it"),
        ("{topic: /t, kind: speed}", "kind must be one of joints, twist, twist_unstamped, pose, got 'speed'"),
        ("{topic: /t, kind: twist, tip: a, joints: {left_waist: {name: j}}}", "kind twist has no joints"),
        ("{topic: /t, tip: a}", "are of leaders of kind twist or pose"),
        ("{topic: /t, kind: twist, tip: a}", "takes the robot's description: name its URDF"),
        ("{topic: /t, kind: twist, tip: a, speed: 20}", "speed must be a number in (0, 2], got"),
        ("{topic: /t, kind: pose, tip: a, buttons: {topic: /joy, close: 0, open: 0}}", "must be different buttons"),
        ("{topic: /leader_right/joint_states}", ""),
        ("{topic: /follower_left/joint_states}", "topic named twice: /follower_left/joint_states"),
    ],
)
def test_a_leader_that_cannot_be_is_refused_in_one_line(robot, text, said):
    if not said:
        assert len(led(robot, "left", text).leader_topics) == 1  # one driver may tell of both leader arms
        return
    with pytest.raises(ConfigError) as refused:
        led(robot, "left", text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_short_and_long_form_together_are_refused(robot):
    arm = robot.arms[0]
    with pytest.raises(ConfigError, match="keep one of them"):
        replace(arm, leader=led(robot, "left", LEADER).arms[0].leader)
