"""The limits in force: the robot's, scaled down and tightened by the settings, never loosened."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.errors import ConfigError
from smp_bringup.safety.bounds import bounds
from smp_bringup.safety.config import JointLimits, load_safety


def test_scales_tighten_the_limits_of_the_robot(robot):
    config = replace(load_safety("default"), velocity_scale=0.5, acceleration_scale=0.25, jerk_scale=0.125, limits={})
    found = bounds(robot, config)
    np.testing.assert_allclose(found.velocity, 0.5 * robot.joint_array("velocity"))
    np.testing.assert_allclose(found.acceleration, 0.25 * robot.joint_array("acceleration"))
    np.testing.assert_allclose(found.jerk, 0.125 * robot.joint_array("jerk"))
    np.testing.assert_array_equal(found.low, robot.joint_array("min"))


def test_a_limit_may_be_tighter_and_never_looser(robot):
    joint = robot.joints[0]
    middle = (joint.min + joint.max) / 2
    config = replace(load_safety("default"), limits={joint.name: JointLimits(min=middle)})
    assert bounds(robot, config).low[0] == middle
    for key, value in (("min", joint.min - 0.1), ("max", joint.max + 0.1), ("velocity", 2 * joint.velocity)):
        with pytest.raises(ConfigError, match=f"{key} .* is looser than the robot's"):
            bounds(robot, replace(config, limits={joint.name: JointLimits(**{key: value})}))
