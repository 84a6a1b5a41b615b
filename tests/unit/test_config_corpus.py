"""Bad YAML, one file per error: the exact message, exit code 2, and quickly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smp_bringup.errors import SmpError
from smp_bringup.paths import named_config
from smp_bringup.pipeline import build_command
from smp_bringup.robot import load_robot

CORPUS = Path(__file__).parent / "bad_yaml"

MESSAGES = {
    "safety_unknown_key": "unknown key 'state_timeot_s' (did you mean 'state_timeout_s'?); allowed: ",
    "safety_unknown_check": "unknown safety check 'arm_distanc' (did you mean 'arm_distance'?); known: ",
    "safety_wrong_type": "state_timeout_s must be a number in [0.0001, 1], got 'fast'",
    "safety_out_of_range": "velocity_scale must be a number in [0.01, 1], got 1.5",
    "safety_nan": "hold_grace_s must be a number in [0.0001, 10], got nan",
    "safety_infinite": "max_step_refuse must be a number in (0, 10], got inf",
    "safety_nothing": "state_timeout_s must be a number in [0.0001, 1], got nothing",
    "safety_missing_checks": "key 'checks' is missing",
    "safety_duplicate_key": "line 3: duplicate key 'hold_grace_s'",
    "safety_tab": "not valid YAML: ",
    "safety_alias_bomb": "line 3: YAML aliases (*name) are not allowed",
    "safety_tag": "not valid YAML: ",
    "safety_list": "expected a mapping of keys to values, got ['finite']",
    "safety_checks_no_list": "checks must be a list, got 'finite'",
    "safety_checks_none": "checks: none is listed, so nothing would stop the arms: list those of config/safety",
    "safety_short_box": "workspace_min must have 3 entries, got 2",
    "safety_limit_looser": "limits: velocity 9 of joint 'left_waist' is looser than the robot's 3",
    "safety_limit_lower": "limits: min -9 of joint 'left_waist' is looser than the robot's -3.14158",
    "safety_limit_joint": "limits: no joint 'left_waste' (did you mean 'left_waist'?); joints: left_waist, ",
    "safety_limit_key": "limits.left_waist: unknown key 'velocty' (did you mean 'velocity'?)",
    "safety_check_twice": "check named twice: finite",
    "safety_heartbeat_unheard": "estop_heartbeat_s is awaited by the check estop_link, which is not among checks",
    "safety_box_inverted": "workspace_min [-1.0, 1.0, 0.0] must be below workspace_max [1.0, -1.0, 1.0] in x, y and z",
    "safety_stop_above_slow": "stop_distance 0.1 m must be below slow_distance 0.06 m",
    "safety_scale_nothing": "velocity_scale must be a number in [0.01, 1], got 1e-09",
    "robot_missing_limit": "arms[0]: joints[0]: key 'velocity' is missing",
    "robot_zero_limit": "arms[0]: joints[0]: jerk must be a number in (0, inf), got 0.0",
    "robot_inverted": "joint 'a': min 1 must be below max -1",
    "robot_twice": "joint named twice: a",
    "robot_interface": "must be one of joint_state, forward_position, joint_trajectory, gripper_command, "
    "parallel_gripper_command, twist, twist_unstamped, got 'joint_stat' (did you mean 'joint_state'?)",
    "robot_no_geometry": "arm 'left' has no geometry: name one of config/geometry in the robot file",
    "robot_geometry_joints": "geometry 'vx300s' has 6 joints, arm 'left' 1",
    "robot_unknown_geometry": "unknown geometry 'vx301s' (did you mean 'vx300s'?); known: baxter_arm, ",
}
"""What the error of each file must contain."""


def build(path):
    """Build a command core from a bad file and a good one."""
    robot, safety = (str(path), "default") if path.stem.startswith("robot") else ("aloha", str(path))
    build_command(load_robot(robot), safety)


def test_every_file_has_its_message_and_every_message_its_file():
    assert {path.stem for path in CORPUS.glob("*.yaml")} == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_bad_file_is_refused_in_one_line(name):
    with pytest.raises(SmpError) as caught:
        build(CORPUS / f"{name}.yaml")
    assert MESSAGES[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["safety_unknown_key", "safety_alias_bomb", "robot_missing_limit"])
def test_the_node_ends_with_code_2(name):
    """Of each kind one as a process; what takes its time is the start of Python and ROS."""
    which = "robot" if name.startswith("robot") else "safety"
    command = [sys.executable, "-m", "smp_bringup.nodes.command_node", "--ros-args"]
    done = subprocess.run(
        [*command, "-p", f"{which}:={CORPUS / name}.yaml"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ.copy(),
    )
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ") and MESSAGES[name] in line]
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named():
    with pytest.raises(SmpError, match=r"safety settings file 'nowhere\.yaml' does not exist"):
        named_config("safety", "nowhere.yaml")
