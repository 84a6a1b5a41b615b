"""Arms under one joint_state_broadcaster: one topic names the joints of all of them, among others, in any order."""

from dataclasses import replace

import numpy as np
import pytest

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets, follower_trajectory, leader_trajectory
from smp_bringup.bag.messages import JOINT_STATE, joint_state_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.bench.sync import recorded
from smp_bringup.errors import ConfigError
from smp_bringup.exchange.foreign import Importer
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.joints import DriverJoint
from smp_bringup.mapping.document import ArmMapping, ImportMapping
from smp_bringup.paths import named_config
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig
from smp_bringup.record.quality import Level
from smp_bringup.robot import Robot
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

STATES, LEADERS = "/joint_states", "/leaders/joint_states"
T0, MS = 1_700_000_000_000_000_000, 1_000_000


def sharing(robot):
    """Return the robot with one topic for all measured joints, and one for all leaders."""
    return replace(robot, arms=tuple(replace(a, state_topic=STATES, leader_topic=LEADERS) for a in robot.arms))


def driven(robot):
    """Return the robot with drivers that name and measure its joints in their own way, and without leaders."""
    arms = []
    for arm in sharing(robot).arms:
        *joints, hand = arm.joints
        turned = DriverJoint(min=-joints[1].min, max=-joints[1].max)
        joints[1] = replace(joints[1], driver=turned)
        joints[3] = replace(joints[3], driver=DriverJoint(f"{arm.name}_j4"))
        hand = replace(hand, driver=DriverJoint(f"{arm.name}_finger", 100, 0))  # percent closed
        arms.append(replace(arm, leader_topic="", joints=(*joints, hand)))
    return replace(robot, arms=tuple(arms))


@pytest.fixture(scope="module")
def bags(robot, tmp_path_factory):
    """The same demonstration of the robot with topics of their own, shared ones, and other drivers."""
    folder, found = tmp_path_factory.mktemp("shared"), {}
    for name, body in (("own", robot), ("shared", sharing(robot)), ("driven", driven(robot))):
        world = World(TASKS["transfer_cube"](), body)
        assert record_demonstration(world, body, demonstration_seed(3, 0), folder / name, noise=0.0)
        found[name] = open_bag(folder / name)
    return found


def test_what_is_read_is_the_same_as_of_topics_of_their_own(bags, robot):
    body = bags["shared"].robot()
    assert body == sharing(robot)
    assert {STATES, LEADERS} <= set(bags["shared"].types)
    for read in (follower_trajectory, leader_trajectory):
        for mine, theirs in zip(read(bags["shared"], body), read(bags["own"], robot), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    sets = zip(aligned_sets(bags["shared"], body), aligned_sets(bags["own"], robot), strict=True)
    for mine, theirs in sets:
        assert mine.stamp_ns == theirs.stamp_ns
        np.testing.assert_array_equal(mine.position, theirs.position)
        np.testing.assert_array_equal(mine.velocity, theirs.velocity)
    events = [(e.stream, e.stamp_ns) for e in recorded(body, bags["shared"].path).events]
    assert sorted(events) == sorted((e.stream, e.stamp_ns) for e in recorded(robot, bags["own"].path).events)


def test_what_drivers_say_in_their_own_way_is_read_in_ours(bags, robot):
    body = bags["driven"].robot()
    assert body == driven(robot)
    assert "/teleop/command" in bags["driven"].types
    said = next(message for _, _, message in bags["driven"].messages({STATES}))
    first = dict(zip(said.name, said.position, strict=True))
    ours = dict(zip(robot.joint_names, follower_trajectory(bags["own"], robot)[1][0], strict=True))
    assert first["left_shoulder"] == -ours["left_shoulder"]
    assert first["left_j4"] == ours["left_forearm_roll"]
    assert first["left_finger"] == pytest.approx(100 * (0.057 - ours["left_gripper"]) / 0.036)
    for read in (follower_trajectory, leader_trajectory):
        for mine, theirs in zip(read(bags["driven"], body), read(bags["own"], robot), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-12)
    assert judge_bag(bags["driven"], body, QualityConfig()).level is Level.KEEP


def test_the_verdict_is_keep_also_after_lerobot_and_back(bags, tmp_path):
    body = bags["shared"].robot()
    assert judge_bag(bags["shared"], body, QualityConfig()).level is Level.KEEP
    export([bags["shared"].path], tmp_path / "dataset")
    import_dataset(tmp_path / "dataset", tmp_path / "back")
    [back] = [open_bag(path.parent) for path in (tmp_path / "back").rglob("*.mcap")]
    assert judge_bag(back, back.robot(), QualityConfig()).level is Level.KEEP
    (_, mine), (_, theirs) = (follower_trajectory(bag, body) for bag in (back, bags["shared"]))
    np.testing.assert_allclose(mine[0], theirs[0], atol=1e-6)


def test_other_joints_and_another_order_do_not_matter(robot, tmp_path):
    body, pose = sharing(robot), robot.joint_array("home")
    names = (*reversed(robot.joint_names), "torso_lift")
    writer = BagWriter(tmp_path / "bag", body, "none")
    for k in range(5):
        at = T0 + k * 10 * MS
        writer.write(STATES, JOINT_STATE, at, joint_state_cdr(at, names, np.array([*pose[::-1], 0.3])))
    writer.close(True)
    _, position = follower_trajectory(open_bag(tmp_path / "bag"), body)
    np.testing.assert_array_equal(position, np.tile(pose, (5, 1)))


def test_a_foreign_bag_fills_a_shared_topic_from_one_topic_only(bags, robot, tmp_path):
    path = tmp_path / "shared.yaml"
    path.write_text(config.dump(sharing(robot)))
    cameras = {c.name: c.topic for c in robot.cameras}
    arms = {a.name: ArmMapping(STATES, LEADERS) for a in robot.arms}
    written = Importer(bags["shared"].path, ImportMapping(str(path), arms=arms, cameras=cameras)).write(tmp_path / "in")
    mine, theirs = (follower_trajectory(bag, sharing(robot))[1] for bag in (open_bag(written), bags["shared"]))
    np.testing.assert_allclose(mine, theirs)
    apart = {a.name: ArmMapping(a.state_topic, a.leader_topic) for a in robot.arms}
    with pytest.raises(ConfigError, match=r"takes /joint_states .* from /follower_left/joint_states, /follower_right"):
        Importer(bags["own"].path, ImportMapping(str(path), arms=apart, cameras=cameras))


def test_what_cannot_be_shared_is_one_line(robot):
    text = named_config("robots", "aloha").read_text()
    for wrong, line in (
        (
            text.replace("follower_right/joint_commands", "follower_left/joint_commands").replace(
                "joint_state\n", "forward_position\n", 1
            ),
            "arms of follower_left/joint_commands share its messages: give them one command_interface",
        ),
        (text.replace("name: left_elbow,", "name: left_elbow, driver: {name: left_waist},"), "named twice: left_waist"),
        (
            text.replace("name: left_elbow,", "name: left_elbow, driver: {min: 5, max: 5},"),
            "driver.min and driver.max must be two different numbers",
        ),
        (  # what the driver would be told of it is not finite
            text.replace("name: left_elbow,", "name: left_elbow, driver: {min: 0, max: 5.0e-324},"),
            "driver.min and driver.max must be two different numbers, .* at least 1e-06 apart",
        ),
        (text.replace("leader_right/joint_states", "follower_left/joint_states"), "topic named twice"),
        (
            text.replace("follower_left/joint_states", STATES)
            .replace("follower_right/joint_states", STATES)
            .replace("  - name: right\n", "  - name: right\n    latency_s: 0.01\n"),
            "arms of /joint_states share its messages: give them one latency_s",
        ),
    ):
        with pytest.raises(ConfigError, match=line):
            config.build(Robot, config.parse_yaml(wrong, "r"), "r")
