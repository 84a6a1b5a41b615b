"""A lift is no hand: it slides in metres, and is limited, judged and named as what it is."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError
from smp_bringup.joints import Joint
from smp_bringup.safety.bounds import measure, tolerances
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import JointSample, Severity

LIFT = Joint("lift", 0.0, 1.2, 0.2, 1, 20, home=0.4, prismatic=True)
MS = 1_000_000


@pytest.fixture
def body(robot):
    torso = Arm("torso", "/torso/joint_states", "/torso/commands", (LIFT,), command_interface="forward_position")
    return replace(robot, arms=(*robot.arms, torso))


def test_a_lift_is_measured_in_metres_and_in_the_arms_group(body):
    assert not body.turning[-1]
    assert tolerances(body, load_safety("default"), "max_tracking_error")[-1] == 0.1
    assert measure(body, body.dof - 1, 0.25) == "0.250 m"


def test_a_lift_moves_under_its_limits_and_is_missed_when_it_is_far(body):
    checks = tuple(name for name in load_safety("default").checks if name not in ("workspace", "arm_distance"))
    core = CommandCore(body, replace(load_safety("default"), checks=checks))
    measured, ns = np.array(body.joint_array("home")), 1_700_000_000_000_000_000
    wanted, rows, stuck = measured.copy(), [], None
    for cycle in range(700):
        ns += 10 * MS
        for arm in body.arms:
            part = body.arm_slices[arm.name]
            core.on_state(arm.name, JointSample(ns, measured[part], np.zeros(len(arm.joints))), ns)
        wanted[-1] = min(1.5, wanted[-1] + 0.002) if cycle > 100 else wanted[-1]
        core.on_teleop(JointSample(ns, wanted.copy(), np.zeros(body.dof)), ns, ns)
        if core.mode is Mode.DISARMED and cycle > 1:
            core.arm(ns)
        core.use(Mode.TELEOP, ns, ns)
        output = core.step(ns, ns)
        if output.command is None:
            continue
        rows.append(output.command.position[-1])
        measured = output.command.position.copy()
        if cycle > 400:  # the lift jams
            stuck = measured[-1] if stuck is None else stuck
            measured[-1] = stuck
        if output.verdict.severity >= Severity.HOLD:
            break
    assert "lift is far from its setpoint" in output.verdict.reason
    assert rows[-1] - stuck == pytest.approx(0.1, abs=0.02)
    assert np.abs(np.diff(rows)).max() <= 0.2 * 0.01 + 1e-9
    assert max(rows) <= 1.2


@pytest.mark.parametrize("wrong", [{"max": 1200.0}, {"velocity": 200.0}])
def test_millimetres_are_told(wrong):
    with pytest.raises(ConfigError, match="this looks like millimetres"):
        replace(LIFT, **wrong)
