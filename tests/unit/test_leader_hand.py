"""An operator's hand through inverse kinematics and the command core; where the tip is, says the published MJCF."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from smp_bringup.action.leader_hand import LeaderHand
from smp_bringup.action.teleop import Leaders
from smp_bringup.description.hand import Hand
from smp_bringup.description.model import Description
from smp_bringup.errors import ConfigError
from smp_bringup.leader import Buttons, Leader
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import Severity

URDF = "package://smp_bringup/config/descriptions/aloha.urdf"
TIP_M = 0.135
"""From the gripper link of the published MJCF to the tip."""
EVERY_MS = 20
"""Of the operator's stream."""


@pytest.fixture(scope="module")
def tip():
    """Where a tip is, by the MJCF of gym-aloha alone."""
    assets = Path(importlib.util.find_spec("gym_aloha").origin).parent / "assets"
    model = mujoco.MjModel.from_xml_path(str(assets / "bimanual_viperx_transfer_cube.xml"))
    data = mujoco.MjData(model)

    def pose(arm, q):
        names = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
        for name, value in zip(names, q, strict=False):
            data.joint(f"vx300s_{arm}/{name}").qpos[0] = value
        mujoco.mj_kinematics(model, data)
        body = data.body(f"vx300s_{arm}/gripper_link")
        rotation = body.xmat.reshape(3, 3)
        return body.xpos + rotation @ [TIP_M, 0, 0], rotation.copy()

    return pose


def led_by_hands(robot, **settings):
    """Return the robot with a hand that leads each arm."""
    arms = [
        replace(
            arm,
            leader_topic="",
            leader=Leader(f"/hand_{arm.name}", **{"kind": "twist", "tip": f"{arm.name}_tip"} | settings),
        )
        for arm in robot.arms
    ]
    return replace(robot, arms=tuple(arms), description=URDF)


class Teleoperation:
    """Hands, merged, into a command core with arms that are where they are told to be."""

    def __init__(self, rig):
        self.rig = rig
        description = Description(URDF)
        self.hands = {
            arm.name: LeaderHand(arm, arm.leader, Hand(description, arm, arm.leader.tip)) for arm in self.rig.robot.arms
        }
        self.leaders = Leaders(self.rig.robot, self.hands)
        self.told, self.outputs = [], []

    def run(self, duration_s, say):
        """Let `say(hand, arm, time_s, now, steady)` speak every 20 ms; return the setpoints (n, J)."""
        start, rows = self.rig.ms, len(self.rig.rows)
        for _ in range(round(duration_s * 100)):
            self.rig.ms += 10
            self.rig.feed()
            for arm, part in self.rig.robot.arm_slices.items():
                self.hands[arm].measured(self.rig.measured[part])
                if self.rig.ms % EVERY_MS == 0:
                    news = say(self.hands[arm], arm, (self.rig.ms - start) / 1000, self.rig.now, self.rig.steady)
                    if news is not None and (merged := self.leaders.merged(arm, news)) is not None:
                        self.told.append(merged)
                        self.rig.core.on_teleop(merged, self.rig.now, self.rig.steady)
            output = self.rig.core.step(self.rig.now, self.rig.steady)
            self.outputs.append(output)
            for hand in self.hands.values():
                hand.followed(output.mode is Mode.TELEOP and output.verdict.severity < Severity.HOLD)
            if output.command is not None:
                c = output.command
                self.rig.measured = c.position.copy()
                self.rig.rows.append(np.array([c.position, c.velocity, c.acceleration]))
        return np.array(self.rig.rows[rows:])[:, 0]

    def begin(self, say):
        """Arm, and let the teleoperation be followed."""
        self.run(0.2, say) if self.rig.rows else None
        self.rig.feed()
        assert self.rig.arm().ok
        self.run(0.2, say)
        assert self.rig.use(Mode.TELEOP).ok


@pytest.fixture
def teleoperation(rig):
    """Return what makes a teleoperation by hands with these settings."""
    return lambda **settings: Teleoperation(type(rig)(led_by_hands(rig.robot, **settings)))


def moving(**arms):
    """Return an operator who gives each arm a velocity (6,); arms that are not named rest."""

    def say(hand, arm, time_s, now, steady):
        return hand.twist(now, np.array(arms.get(arm, np.zeros(6)), float), "", now, steady)

    return say


def rest(hand, arm, time_s, now, steady):
    return hand.twist(now, np.zeros(6), "", now, steady)


@pytest.mark.parametrize("arm", ["left", "right"])
@pytest.mark.parametrize("way", [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0.6, -0.8, 0)])
def test_a_constant_twist_moves_the_tip_in_a_straight_line_at_that_speed_and_without_one_it_rests(
    teleoperation, robot, tip, arm, way
):
    teleop, part = teleoperation(), robot.arm_slices[arm]
    teleop.begin(rest)
    speed, sideways = 0.05, way[1] != 0  # home is near a singularity of the wrist, which sideways yields a little
    within_m = 3e-3 if sideways else 1e-3
    rows = teleop.run(2.5, moving(**{arm: (*(speed * np.array(way)), 0, 0, 0)}))[150:]  # its speed limit has grown
    path, turns = zip(*(tip(arm, row[part]) for row in rows), strict=True)
    way_m = np.array(path) - path[0]
    along = way_m @ way
    np.testing.assert_allclose(along, speed * 0.01 * np.arange(len(rows)), atol=within_m)
    assert np.linalg.norm(way_m - along[:, None] * way, axis=1).max() < within_m
    angle = [np.arccos(np.clip((np.trace(turns[0].T @ turn) - 1) / 2, -1, 1)) for turn in turns]
    assert max(angle) < (0.2 if sideways else 0.01)
    rows = teleop.run(1.0, rest)
    assert np.abs(np.diff(rows[-20:], axis=0)).max() < 1e-6
    assert np.linalg.norm(tip(arm, rows[-1][part])[0] - path[-1]) < 0.01
    other = robot.arm_slices[{"left": "right", "right": "left"}[arm]]
    assert np.abs(np.array(teleop.rig.rows)[:, 0, other] - robot.joint_array("home")[other]).max() < 1e-6


def test_a_twist_turns_the_tip_in_place(teleoperation, robot, tip):
    teleop, part = teleoperation(), robot.arm_slices["left"]
    teleop.begin(rest)
    rows = teleop.run(2.0, moving(left=(0, 0, 0, 0, 0.2, 0)))[120:]
    places, turns = zip(*(tip("left", row[part]) for row in rows), strict=True)
    assert np.linalg.norm(np.array(places) - places[0], axis=1).max() < 2e-3
    turned = turns[-1] @ turns[0].T
    assert np.arccos((np.trace(turned) - 1) / 2) == pytest.approx(0.2 * 0.01 * (len(rows) - 1), abs=5e-3)
    assert turned[0, 2] > 0  # about +y


def test_a_hand_is_no_faster_than_the_robot_file_allows(teleoperation, robot, tip):
    teleop, part = teleoperation(speed=0.1), robot.arm_slices["left"]
    teleop.begin(rest)
    rows = teleop.run(1.5, moving(left=(0, 0, 5.0, 0, 0, 0)))
    path = np.array([tip("left", row[part])[0] for row in rows])
    assert np.linalg.norm(np.diff(path[110:], axis=0), axis=1).max() / 0.01 < 0.105
    assert path[-1, 2] - path[0, 2] > 0.09


@pytest.mark.parametrize("silent", ["left", "right"])
def test_a_hand_that_falls_silent_holds_both_arms_and_is_named(teleoperation, robot, tip, silent):
    teleop, part = teleoperation(), robot.arm_slices[silent]
    teleop.begin(rest)
    say = moving(**{silent: (0, 0, 0.1, 0, 0, 0)})
    before = teleop.run(1.5, say)[-1]
    rows = teleop.run(0.5, lambda hand, arm, *at: None if arm == silent else say(hand, arm, *at))
    held = next(k for k, output in enumerate(teleop.outputs[-50:]) if output.verdict.severity is Severity.HOLD)
    assert held <= 11  # 100 ms, and a cycle
    assert f"the leader of arm '{silent}' has said nothing" in teleop.outputs[-50:][held].verdict.reason
    assert np.abs(np.diff(rows[20:], axis=0)).max() == 0.0  # at rest 200 ms after its last word
    assert np.linalg.norm(tip(silent, rows[-1][part])[0] - tip(silent, before[part])[0]) < 0.02


def test_a_hand_that_moves_while_it_is_not_followed_moves_nothing_and_is_taken_over_at_once(teleoperation, robot):
    teleop = teleoperation()
    push = moving(left=(0.2, 0.2, 0.2, 1, 1, 1))
    teleop.begin(push)
    home = robot.joint_array("home")
    for merged in teleop.told:
        np.testing.assert_allclose(merged.position, home, atol=1e-9)
        assert not merged.velocity.any()


def test_words_that_come_in_a_burst_count_once_and_late_ones_not_at_all(teleoperation, robot):
    teleop = teleoperation()
    teleop.begin(rest)
    teleop.run(0.5, rest)
    hand, rig = teleop.hands["left"], teleop.rig
    before = hand.position.copy()
    for k in range(100):  # two seconds of motion that were held up on their way
        assert hand.twist(rig.now + (k + 1) * 1_000_000, np.array([0, 0, 0.2, 0, 0, 0.0]), "", rig.now, rig.steady)
    assert np.abs(hand.position - before).max() < 0.02
    assert not hand.twist(rig.now, np.zeros(6), "", rig.now, rig.steady)


def test_joints_are_not_led_to_their_limits_and_come_back_at_once(teleoperation, robot):
    """Without the command core, which would not let the arm run into itself."""
    hand, now, rows = teleoperation().hands["left"], 1_000_000_000, []
    low, high = (robot.joint_array(end)[:6] for end in ("min", "max"))
    hand.measured(robot.joint_array("home")[:7])
    hand.followed(True)

    def push(way, steps):
        nonlocal now
        for _ in range(steps):
            now += EVERY_MS * 1_000_000
            hand.twist(now, np.array([*way, 0, 0, 0], float), "", now, now)
            hand.measured(hand.position + hand.velocity * EVERY_MS / 1000)
            rows.append(hand.position[:6])
        return hand.position

    for way in np.array([(0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0)]):
        blocked = push(0.2 * way, 300)
        assert np.abs(push(-0.2 * way, 25) - blocked).max() > 0.05
    near = np.minimum(np.array(rows) - low, high - np.array(rows)).min(axis=0)
    assert (near > 0.019).all()
    assert (near < 0.021).any()  # some joint was led as far as it may be


def test_a_stretched_arm_is_led_through_its_singularity_without_a_jerk(teleoperation, robot, tip):
    teleop, part = teleoperation(), robot.arm_slices["left"]
    teleop.begin(rest)
    out = teleop.run(6.0, moving(left=(0.2, 0, 0.1, 0, 0, 0)))
    reached = tip("left", out[-1][part])[0]
    teleop.run(1.0, rest)
    back = teleop.run(2.0, moving(left=(-0.1, 0, -0.05, 0, 0, 0)))
    assert teleop.outputs[-1].mode is Mode.TELEOP, teleop.outputs[-1].verdict
    told = np.array([merged.velocity[part] for merged in teleop.told])
    assert np.abs(told[:, :6]).max() <= robot.joint_array("velocity")[:6].max() + 1e-6
    path = np.array([tip("left", row[part])[0] for row in (*out, *back)])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() / 0.01 < 0.5
    assert np.linalg.norm(tip("left", back[-1][part])[0] - reached) > 0.05


def posing(at, turn=(1, 0, 0, 0), frame=""):
    """Return an operator whose hand is at `at(time_s)` [m]."""

    def say(hand, arm, time_s, now, steady):
        place = at(time_s) if arm == "left" else (0, 0, 0)
        return hand.pose(now, (place, turn), frame, now, steady)

    return say


def test_a_pose_counts_from_where_it_was_when_it_began_to_be_followed(teleoperation, robot, tip):
    teleop, part = teleoperation(kind="pose", scale=0.5), robot.arm_slices["left"]
    still = posing(lambda t: (7.0, -3.0, 1.0))
    teleop.begin(still)
    start = tip("left", teleop.rig.measured[part])[0]
    teleop.run(1.0, still)
    np.testing.assert_allclose(tip("left", teleop.rig.measured[part])[0], start, atol=1e-4)
    teleop.run(2.5, posing(lambda t: (7.0, -3.0 + min(0.1 * t, 0.1), 1.0)))
    moved = tip("left", teleop.rig.measured[part])[0] - start
    np.testing.assert_allclose(moved, [0, 0.05, 0], atol=2e-3)


def test_a_pose_that_jumps_or_was_silent_counts_from_where_it_is_heard_again(teleoperation, robot, tip):
    teleop, part = teleoperation(kind="pose"), robot.arm_slices["left"]
    still = posing(lambda t: (0, 0, 0))
    teleop.begin(still)
    teleop.run(1.5, still)
    start = teleop.rig.measured.copy()
    teleop.run(1.0, posing(lambda t: (0.5, 0, 0)))
    assert teleop.hands["left"].jumps == 1
    teleop.run(0.3, lambda hand, arm, *at: None)  # a hold, which goes on by itself
    assert teleop.outputs[-1].verdict.severity is Severity.HOLD
    teleop.run(1.0, posing(lambda t: (0.55, 0.05, 0)))
    assert teleop.outputs[-1].mode is Mode.TELEOP
    np.testing.assert_allclose(tip("left", teleop.rig.measured[part])[0], tip("left", start[part])[0], atol=1e-3)


def test_motion_is_told_in_the_axes_of_the_frame(teleoperation, robot, tip):
    """The right arm stands turned by half a turn: what is forward for it is backward for the root."""
    teleop, part = teleoperation(frame="right_base_link"), robot.arm_slices["right"]
    teleop.begin(rest)
    start = tip("right", teleop.rig.measured[part])[0]
    teleop.run(2.0, moving(right=(0.05, 0, 0, 0, 0, 0)))
    moved = tip("right", teleop.rig.measured[part])[0] - start
    assert moved[0] < -0.05
    assert np.abs(moved[1:]).max() < 2e-3


def test_buttons_move_the_gripper_and_the_clutch_lets_the_hand_go(teleoperation, robot, tip):
    teleop = teleoperation(buttons=Buttons("/joy", close=0, open=1, clutch=3))
    teleop.begin(rest)
    gripper, push = robot.arm_slices["left"].stop - 1, moving(left=(0, 0, 0.1, 0, 0, 0))
    home = teleop.rig.measured.copy()
    rows = teleop.run(1.0, push)
    np.testing.assert_allclose(rows[-1], home, atol=1e-6)  # the clutch is open
    teleop.hands["left"].buttons([0, 1])  # shorter than the clutch's place
    rows = teleop.run(1.0, push)
    assert rows[-1, gripper] == pytest.approx(robot.joint_array("max")[gripper], abs=2e-3)
    np.testing.assert_allclose(rows[-1, :6], home[:6], atol=1e-6)
    teleop.hands["left"].buttons([1, 0, 0, 1])
    rows = teleop.run(1.0, push)
    assert rows[-1, gripper] == pytest.approx(robot.joint_array("min")[gripper], abs=2e-3)
    assert tip("left", rows[-1])[0][2] - tip("left", home)[0][2] > 0.05


def test_an_arm_on_a_torso_is_led_from_where_the_torso_is(robot, tmp_path):
    path, mount = tmp_path / "torso.urdf", 'name="left_mount" type="fixed">'
    text = Description(URDF).text.replace(mount, mount.replace("fixed", "continuous") + '<axis xyz="0 0 1"/>')
    path.write_text(text)
    hand, q = Hand(Description(str(path)), robot.arms[0], "left_tip"), robot.joint_array("home")[:7]
    assert hand.carriers == {"left_mount"}
    for angle in (0.0, 1.2, -2.0):
        hand.carried({"left_mount": angle, "left_waist": 0.5, "wheel": 1.0})
        speeds = hand.speeds(q, np.array([0.03, 0.04, 0.05, 0, 0, 0]), 0.01)
        whole, ends = Description(str(path)), []
        for at_s in (0.0, 0.01):
            whole.move(dict(zip((joint.name for joint in robot.arms[0].joints), q + at_s * speeds, strict=True)))
            whole.move({"left_mount": angle})
            ends.append(whole.pose(whole.link("left_tip")).position)
        np.testing.assert_allclose((ends[1] - ends[0]) / 0.01, [0.03, 0.04, 0.05], atol=6e-3)


def test_what_no_hand_can_say_is_refused(teleoperation, robot):
    teleop = teleoperation()
    hand, rig = teleop.hands["left"], teleop.rig
    with pytest.raises(Refusal, match="nothing was heard on its state topic"):
        hand.twist(rig.now, np.zeros(6), "", rig.now, rig.steady)
    hand.measured(rig.measured[:7])
    for twist, frame, said in (
        (np.full(6, np.nan), "", "nonfinite"),
        (np.zeros(6), "camera", "frame 'camera' is no link"),
    ):
        with pytest.raises(Refusal, match=said):
            hand.twist(rig.now, twist, frame, rig.now, rig.steady)
    for pose, said in (
        (([0, 0, 0], [0, 0, 0, 0]), "length 0, expected 1"),
        (([np.inf, 0, 0], [1, 0, 0, 0]), "nonfinite"),
    ):
        with pytest.raises(Refusal, match=said):
            hand.pose(rig.now, pose, "", rig.now, rig.steady)
    assert hand.twist(rig.now, np.zeros(6), "/left_base_link", rig.now, rig.steady)


def test_a_tip_that_the_arm_does_not_move_is_refused(robot):
    with pytest.raises(ConfigError, match="do not move right_tip"):
        Hand(Description(URDF), robot.arms[0], "right_tip")
