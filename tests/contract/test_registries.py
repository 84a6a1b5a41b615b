"""Every registered policy, check and shipped configuration is held to its contract without more work."""

import pytest

from smp_bringup.paths import share
from smp_bringup.policy import POLICIES
from smp_bringup.robot import load_robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.base import ArmState, Context
from smp_bringup.safety.config import load_safety
from smp_bringup.training.config import load_run
from smp_bringup.types import PASS, JointSample, Verdict


def shipped(kind):
    return sorted(p.stem for p in share("config", kind).glob("*.yaml"))


def test_every_policy_has_a_small_one_that_the_checkpoint_tests_run(small_policies):
    assert set(small_policies) == set(POLICIES)


@pytest.mark.parametrize("name", list(CHECKS))
def test_a_check_passes_a_healthy_cycle_and_answers_an_empty_one(name, robot):
    home, config = robot.joint_array("home"), load_safety("default")
    samples = {
        a.name: JointSample(1, home[robot.arm_slices[a.name]], home[robot.arm_slices[a.name]]) for a in robot.arms
    }
    states = {arm: ArmState(sample, 1_000_000_000) for arm, sample in samples.items()}
    healthy = Context(1_000_000_001, home, states, True, home, home[None], estop_silence_s=0.0)
    assert CHECKS[name](robot, config).verdict(healthy) == PASS
    verdict = CHECKS[name](robot, config).verdict(Context(1_000_000_001, home, {}))
    assert isinstance(verdict, Verdict)
    assert verdict == PASS or (verdict.check == name and verdict.reason)


@pytest.mark.parametrize("name", shipped("robots"))
def test_a_shipped_robot_loads_and_its_home_is_inside_its_limits(name):
    robot = load_robot(name)
    assert (robot.joint_array("home") >= robot.joint_array("min")).all()
    assert (robot.joint_array("home") <= robot.joint_array("max")).all()
    assert len(robot.arms) >= 2


@pytest.mark.parametrize("name", shipped("policies"))
def test_a_shipped_run_names_a_registered_policy_and_cameras_of_a_robot(name, robot):
    policy = load_run(name, robot).policy
    assert policy.kind in POLICIES
    assert set(policy.cameras) <= {c.name for c in robot.cameras}


@pytest.mark.parametrize("name", shipped("safety"))
def test_shipped_safety_settings_run_registered_checks(name):
    settings = load_safety(name)
    assert settings.checks
    assert all(CHECKS[check] for check in settings.checks)


@pytest.mark.parametrize("model", sorted(p.parent.name for p in share("models").glob("*/manifest.json")))
def test_a_shipped_model_loads_for_its_robot_and_its_card_tells_its_success(model, robot):
    from smp_bringup.policy.checkpoint import load_policy

    load_policy(share("models", model), robot)
    assert "## Success in closed loop" in share("models", model, "README.md").read_text()
