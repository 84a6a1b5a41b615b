"""Small pure parts: leaders, tremor, camera delay, mailbox, statistics, kinematics, the drivers' watchdog."""

import threading

import numpy as np
import pytest

from smp_bringup.action.mailbox import Mailbox
from smp_bringup.action.teleop import Leaders, Tremor
from smp_bringup.errors import ConfigError
from smp_bringup.kinematics import ArmKinematics
from smp_bringup.sim.camera_delay import CameraDelay
from smp_bringup.sim.live import COMMAND_TIMEOUT_S, LiveRobot
from smp_bringup.sim.seeds import demonstration_seed, evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation
from smp_bringup.stats import percentiles, wilson
from smp_bringup.tasks import TASKS
from smp_bringup.types import Frame, JointSample, nanoseconds

MS = 1_000_000


def test_leaders_speak_once_all_have_spoken_and_velocity_comes_from_stamps(robot):
    leaders = Leaders(robot)
    left, right = robot.arms
    names = {arm.name: [j.name for j in arm.joints] for arm in robot.arms}
    assert leaders.push("right", 0, names["right"], [-0.01] * 7) is None
    for ms, value in ((10, 0.0), (20, 0.01)):
        assert leaders.push("left", ms * MS, names["left"], [value] * len(left.joints)) is None
        merged = leaders.push("right", ms * MS, names["right"], [value] * len(right.joints))
    np.testing.assert_allclose(merged.position, 0.01)
    limits = robot.joint_array("velocity")
    np.testing.assert_allclose(merged.velocity, np.minimum(1.0, limits))
    leaders.push("left", 30 * MS, names["left"], [-1.0] * 7)
    back = leaders.push("right", 30 * MS, names["right"], [-1.0] * 7)
    np.testing.assert_allclose(back.velocity, -limits)  # 101 rad/s, cut
    assert leaders.push("left", 40 * MS, names["left"], [0.0] * 7) is None
    assert leaders.push("right", 30 * MS, names["right"], [0.0] * 7) is None  # the stamp stands still
    assert leaders.late == 1


def test_the_tremor_has_its_spread_and_leaves_grippers_alone(robot):
    tremor = Tremor(robot, 0.01, seed=1)
    still = JointSample(0, np.zeros(robot.dof), np.zeros(robot.dof))
    values = np.array([tremor.step(still).position for _ in range(20_000)])
    grippers = np.array([joint.gripper for joint in robot.joints])
    assert not values[:, grippers].any()
    np.testing.assert_allclose(values[:, ~grippers].std(axis=0), 0.01, rtol=0.25)
    lag = values[30:, ~grippers] * values[:-30, ~grippers]  # 0.3 s, the time in which it forgets all but 1/e
    np.testing.assert_allclose(lag.mean() / values[:, ~grippers].var(), np.exp(-1), atol=0.05)
    again = Tremor(robot, 0.01, seed=1)
    np.testing.assert_array_equal([again.step(still).position for _ in range(5)], values[:5])


def test_frames_arrive_after_their_delay_with_the_stamp_of_the_exposure():
    delay = CameraDelay(latency_s=0.05, jitter_s=0.02, seed=0)
    image = np.zeros((1, 1, 3), np.uint8)
    arrivals = {}
    for ms in range(0, 1000):
        if ms % 40 == 0:
            delay.push(Frame(ms * MS, image))
        for frame in delay.pop(ms * MS):
            arrivals[frame.stamp_ns // MS] = ms
    late = np.array([at - stamp for stamp, at in arrivals.items()])
    assert len(late) > 20
    assert late.min() >= 50
    assert late.max() <= 71
    assert late.std() > 2


def test_the_mailbox_keeps_the_newest_only_and_lets_go_when_closed():
    box = Mailbox()
    assert box.put(1) is False
    assert box.put(2) is True
    assert box.take() == 2
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(box.take()))
    waiting.start()
    box.close()
    waiting.join(5)
    assert taken == [None]


def test_the_wilson_interval_is_that_of_the_books():
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert wilson(0, 0) == (0.0, 1.0)
    assert percentiles([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    assert percentiles([1.0, 2.0, 3.0])["p50"] == 2.0


def test_demonstrations_and_evaluations_never_meet():
    demos = {demonstration_seed(s, e) for s in range(3) for e in range(500)}
    evals = {evaluation_seed(s, e) for s in range(3) for e in range(500)}
    assert len(demos) == len(evals) == 1500
    assert not demos & evals


@pytest.mark.parametrize(("key", "value"), [("min", -2.0), ("max", 1.4)])
def test_f55_limits_that_the_arm_does_not_have_are_refused(robot, key, value):
    from dataclasses import replace

    left = robot.arms[0]
    joints = tuple(replace(j, **{key: value}) if j.name == "left_shoulder" else j for j in left.joints)
    other = replace(robot, arms=(replace(left, joints=joints), *robot.arms[1:]))
    with pytest.raises(ConfigError, match=r"joint 'left_shoulder' has limits .*, its arm in the simulator \["):
        World(TASKS["lift_tray"](), other)


def test_solving_a_reachable_pose_brings_the_hand_there(robot, rng):
    world = World(TASKS["lift_tray"](), robot)
    arm = ArmKinematics(world.model, robot, load_simulation(robot), "left")
    home = arm.home
    for _ in range(20):
        position, rotation = arm.forward(home + rng.uniform(-0.4, 0.4, 6))
        q, error = arm.solve(position, rotation, home)
        assert error < 8e-3  # what a script asks of a waypoint; a straight wrist is worth the rest
        np.testing.assert_allclose(arm.forward(q)[0], position, atol=8e-3)


def test_a_driver_holds_its_arm_when_commands_stop(robot):
    live = LiveRobot(robot, scripted=False)
    live.reset("lift_tray", 2)
    home = robot.joint_array("home")
    goal = home[robot.arm_slices["left"]] + 0.2
    live.command("left", goal, 0)
    live.command("left", np.full(7, np.nan), 0)  # refused
    step = robot.control_period_s
    for cycle in range(100):
        live.step(step, nanoseconds(cycle * step))
    position, _ = live.world.joint_state()
    np.testing.assert_allclose(position[robot.arm_slices["left"]][:6], goal[:6], atol=0.02)
    np.testing.assert_allclose(position[robot.arm_slices["right"]][:6], home[robot.arm_slices["right"]][:6], atol=0.02)
    assert "left" not in live._setpoint  # forgotten after COMMAND_TIMEOUT_S: what comes next starts from the held pose
    assert step * 100 > COMMAND_TIMEOUT_S
    live.close()
