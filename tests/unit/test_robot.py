import dataclasses

import numpy as np
import pytest

from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.joints import Joint
from smp_bringup.robot import Robot, load_robot


def test_the_arms_tile_the_joints_in_order(robot):
    names = [robot.joint_names[robot.arm_slices[arm.name]] for arm in robot.arms]
    assert [n for part in names for n in part] == list(robot.joint_names)
    assert robot.dof == 14


def test_home_is_inside_the_limits(robot):
    assert np.all(robot.joint_array("home") >= robot.joint_array("min"))
    assert np.all(robot.joint_array("home") <= robot.joint_array("max"))


def test_joint_arrays_cannot_be_changed(robot):
    with pytest.raises(ValueError, match="read-only"):
        robot.joint_array("min")[0] = 1.0


def test_the_fingerprint_follows_what_a_policy_depends_on(robot):
    base = robot.fingerprint(("overview",))["sha256"]
    swapped = dataclasses.replace(robot, arms=robot.arms[::-1])
    faster = dataclasses.replace(robot, control_period_s=0.005)
    assert swapped.fingerprint(("overview",))["sha256"] != base
    assert faster.fingerprint(("overview",))["sha256"] == base


def test_an_unknown_robot_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown robot 'aloah' \(did you mean 'aloha'\?\); known: aloha"):
        load_robot("aloah")


def test_bad_robots_are_refused(robot):
    joint = Joint("a", 0, 1, 1, 1, 1)
    with pytest.raises(ConfigError, match="joint named twice: a"):
        Robot("r", 0.01, 0.04, 100, (Arm("l", "/s", "/c", (joint, joint)),), robot.cameras)
    with pytest.raises(ConfigError, match="min 1 must be below max 0"):
        Joint("a", 1, 0, 1, 1, 1)
    with pytest.raises(ConfigError, match="home 2 is outside"):
        Joint("a", 0, 1, 1, 1, 1, home=2)
