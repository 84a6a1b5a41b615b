"""What drivers are told: a joint_trajectory_controller with default parameters must take it."""

from dataclasses import replace

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray

from smp_bringup.nodes.messages import command_msg, command_position
from smp_bringup.types import Command

T0 = 1_700_000_000_000_000_000


@pytest.mark.parametrize("interface", ["joint_state", "forward_position", "joint_trajectory"])
def test_a_moving_setpoint_comes_through_every_interface(robot, interface):
    rng, arm = np.random.default_rng(0), replace(robot.arms[1], command_interface=interface)
    command = Command(T0, *rng.uniform(-1, 1, (3, robot.dof)))
    part, names = robot.arm_slices[arm.name], tuple(joint.name for joint in arm.joints)
    message = command_msg(arm, part, command, robot.control_period_s)
    np.testing.assert_array_equal(command_position(message, names), command.position[part])
    if interface == "joint_trajectory":
        assert tuple(message.joint_names) == names
        assert not message.points[-1].velocities, "a last point that moves is refused by default"
        assert message.points[-1].time_from_start.nanosec == robot.control_period_s * 1e9
    else:
        assert isinstance(message, Float64MultiArray) or list(message.velocity) == command.velocity[part].tolist()
