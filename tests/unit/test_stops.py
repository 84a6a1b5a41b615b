"""The black box without ROS: what counts as one stop, what is kept and let go, and what its bag and page tell."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, header, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.cli.main import main as smp
from smp_bringup.record.blackbox import BlackBox, BlackBoxConfig
from smp_bringup.record.ring import Bursts, Heard, Ring
from smp_bringup.record.stops import StopWatch, make_room, stop_folders
from smp_bringup.record.story import replay_command, tell
from smp_bringup.record.story_page import PAGE
from smp_bringup.robot import load_robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.words import MEANINGS, meaning
from smp_bringup.types import nanoseconds

T0 = 1_700_000_000_000_000_000
HOSTILE = "</script><img src=x onerror=alert(1)>"


class Told:
    """A stop watch that hears the command node ten times a second; the arms follow the policy from second 0 on."""

    def __init__(self):
        self.watch, self.now_s, self.stops = StopWatch(), 0.0, []
        self.say(1.0, "policy")

    def say(self, seconds, mode, severity="PASS", check="", reason=""):
        """Let the node say the same for so long."""
        for _ in range(round(seconds * 10)):
            said = {"mode": mode, "severity": severity, "check": check, "reason": reason, "reasons": reason}
            self.watch.hear(said, T0 + nanoseconds(self.now_s), nanoseconds(self.now_s))
            self.look()

    def be_silent(self, seconds):
        """Let the node say nothing for so long."""
        for _ in range(round(seconds * 10)):
            self.look()

    def look(self):
        now = nanoseconds(self.now_s)
        if stop := self.watch.due(T0 + now, now):
            self.stops.append((round(self.now_s, 1), stop))
        self.now_s += 0.1


def test_a_hold_that_becomes_a_fault_and_then_an_emergency_stop_is_one_stop():
    told = Told()
    told.say(0.5, "policy", "HOLD", "state_near", "left_elbow is far")
    told.say(1.0, "fault", "FAULT", "state_near", "left_elbow is far (for more than 0.5 s)")
    told.say(20.0, "estop", "ESTOP", "estop", "pressed")
    ((at_s, stop),) = told.stops
    assert (stop.kind, stop.mode, stop.check) == ("fault", "policy", "state_near")
    assert stop.at_ns == T0 + nanoseconds(1.5)
    assert 3.5 <= at_s < 4.0


def test_a_source_that_is_held_from_its_first_cycle_on_was_followed():
    told = Told()
    told.say(1.0, "hold")
    told.say(0.3, "policy", "HOLD", "source_near", "far")
    told.say(3.0, "estop", "ESTOP", "estop", "pressed")
    assert [(stop.kind, stop.mode) for _, stop in told.stops] == [("estop", "policy")]


def test_after_a_reset_the_next_fault_is_another_stop():
    told = Told()
    for _ in range(2):
        told.say(5.0, "fault", "FAULT", "state_jump", "left_waist jumped")
        told.say(1.0, "disarmed")
        told.say(1.0, "teleop")
    assert [stop.mode for _, stop in told.stops] == ["policy", "teleop"]


def test_holds_again_and_again_are_told_once_and_do_not_hide_the_fault_after_them():
    told = Told()
    for _ in range(8):
        told.say(0.2, "policy", "HOLD", "source_fresh", "no chunk")
        told.say(3.0, "policy")
    told.say(3.0, "fault", "FAULT", "source_fresh", "no chunk")
    assert [stop.kind for _, stop in told.stops] == ["hold", "fault"]


def test_a_hold_waits_for_its_end_but_not_for_ever():
    told = Told()
    told.say(30.0, "policy", "HOLD", "clock_runs", "paused")
    ((at_s, stop),) = told.stops
    assert stop.kind == "hold"
    assert at_s < 15.0


def test_a_hold_that_was_asked_for_and_a_limit_are_no_stops():
    told = Told()
    told.say(2.0, "policy", "LIMIT", "arm_distance", "near")
    told.say(2.0, "hold", "HOLD", "state_fresh", "late")
    told.say(2.0, "disarmed")
    assert told.stops == []


@pytest.mark.parametrize(("mode", "count"), [("policy", 1), ("hold", 1), ("disarmed", 0)])
def test_a_command_node_that_falls_silent_while_armed_is_a_stop(mode, count):
    told = Told()
    told.say(1.0, mode)
    told.be_silent(10.0)
    assert [stop.kind for _, stop in told.stops] == ["silent"] * count
    told.say(1.0, "disarmed")
    told.be_silent(5.0)
    assert len(told.stops) == count


def test_what_was_latched_before_we_came_is_no_stop_and_what_waits_is_told_at_the_end():
    watch = StopWatch()
    fault = {"mode": "fault", "severity": "FAULT", "check": "state_jump"}
    watch.hear(fault, T0, 0)
    assert watch.due(T0, nanoseconds(9)) is None
    watch.hear({"mode": "hold", "severity": "PASS"}, T0, nanoseconds(10))
    watch.hear(fault, T0, nanoseconds(11))
    assert watch.due(T0, nanoseconds(11.1)) is None
    assert watch.due(T0, nanoseconds(11.1), ending=True).check == "state_jump"


def test_the_ring_is_bounded_in_time_and_in_bytes():
    ring = Ring(keep_s=10, most_bytes=1000)
    for k in range(100):
        ring.take(Heard("/a", "t", nanoseconds(k), bytes(50)))
    assert [heard.log_ns for heard in ring.since(0)] == [nanoseconds(k) for k in range(89, 100)]
    for k in range(100, 110):
        ring.take(Heard("/a", "t", nanoseconds(k), bytes(300)))
    assert ring.bytes == 900
    assert len(ring.since(nanoseconds(108))) == 2
    ring.take(Heard("/a", "t", nanoseconds(111), bytes(5000)))
    assert ring.since(0) == []


def test_of_large_cameras_short_times_are_kept_whole_and_the_same_for_all(large_cameras):
    bursts = Bursts(large_cameras)
    topics = [camera.topic for camera in large_cameras.cameras]
    kept = {topic: [k for k in range(20_000) if bursts.keeps(topic, k * 1_000_000)] for topic in topics}
    assert len({tuple(each) for each in kept.values()}) == 1
    assert len(kept[topics[0]]) / 20_000 == pytest.approx(bursts.share, abs=0.03)
    assert bursts.share < 0.2
    assert kept[topics[0]][:160] == list(range(160))  # four action periods in one piece
    assert all(bursts.keeps("/follower_left/joint_states", k * 1_000_000) for k in range(3000))


def test_small_cameras_are_kept_whole():
    assert Bursts(load_robot("aloha")).share == 1.0


def test_the_oldest_go_and_holds_first(tmp_path):
    names = [f"20261130_16000{k}_{kind}" for k, kind in enumerate(("fault", "hold", "estop", "hold", "silent"))]
    for name in (*names, "mine", "20261130_160009_other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.yaml").write_text("")
    outside = tmp_path.parent / f"{tmp_path.name}_outside"
    outside.mkdir()
    (outside / "metadata.yaml").write_text("")
    (tmp_path / "20200101_000000_hold").symlink_to(outside)
    make_room(tmp_path, 4)
    assert [path.name for path in stop_folders(tmp_path)] == [names[0], *names[2:]]
    make_room(tmp_path, 2)
    assert [path.name for path in stop_folders(tmp_path)] == [names[2], names[4]]
    assert (tmp_path / "mine").is_dir()
    assert (outside / "metadata.yaml").is_file()


def test_every_check_has_its_words():
    assert set(CHECKS) <= MEANINGS.keys()
    assert "whatever" in meaning("whatever").found


@pytest.fixture
def large_cameras():
    robot = load_robot("aloha")
    return replace(robot, cameras=tuple(replace(c, width=640, height=480, rate_hz=30) for c in robot.cameras))


def state_cdr(stamp_ns, **values):
    """Return a serialised state of the command node."""
    types = typestore().types
    pairs = [types["diagnostic_msgs/msg/KeyValue"](key=key, value=value) for key, value in values.items()]
    status = types["diagnostic_msgs/msg/DiagnosticStatus"](
        level=0, name="command", message="", hardware_id="", values=pairs
    )
    message = types[DIAGNOSTICS](header=header(stamp_ns, ""), status=[status])
    return bytes(typestore().serialize_cdr(message, DIAGNOSTICS))


def drive(box, robot, seconds, mode, *, first_s=0.0, **said):
    """Let a robot say for so long what its topics say, at a tenth of the real rates."""
    left = robot.arms[0]
    image = np.full((128, 128, 3), 90, np.uint8)
    for k in range(round(seconds * 10)):
        now_s = first_s + k / 10
        at, steady = T0 + nanoseconds(now_s), nanoseconds(now_s)
        pose = np.full(len(left.joints), 0.03)
        names = tuple(joint.name for joint in left.joints)
        box.take(left.state_topic, JOINT_STATE, at, joint_state_cdr(at, names, pose), steady)
        box.take(left.command_topic, JOINT_STATE, at, joint_state_cdr(at, names, pose + 0.001 * k), steady)
        box.take(robot.cameras[0].topic, IMAGE, at, image_cdr(at, "", image), steady)
        box.take(COMMAND_STATE, DIAGNOSTICS, at, state_cdr(at, mode=mode, **said), steady)
        box.look(at, steady, 1_796_000_000.0)
    return first_s + seconds


@pytest.fixture
def written(tmp_path):
    """A stop after 40 s of following, written by a black box that keeps 5 s of it."""
    robot = load_robot("aloha")
    box = BlackBox(robot, load_safety("default"), tmp_path, HOSTILE, "smp_aloha", BlackBoxConfig(seconds=5.0))
    end_s = drive(box, robot, 40.0, "policy", severity="PASS")
    fault = {"severity": "FAULT", "check": "state_near", "reason": f"left_elbow is far {HOSTILE}"}
    drive(box, robot, 4.0, "fault", first_s=end_s, reasons=f"state_near: left_elbow is far {HOSTILE}", **fault)
    box.look(T0 + nanoseconds(45), nanoseconds(45), 0.0, ending=True)
    assert box.report()["warning"] == ""
    (folder,) = stop_folders(tmp_path)
    assert box.report()["last"] == str(folder)
    return folder


def test_a_fault_becomes_a_bag_with_what_was_before_it_and_a_page_in_words(written):
    bag = open_bag(written)
    bag.verify()
    assert (bag.episode["stopped"], bag.episode["stopped_check"]) == ("fault", "state_near")
    story = tell(bag, bag.robot()).told
    assert 6.5 < story["duration_s"] < 8.0  # five before, two after
    assert story["stop"]["at_s"] == pytest.approx(5.0, abs=0.11)
    assert story["stop"]["found"] == MEANINGS["state_near"].found
    assert story["stop"]["followed"] == "the policy"
    measured, commanded = (story["joints"][name][0] for name in ("measured", "commanded"))
    assert measured[-1] == 0.03
    assert commanded[200] > 0.3
    assert story["joints"]["measured"][7] == [None] * 400  # the right arm said nothing
    assert [len(camera["at_s"]) > 20 for camera in story["cameras"]] == [True, False, False]
    assert [event["mode"] for event in story["events"]] == ["policy", "fault"]
    assert replay_command(bag).startswith(f"smp replay {written} --model smp_aloha")


def test_the_page_is_one_file_in_which_foreign_words_stay_words(written):
    page = (written / PAGE).read_text()
    assert "default-src 'none'" in page
    assert HOSTILE not in page
    told = re.search(r'<script type="application/json" id="told">(.*?)</script>', page, re.DOTALL)[1]
    story = json.loads(told)["story"]
    assert story["task"] == HOSTILE
    assert HOSTILE in story["stop"]["reason"]
    assert json.loads(told)["stills"]["overview"][0].startswith("data:image/jpeg;base64,")


def test_smp_why_tells_the_last_stop_and_refuses_what_is_none(written, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["smp", "why", "--stops", str(written.parent)])
    with pytest.raises(SystemExit) as ended:
        smp()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert MEANINGS["state_near"].found in said
    assert str(written / PAGE) in said
    monkeypatch.setattr("sys.argv", ["smp", "why", "--stops", str(written)])
    with pytest.raises(SystemExit) as refused:
        smp()
    assert refused.value.code == 2
    assert "no stop in" in capsys.readouterr().err


def test_a_disk_that_takes_nothing_is_said_and_the_box_goes_on(tmp_path):
    robot = load_robot("aloha")
    (tmp_path / "file").write_text("")
    box = BlackBox(robot, load_safety("default"), tmp_path / "file", "a", "", BlackBoxConfig())
    end_s = drive(box, robot, 1.0, "policy", severity="PASS")
    drive(box, robot, 3.0, "estop", first_s=end_s, severity="ESTOP", check="estop", reason="pressed")
    box.look(T0 + nanoseconds(9), nanoseconds(9), 0.0, ending=True)
    assert "could not be written" in box.report()["warning"]
