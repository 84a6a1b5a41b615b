"""A robot is a value: what a bag carries is the robot that was recorded, whatever its name and wherever its file."""

import subprocess
import sys
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import pytest

from smp_bringup import config
from smp_bringup.bag.reader import open_bag
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import JointLimits, SafetyConfig, load_safety
from smp_bringup.sim.wiggle import record_wiggle
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS


def own(robot, **changes):
    """Return a robot that no file describes."""
    late = replace(robot.cameras[1], latency_s=0.0123456789)
    arms = tuple(replace(arm, base=(*arm.base[:5], -1e-7)) for arm in robot.arms)
    return replace(robot, arms=arms, cameras=(robot.cameras[0], late, *robot.cameras[2:]), **changes)


def back(value, kind):
    text = config.dump(value)
    return config.build(kind, config.parse_yaml(text, "x"), "x")


@pytest.mark.parametrize("name", ["aloha", "station 7: left"])
def test_a_robot_is_read_back_from_its_own_yaml(robot, name):
    mine = own(robot, name=name)
    assert mine.turning.any()  # a cached array must not get into the way
    assert back(mine, Robot) == mine != robot
    assert hash(back(mine, Robot)) == hash(mine)
    assert ForkingPickler.loads(ForkingPickler.dumps(mine)) == mine


def test_safety_settings_are_read_back_from_their_own_yaml():
    limits = {"left_waist": JointLimits(min=-1.0, velocity=0.5), "right_waist": JointLimits(max=1.5)}
    mine = replace(load_safety("default"), limits=limits)
    assert back(mine, SafetyConfig) == mine


@pytest.mark.parametrize("name", ["aloha", "mine"])
def test_the_bag_of_a_demonstration_carries_the_robot_that_was_asked_for(name, tmp_path):
    """The first name is one that is shipped, with other contents."""
    text = named_config("robots", "aloha").read_text()
    text = text.replace("name: aloha\n", f"name: {name}\n").replace("arm: left}", "arm: left, latency_s: 0.02}")
    (tmp_path / "my.yaml").write_text(text)
    words = "record --lockstep --task press_two_buttons --track state --robot my.yaml --out demos --workers 1"
    command = [sys.executable, "-m", "smp_bringup.cli.main", *words.split()]
    subprocess.run(command, cwd=tmp_path, timeout=120, check=True, capture_output=True)
    (bag,) = (tmp_path / "demos" / "press_two_buttons").iterdir()
    assert open_bag(bag).robot() == load_robot(str(tmp_path / "my.yaml"))


def test_the_bag_of_a_wiggle_carries_the_robot_that_was_asked_for(robot, tmp_path):
    mine = own(robot, name="mine")
    record_wiggle(World(TASKS["lift_tray"](), mine), mine, tmp_path / "wiggle", 0.0, 1.0, 0)
    assert open_bag(tmp_path / "wiggle").robot() == mine
