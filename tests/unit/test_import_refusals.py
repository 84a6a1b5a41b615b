"""An import that takes nothing is an error with its cause; what it takes is judged as what it is."""

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.exchange.foreign import Importer
from smp_bringup.mapping.document import load_mapping
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig

T0 = 1_700_000_000_123_456_789
MS = 1_000_000


@pytest.fixture
def theirs(robot, tmp_path):
    """A function that writes a bag of somebody else, and returns its importer.

    `say(arm, names, positions)` gives the messages of one arm at one instant: topic, names, positions, offset [ms].
    """

    def write(say, period_ms=20, stamp=lambda at: at, size=(128, 128), encoding="rgb8", **mapped):
        rng = np.random.default_rng(0)
        with Writer(tmp_path / "theirs", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            links = {}

            def put(topic, kind, at, cdr):
                if topic not in links:
                    links[topic] = writer.add_connection(topic, kind, typestore=typestore())
                writer.write(links[topic], at, cdr)

            for ms in range(0, 3000, period_ms):
                pose = robot.joint_array("home") + 0.2 * np.sin(ms / 500) * robot.turning
                for arm in robot.arms:
                    names = tuple(joint.name for joint in arm.joints)
                    for topic, some, values, after_ms in say(arm, names, pose[robot.arm_slices[arm.name]]):
                        at = T0 + (ms + after_ms) * MS
                        put(topic, JOINT_STATE, at, joint_state_cdr(stamp(at), some, values))
                for camera in robot.cameras if ms % 40 == 0 else ():
                    image = rng.integers(0, 256, (*size, 3), np.uint8)
                    cdr = image_cdr(T0 + ms * MS, "x", image).replace(b"rgb8", encoding.encode())
                    put(f"/{camera.name}", IMAGE, T0 + ms * MS, cdr)
        arms = {arm.name: {"state": f"/{arm.name}", "leader": f"/{arm.name}"} for arm in robot.arms}
        mapping = {"robot": "aloha", "cameras": {c.name: f"/{c.name}" for c in robot.cameras}, "arms": arms, **mapped}
        (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping))
        return Importer(tmp_path / "theirs", load_mapping(str(tmp_path / "mapping.yaml")))

    return write


def alone(arm, names, values):
    yield f"/{arm.name}", names, values, 0


def test_a_sound_import_at_half_the_rate_and_without_commands_is_kept(theirs, tmp_path):
    importer = theirs(alone)
    bag = open_bag(importer.write(tmp_path / "ours"))
    assert importer.reasons() == []
    quality = judge_bag(bag, bag.robot(), QualityConfig())
    assert (quality.word, quality.findings) == ("keep", ())


def test_joints_of_an_arm_in_several_messages_are_an_error_that_says_so(theirs, tmp_path):
    def apart(arm, names, values):
        yield "/joint_states", names[:6], values[:6], 0
        yield "/joint_states", names[6:], values[6:], 1

    arms = {name: {"state": "/joint_states", "leader": "/joint_states"} for name in ("left", "right")}
    importer = theirs(apart, arms=arms)
    with pytest.raises(BagError) as caught:
        importer.write(tmp_path / "ours")
    text = str(caught.value)
    assert "nothing to import on /joint_states" in text
    assert "missing left_gripper; joints of an arm that come in several messages are not joined" in text
    assert not list(tmp_path.glob("ours*"))


def test_arms_that_take_turns_on_one_topic_are_read(theirs, robot, tmp_path):
    def turns(arm, names, values):
        yield "/joint_states", names, values, robot.arms.index(arm)

    arms = {name: {"state": "/joint_states", "leader": "/joint_states"} for name in ("left", "right")}
    importer = theirs(turns, arms=arms)
    bag = open_bag(importer.write(tmp_path / "ours"))
    assert importer.reasons() == []
    assert {bag.counts[arm.state_topic] for arm in robot.arms} == {150}
    assert judge_bag(bag, bag.robot(), QualityConfig()).word == "keep"


def test_one_arm_without_a_usable_message_is_an_error_though_the_other_has_all(theirs, robot, tmp_path):
    def one(arm, names, values):
        yield "/joint_states", names if arm is robot.arms[0] else [f"x_{n}" for n in names], values, 0

    arms = {name: {"state": "/joint_states", "leader": "/joint_states"} for name in ("left", "right")}
    with pytest.raises(BagError, match=r"nothing to import on /joint_states: .* refused \(missing left_waist"):
        theirs(one, arms=arms).write(tmp_path / "ours")


def test_stamps_of_zero_are_named_with_the_setting_that_helps(theirs, tmp_path):
    importer = theirs(alone, stamp=lambda at: 0)
    with pytest.raises(BagError, match=r"/left: 150 of 150 messages refused \(its stamp is zero: say stamps: log"):
        importer.write(tmp_path / "ours")


def test_with_the_log_time_stamps_of_zero_are_taken(theirs, tmp_path):
    bag = open_bag(theirs(alone, stamp=lambda at: 0, stamps="log").write(tmp_path / "ours"))
    assert judge_bag(bag, bag.robot(), QualityConfig()).word == "keep"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"size": (96, 64)}, r"/overview: 75 of 75 messages refused \(size 64x96, the robot file says 128x128\)"),
        ({"encoding": "8UC3"}, r"/overview: 75 of 75 messages refused \(encoding '8UC3', expected one of rgb8, .*\)"),
    ],
)
def test_images_that_cannot_be_used_are_an_error_with_their_cause(changes, cause, theirs, tmp_path):
    with pytest.raises(BagError, match=cause):
        theirs(alone, **changes).write(tmp_path / "ours")


def test_what_was_refused_of_a_topic_is_told(theirs, robot, tmp_path):
    told = []

    def sometimes(arm, names, values):
        told.append(arm)
        yield f"/{arm.name}", names[: 3 if len(told) % 50 == 0 else 7], values[: 3 if len(told) % 50 == 0 else 7], 0

    importer = theirs(sometimes)
    importer.write(tmp_path / "ours")
    (reason,) = importer.reasons()
    assert reason.startswith("/right: 6 of 150 messages refused (missing right_forearm_roll, ")


def test_positions_that_are_no_numbers_are_not_taken(theirs, tmp_path):
    def spoilt(arm, names, values):
        yield f"/{arm.name}", names, np.where(np.arange(len(values)) == 0, np.nan, values), 0

    with pytest.raises(BagError, match=r"nothing to import on /left, /right: .*a position is no finite number"):
        theirs(spoilt).write(tmp_path / "ours")


@pytest.mark.parametrize(
    ("topic", "said"), [("/overview", "would be two cameras"), ("/left", "cannot be both a camera and joints")]
)
def test_one_topic_is_one_thing(topic, said, theirs, robot):
    cameras = {c.name: f"/{c.name}" for c in robot.cameras} | {"wrist_left": topic}
    with pytest.raises(ConfigError, match=f"mapping: '{topic}' {said}"):
        theirs(alone, cameras=cameras)


def test_what_was_told_taken_for_what_was_measured_is_said(theirs, tmp_path):
    def two(arm, names, values):
        yield f"/{arm.name}", names, values, 0
        yield "/goals", names, values, 0

    arms = {"left": {"state": "/left", "leader": "/goals"}, "right": {"state": "/right", "leader": "/right"}}
    (said,) = theirs(two, arms=arms).said()
    assert said.startswith("arm 'right': all its joints in /right are taken for what was measured and for what the arm")
