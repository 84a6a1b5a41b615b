"""What drivers are told: a joint_trajectory_controller with default parameters must take it."""

from dataclasses import replace

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray

from smp_bringup.joints import DriverJoint
from smp_bringup.nodes.messages import command_msg, command_position
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import Command

T0 = 1_700_000_000_000_000_000


def told(robot, interface, **changes):
    """Return the robot whose arms are commanded through an interface."""
    arms = tuple(replace(arm, command_interface=interface, **changes) for arm in robot.arms)
    return replace(robot, arms=arms)


@pytest.mark.parametrize("interface", ["joint_state", "forward_position", "joint_trajectory"])
@pytest.mark.parametrize("changes", [{}, {"command_topic": "/both/commands"}])
def test_a_moving_setpoint_comes_through_every_interface(robot, interface, changes):
    body, rng = told(robot, interface, **changes), np.random.default_rng(0)
    command = Command(T0, *rng.uniform(-1, 1, (3, body.dof)))
    heard = np.full(body.dof, np.nan)
    for joints in body.command_topics:
        message = command_msg(joints, command, body.control_period_s)
        heard[joints.places] = command_position(message, joints)
        if interface == "joint_trajectory":
            assert tuple(message.joint_names) == joints.names
            assert not message.points[-1].velocities, "a last point that moves is refused by default"
            assert message.points[-1].time_from_start.nanosec == body.control_period_s * 1e9
            assert message.header.stamp.sec == 0, "it begins when it arrives, whatever the controller's clock says"
        else:
            velocity = command.velocity[joints.places].tolist()
            assert isinstance(message, Float64MultiArray) or list(message.velocity) == velocity
    np.testing.assert_array_equal(heard, command.position)


def test_a_driver_hears_its_own_names_and_units(robot):
    *joints, hand = robot.arms[0].joints
    joints[1] = replace(joints[1], driver=DriverJoint(min=-joints[1].min, max=-joints[1].max))
    hand = replace(hand, driver=DriverJoint("finger", min=0.8, max=0.0))
    body = replace(
        robot, arms=(replace(robot.arms[0], prefix="left_", joints=(*joints, hand)),), cameras=robot.cameras[:1]
    )
    position, velocity = np.array(body.joint_array("home")), np.arange(7.0)
    position[6] = hand.min + 0.25 * (hand.max - hand.min)
    message = command_msg(body.command_topics[0], Command(T0, position, velocity, velocity), 0.01)
    assert list(message.name) == ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "finger"]
    assert message.position[1] == pytest.approx(0.96)
    assert message.velocity[1] == -1
    assert message.position[6] == pytest.approx(0.6)
    assert message.velocity[6] == pytest.approx(-6 * 0.8 / (hand.max - hand.min))
    np.testing.assert_allclose(command_position(message, body.command_topics[0]), position)


def test_a_setpoint_of_other_joints_is_refused(robot):
    joints = robot.command_topics[0]
    with pytest.raises(Refusal, match="6 values for 7 joints"):
        command_position(Float64MultiArray(data=[0.0] * 6), joints)
    other = command_msg(robot.command_topics[1], Command(T0, *np.zeros((3, robot.dof))), 0.01)
    with pytest.raises(Refusal, match="expected"):
        command_position(other, joints)
